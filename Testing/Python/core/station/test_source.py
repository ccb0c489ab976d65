"""Series that are fetched from a DICOMweb service."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from medical_super_resolution.station.queue import Queue, label
from medical_super_resolution.station.received import TooLate
from medical_super_resolution.station.rules import Rule
from medical_super_resolution.station.source import DicomWebSource
from station_doubles import SERIES

pydicom = pytest.importorskip("pydicom")


class AService:
    """A DICOMweb service with one series, as dicomweb-client shows it."""

    def __init__(self, images: list[Path]) -> None:
        self.images = [pydicom.dcmread(path) for path in images]
        self.asked: list[dict] = []
        self.retrieved = 0

    def search_for_series(self, *, search_filters: dict, **options: object) -> list[dict]:
        self.asked.append(search_filters)
        found = pydicom.Dataset()
        found.StudyInstanceUID, found.SeriesInstanceUID = self.images[0].StudyInstanceUID, SERIES
        found.NumberOfSeriesRelatedInstances = len(self.images)
        return [found.to_json_dict()]

    def iter_series(self, study: str, series: str) -> list:
        self.retrieved += 1
        return self.images


@pytest.fixture
def a_service(a_series: list[Path], monkeypatch: pytest.MonkeyPatch) -> AService:
    made = AService(a_series)
    monkeypatch.setattr(pytest.importorskip("dicomweb_client"), "DICOMwebClient", lambda address, session: made)
    return made


def test_a_series_of_a_service_is_fetched_once_and_only_when_it_grows_no_more(a_queue: Queue, a_service: AService):
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    whole, a_service.images = a_service.images, a_service.images[:2]
    source.fetch(a_queue)
    a_service.images = whole
    source.fetch(a_queue)
    assert a_service.retrieved == 0
    source.fetch(a_queue)
    source.fetch(a_queue)
    assert a_service.retrieved == 1
    stored = sorted(a_queue.folder.rglob("*.dcm"))
    assert {pydicom.dcmread(path).SOPInstanceUID for path in stored} == {image.SOPInstanceUID for image in whole}
    assert a_service.asked[0]["Modality"] == "CT"
    assert a_service.asked[0]["StudyDate"] == f"{datetime.date.today() - datetime.timedelta(days=7):%Y%m%d}-"


def test_a_series_that_the_service_cannot_decompress_is_fetched_as_it_is_stored(
    a_queue: Queue, a_service: AService, a_series: list[Path], monkeypatch: pytest.MonkeyPatch
):
    answer = pytest.importorskip("requests").Response()
    answer.status_code = 500  # Orthanc's, which has no decoder of JPEG 2000

    def retrieve(study: str, series: str, media_types: tuple = ("application/dicom",)) -> list:
        if media_types != (("application/dicom", "*"),):
            answer.raise_for_status()
        return compressed

    compressed = [pydicom.dcmread(path) for path in a_series]
    for image in compressed:
        image.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    monkeypatch.setattr(a_service, "iter_series", retrieve)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    source.fetch(a_queue), source.fetch(a_queue)
    stored = [pydicom.dcmread(path) for path in a_queue.folder.rglob("*.dcm")]
    assert {image.file_meta.TransferSyntaxUID.name for image in stored} == {"RLE Lossless"}
    pixels = {image.SOPInstanceUID: image.pixel_array.tolist() for image in stored}
    assert pixels == {image.SOPInstanceUID: image.pixel_array.tolist() for image in a_service.images}


def test_of_a_series_whose_fetching_was_killed_the_rest_is_fetched_before_it_is_complete(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch
):
    add, added = a_queue.add, []

    def add_until_killed(*image: object) -> bool:
        if len(added) == 2:
            raise KeyboardInterrupt
        added.append(image)
        return add(*image)

    monkeypatch.setattr(a_queue, "add", add_until_killed)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    with pytest.raises(KeyboardInterrupt):
        source.fetch(a_queue), source.fetch(a_queue)
    again = Queue(a_queue.folder, largest_bytes=10_000_000)
    assert again.complete(quiet_seconds=-1) == []
    source.fetch(again)
    assert again.complete(quiet_seconds=-1) == [label(SERIES)]
    assert len(list(again.folder.rglob("*.dcm"))) == 5


@pytest.mark.parametrize("comes", [0, 1, 2, 4])
def test_images_are_stored_as_they_come_and_a_series_that_breaks_off_is_not_complete(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch, comes: int
):
    def breaks_off(study: str, series: str) -> Iterator[object]:
        for image in a_service.images[:comes]:
            yield image
            stored.append(len(list(a_queue.folder.rglob("*.dcm"))))
        raise OSError("the connection is lost")

    stored: list[int] = []
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    with monkeypatch.context() as broken:
        broken.setattr(a_service, "iter_series", breaks_off)
        source.fetch(a_queue), source.fetch(a_queue)
    assert stored == [0, 1, 2, 3][:comes]
    assert a_queue.complete(quiet_seconds=-1) == []
    source.fetch(a_queue)
    assert a_queue.complete(quiet_seconds=-1) == [label(SERIES)]
    assert len(list(a_queue.folder.rglob("*.dcm"))) == 5


@pytest.mark.parametrize("knows_offset", [True, False])
def test_a_search_ends_when_nothing_new_comes(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch, knows_offset: bool
):
    found = [
        {"0020000D": {"vr": "UI", "Value": ["1"]}, "0020000E": {"vr": "UI", "Value": [one]}} for one in ("1.2", SERIES)
    ]

    def search_for_series(*, offset: int = 0, get_remaining: bool = False, **_: object) -> list[dict]:
        assert not get_remaining  # it goes on as long as there is an answer
        start = offset if knows_offset else 0
        return found[start : start + 1]

    monkeypatch.setattr(a_service, "search_for_series", search_for_series)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    source.fetch(a_queue), source.fetch(a_queue)
    assert a_service.retrieved == (2 if knows_offset else 1)


def test_an_answer_that_cannot_be_understood_holds_up_no_other_series(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch
):
    search = a_service.search_for_series
    damaged = {"0020000E": {"vr": "UI", "Value": ["1.2"]}, "00201209": {"vr": "IS", "Value": ["some"]}}
    monkeypatch.setattr(a_service, "search_for_series", lambda **asked: [damaged, *search(**asked)])
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    source.fetch(a_queue), source.fetch(a_queue)
    assert a_service.retrieved == 1


def test_series_that_no_rule_can_fit_stay_where_they_are(a_queue: Queue, a_service: AService):
    source = DicomWebSource("http://pacs", (Rule(modality="CT", description="other*"),))
    source.fetch(a_queue), source.fetch(a_queue)
    assert a_service.retrieved == 0


def test_series_that_a_service_no_longer_has_are_forgotten(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch
):
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    source.fetch(a_queue), source.fetch(a_queue)
    assert (a_service.retrieved, set(source._counts), source._fetched) == (1, {SERIES}, {SERIES})
    monkeypatch.setattr(a_service, "search_for_series", lambda **_: [])
    source.fetch(a_queue)
    assert (source._counts, source._fetched) == ({}, set())


def test_a_service_that_fails_is_asked_again_and_the_log_names_nobody(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(**options: object) -> None:
        raise OSError(f"http://pacs/series/{SERIES}")

    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    with monkeypatch.context() as broken:
        broken.setattr(a_service, "search_for_series", fail)
        source.fetch(a_queue)
    assert "OSError" in caplog.text
    assert SERIES not in caplog.text
    source.fetch(a_queue), source.fetch(a_queue)
    assert a_service.retrieved == 1


def test_images_that_come_to_a_service_after_their_series_was_fetched_are_logged_once(
    a_queue: Queue, a_service: AService, caplog: pytest.LogCaptureFixture
):
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    source.fetch(a_queue), source.fetch(a_queue)
    a_service.images = [*a_service.images, *a_service.images[:1]]
    source.fetch(a_queue), source.fetch(a_queue)
    assert a_service.retrieved == 1
    assert caplog.text.count(f"series {label(SERIES)}: has 6 images now instead of 5, which are not fetched again") == 1


def test_of_a_series_that_was_enhanced_meanwhile_nobody_says_that_it_is_fetched_again(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def too_late(*image: object) -> bool:
        raise TooLate("the series was enhanced without it; a longer --quiet waits for such images")

    monkeypatch.setattr(a_queue, "add", too_late)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    source.fetch(a_queue), source.fetch(a_queue)
    assert f"series {label(SERIES)}: an image was refused: the series was enhanced without it" in caplog.text
    assert "tried again later" not in caplog.text


def test_a_series_that_cannot_be_fetched_holds_up_no_other(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def retrieved(study: str, series: str) -> list:
        if series == "1.2":
            raise OSError("500")
        return a_service.images

    found = [
        {"0020000D": {"vr": "UI", "Value": ["1"]}, "0020000E": {"vr": "UI", "Value": [one]}} for one in ("1.2", SERIES)
    ]
    monkeypatch.setattr(a_service, "search_for_series", lambda **_: found)
    monkeypatch.setattr(a_service, "iter_series", retrieved)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    for _ in range(3):
        source.fetch(a_queue)
    assert caplog.text.count(f"series {label('1.2')}: cannot be fetched: OSError; tried again later") == 1
    assert len(list(a_queue.folder.rglob("*.dcm"))) == 5


def test_a_service_that_goes_on_to_refuse_is_asked_ever_more_rarely_and_logged_when_the_reason_changes(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    answer = pytest.importorskip("requests").Response()
    asked: list[int] = []

    def refuse(*of: str, **form: object) -> None:
        asked.append(len(a_service.asked))
        answer.status_code = 401 if len(a_service.asked) < 30 else 403
        answer.raise_for_status()

    monkeypatch.setattr(a_service, "iter_series", refuse)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    for _ in range(100):
        source.fetch(a_queue)
    assert asked == [2 * search for search in (2, 3, 5, 9, 17, 33, 65, 97)]  # of two pages each
    assert [text for text in ("401", "403") if caplog.text.count(f"cannot be fetched: HTTP status {text};") != 1] == []
    assert caplog.text.count("WARNING") == 2
    monkeypatch.setattr(a_service, "search_for_series", refuse)
    asked.clear()
    for _ in range(20):
        source.fetch(a_queue)
    assert len(asked) == 5
    assert caplog.text.count("the service cannot be searched: HTTP status 403") == 1


def test_a_series_with_an_image_that_cannot_be_written_is_not_fetched_at_each_search(
    a_queue: Queue, a_service: AService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def unwritable(*_: object) -> None:
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(a_service.images[2], "save_as", unwritable)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    for _ in range(4):
        source.fetch(a_queue)
    assert a_service.retrieved == 1
    said = "an image cannot be written as a file: ValueError; it is not fetched again"
    assert caplog.text.count(f"series {label(SERIES)}: {said}") == 1
    assert "fetched" not in caplog.text.replace(said, "")
    assert "Doe" not in caplog.text
    assert a_queue.complete(quiet_seconds=-1) == []
