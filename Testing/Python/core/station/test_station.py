"""The station: received images are on the disk, enhanced once, sent once, and not identified in logs."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dicom_files
import documentation
from medical_super_resolution.cli.commands import station as station_command
from medical_super_resolution.cli.main import parser
from medical_super_resolution.errors import ModelError, SettingsError
from medical_super_resolution.station.intake import Intake
from medical_super_resolution.station.queue import Queue, label
from medical_super_resolution.station.room import QueueFull, size_of
from medical_super_resolution.station.rules import Rule, first_that_fits, read_rules
from medical_super_resolution.station.sender import DicomNode, DicomWeb, NoAnswerError, SendingError, destination_of
from medical_super_resolution.station.service import Station
from medical_super_resolution.station.source import DicomWebSource
from medical_super_resolution.system.temp_dirs import folder_lock

pydicom = pytest.importorskip("pydicom")
pynetdicom = pytest.importorskip("pynetdicom")
SERIES = f"{dicom_files.ROOT}.2.1"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def a_clock() -> Clock:
    return Clock()


@pytest.fixture
def a_queue(tmp_path: Path, a_clock: Clock) -> Queue:
    return Queue(tmp_path / "queue", largest_bytes=10_000_000, clock=a_clock)


@pytest.fixture
def a_series(tmp_path: Path) -> list[Path]:
    """Five CT slices, 4 mm apart."""
    stored = np.random.default_rng(0).integers(900, 1200, (5, 12, 10)).astype(np.uint16)
    (tmp_path / "source").mkdir()
    return dicom_files.write_series(tmp_path / "source", stored)


@pytest.fixture
def a_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Archive:
    """A storage provider that may answer queries: its address, and the images it got, in their order."""

    def __init__(self, *, is_searchable: bool) -> None:
        self.got: list[pydicom.Dataset] = []
        entity = pynetdicom.AE("ARCHIVE")
        for context in pynetdicom.StoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax)
        if is_searchable:
            entity.add_supported_context(pynetdicom.sop_class.StudyRootQueryRetrieveInformationModelFind)
        handlers = [(pynetdicom.evt.EVT_C_STORE, self.store), (pynetdicom.evt.EVT_C_FIND, self.find)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.address = f"ARCHIVE@127.0.0.1:{self.server.server_address[1]}"

    def store(self, event) -> int:
        self.got.append(event.dataset)
        return 0

    def find(self, event) -> Iterator[tuple[int, pydicom.Dataset | None]]:
        asked = event.identifier
        assert asked.QueryRetrieveLevel == "IMAGE"
        for image in self.got:
            if all(image[element.tag].value == element.value for element in asked if element.keyword[-3:] == "UID"):
                yield 0xFF00, asked


@pytest.fixture
def an_archive() -> Iterator[Archive]:
    archive = Archive(is_searchable=True)
    yield archive
    archive.server.shutdown()


@pytest.fixture
def an_archive_without_queries() -> Iterator[Archive]:
    archive = Archive(is_searchable=False)
    yield archive
    archive.server.shutdown()


def send(node: DicomNode, files: list[Path]) -> None:
    with node.connected(files) as store:
        for file in files:
            store(file)


def filled(queue: Queue, files: list[Path]) -> None:
    for file in files:
        queue.add(SERIES, file.name, file.read_bytes())


def station(queue: Queue, model: Path, send_to: str, **more) -> Station:
    return Station(queue, (Rule(modality="CT", factor=2, model=str(model)),), send_to, "MEDSR", quiet_seconds=5, **more)


def rules_file(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text)
    return path


def test_an_image_is_on_the_disk_when_it_is_acknowledged_and_its_path_names_nobody(a_queue: Queue):
    assert a_queue.add("1.2.3", "1.2.3.4", b"image")
    (path,) = a_queue.folder.rglob("*.dcm")
    assert path.read_bytes() == b"image"
    assert path.relative_to(a_queue.folder).as_posix() == f"receiving/{label('1.2.3')}/{label('1.2.3.4')}.dcm"


def test_a_series_is_complete_after_it_was_quiet(a_queue: Queue, a_clock: Clock):
    a_queue.add("1", "1.1", b"a")
    assert a_queue.complete(quiet_seconds=5) == []
    a_clock.ahead = 6
    assert a_queue.complete(quiet_seconds=5) == [label("1")]
    assert [folder.name for folder in a_queue.waiting()] == [label("1")]


def test_a_clock_that_was_set_back_does_not_hold_up_a_series(tmp_path: Path):
    queue = Queue(tmp_path / "queue", largest_bytes=10)
    queue.add("1", "1.1", b"a")
    for path in queue.folder.glob("receiving/**/*"):
        os.utime(path, (time.time() + 3600,) * 2)  # as if it were an hour earlier since
    assert queue.complete(quiet_seconds=0) == [label("1")]


def test_what_comes_again_after_completion_is_dropped(a_queue: Queue, a_clock: Clock):
    a_queue.add("1", "1.1", b"a")
    a_clock.ahead = 6
    a_queue.complete(quiet_seconds=5)
    assert not a_queue.add("1", "1.1", b"a")
    a_queue.finish(label("1"))
    assert not a_queue.add("1", "1.2", b"b")
    assert list(a_queue.folder.rglob("*.dcm")) == []


def test_a_waiting_series_that_gets_another_image_was_not_complete(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    a_queue.complete(quiet_seconds=-1)
    assert a_queue.add("1", "1.2", b"b")
    assert not a_queue.take(label("1"))
    a_queue.complete(quiet_seconds=-1)
    assert a_queue.take(label("1"))
    assert not a_queue.add("1", "1.3", b"c")
    (folder,) = a_queue.waiting()
    assert len(list(folder.iterdir())) == 2


def test_a_queue_at_its_size_refuses_and_has_room_again_when_a_series_is_done(tmp_path: Path):
    queue = Queue(tmp_path / "queue", largest_bytes=10)
    queue.add("1", "1.1", bytes(10))
    with pytest.raises(QueueFull, match="--max-storage"):
        queue.add("2", "2.1", b"x")
    queue.complete(quiet_seconds=0)
    queue.finish(label("1"))
    assert queue.add("2", "2.1", b"x")


def test_images_that_arrive_while_a_series_is_removed_are_counted(a_queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def slowly(folder: Path) -> int:
        a_queue.add("2", "2.1", bytes(10))
        return size_of(folder)

    a_queue.add("1", "1.1", bytes(5))
    a_queue.complete(quiet_seconds=-1)
    monkeypatch.setattr("medical_super_resolution.station.queue.size_of", slowly)
    a_queue.finish(label("1"))
    assert a_queue._room.used_bytes == size_of(a_queue.folder) == 10


def test_what_a_killed_station_left_half_written_is_removed(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    part = a_queue.folder / "receiving" / label("1") / "2.part"
    part.touch()
    (a_queue.workspace(label("1"))).mkdir()
    again = Queue(a_queue.folder, largest_bytes=10)
    assert not part.exists()
    assert sorted(path.name for path in again.folder.iterdir()) == ["done", "failed", "receiving", "sending", "waiting"]


def test_a_series_killed_between_two_renamings_is_enhanced_once(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    a_queue.complete(quiet_seconds=-1)
    (a_queue.folder / "sending" / label("1")).mkdir()
    a_queue.recover()
    assert a_queue.waiting() == []


def test_received_series_are_enhanced_and_sent_once(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path, an_archive: Archive, a_port: int
):
    from medical_super_resolution.station.receiver import listen

    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port, callers=("MODALITY",))
    try:
        for _ in range(2):
            send(DicomNode("MEDSR", "127.0.0.1", a_port, "MODALITY"), a_series)
    finally:
        server.shutdown()
    a_clock.ahead = 10
    at_work = station(a_queue, a_model_file, an_archive.address)
    at_work.enhance_complete(threading.Event())
    assert at_work.send_waiting()
    (derived,) = {image.SeriesInstanceUID for image in an_archive.got}
    assert derived != SERIES
    assert len(an_archive.got) == 10
    assert [path.name for path in a_queue.folder.rglob("*") if path.is_file()] == [label(SERIES)]


def test_other_callers_are_refused(a_queue: Queue, a_series: list[Path], a_port: int):
    from medical_super_resolution.station.receiver import listen

    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port, callers=("MODALITY",))
    try:
        with pytest.raises(SendingError, match="refuses"):
            send(DicomNode("MEDSR", "127.0.0.1", a_port, "STRANGER"), a_series)
    finally:
        server.shutdown()
    assert list(a_queue.folder.rglob("*.dcm")) == []


def test_noise_on_the_port_harms_nothing(a_queue: Queue, a_series: list[Path], a_port: int):
    from medical_super_resolution.station.receiver import listen

    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    try:
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff" + bytes(64), b"\x04\x00\xff\xff\xff\xff"):
            with socket.create_connection(("127.0.0.1", a_port)) as caller:
                caller.sendall(noise)
        send(DicomNode("MEDSR", "127.0.0.1", a_port, "MODALITY"), a_series)
    finally:
        server.shutdown()
    assert len(list(a_queue.folder.rglob("*.dcm"))) == 5


def test_a_caller_that_claims_or_sends_too_much_is_cut_off():
    receive = Intake(bytearray, largest_pdu=100, largest_image=250)
    assert len(receive(100)) == 100
    with pytest.raises(ConnectionAbortedError):
        receive(101)
    receive.on_message(None)
    receive(100), receive(100)
    with pytest.raises(ConnectionAbortedError):
        receive(100)


def test_images_for_which_callers_together_have_no_room_are_refused_until_there_is(
    a_queue: Queue, a_series: list[Path], a_port: int
):
    from medical_super_resolution.station.receiver import listen

    size = a_series[0].stat().st_size
    half = pynetdicom.pdu_primitives.P_DATA()
    half.presentation_data_value_list.append([1, b"\x00" + bytes(size // 2)])
    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port, largest_sum=size + 100)
    entity = pynetdicom.AE("MODALITY")
    entity.add_requested_context(pydicom.dcmread(a_series[0]).SOPClassUID)
    until = time.monotonic() + 60

    def send_until(status: int) -> None:
        while sender.send_c_store(pydicom.dcmread(a_series[0])).Status != status:
            assert time.monotonic() < until

    try:
        endless, sender = (entity.associate("127.0.0.1", a_port, ae_title="MEDSR") for _ in range(2))
        send_until(0x0000)
        endless.dul.send_pdu(half)
        send_until(0xA700)
        endless.abort()
        send_until(0x0000)
        sender.release()
    finally:
        server.shutdown()


def test_a_unit_that_claims_gigabytes_is_not_waited_for(a_queue: Queue, a_port: int):
    from medical_super_resolution.station.receiver import listen

    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    try:
        with socket.create_connection(("127.0.0.1", a_port), timeout=20) as caller:
            caller.sendall(b"\x01\x00\xff\xff\xff\xff")
            assert caller.recv(1) == b""
    finally:
        server.shutdown()


def test_what_the_archive_does_not_take_is_sent_later(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path, an_archive: Archive, a_port: int
):
    filled(a_queue, a_series)
    a_clock.ahead = 10
    at_work = station(a_queue, a_model_file, f"ARCHIVE@127.0.0.1:{a_port}")
    at_work.enhance_complete(threading.Event())
    assert not at_work.send_waiting()
    (folder,) = a_queue.sending()
    (folder / "destination.txt").write_text(an_archive.address)
    assert at_work.send_waiting()
    assert len(an_archive.got) == 10


def test_a_series_that_cannot_be_sent_at_all_holds_up_no_other(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path, an_archive: Archive
):
    filled(a_queue, a_series)
    a_clock.ahead = 10
    at_work = station(a_queue, a_model_file, an_archive.address)
    at_work.enhance_complete(threading.Event())
    for name, content in (("0", b"nowhere"), ("1", b"\xff")):
        (a_queue.folder / "sending" / name).mkdir()
        (a_queue.folder / "sending" / name / "destination.txt").write_bytes(content)
        os.utime(a_queue.folder / "sending" / name, (0, 0))  # the first
    assert not at_work.send_waiting()
    assert len(an_archive.got) == 10


def test_a_destination_that_does_not_answer_is_tried_once_and_holds_up_no_other(
    a_queue: Queue, a_series: list[Path], an_archive: Archive, a_port: int, monkeypatch: pytest.MonkeyPatch
):
    silent, tried = f"SILENT@127.0.0.1:{a_port}", []
    for name, address in (("0", silent), ("1", silent), ("2", an_archive.address), ("3", silent)):
        folder = a_queue.folder / "sending" / name
        folder.mkdir()
        (folder / "destination.txt").write_text(address)
        (folder / "0.dcm").write_bytes(a_series[0].read_bytes())
    associate = DicomNode._associate
    monkeypatch.setattr(DicomNode, "_associate", lambda node, *more: tried.append(node.title) or associate(node, *more))
    at_work = Station(a_queue, (), "A@b:1", "MEDSR")
    assert not at_work.send_waiting()
    assert (tried.count("SILENT"), len(an_archive.got)) == (1, 1)
    assert len(a_queue.sending()) == 3


def test_a_receiver_that_refuses_one_kind_of_image_is_not_taken_for_silent(a_series: list[Path]):
    entity = pynetdicom.AE("ARCHIVE")
    entity.add_supported_context(pynetdicom.sop_class.MRImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(SendingError) as refusal:
            send(DicomNode("ARCHIVE", "127.0.0.1", server.server_address[1], "MEDSR"), a_series[:1])
        assert not isinstance(refusal.value, NoAnswerError)
    finally:
        server.shutdown()


def test_a_service_that_cannot_be_reached_is_said_to_be_silent(a_series: list[Path], monkeypatch: pytest.MonkeyPatch):
    dicomweb_client, requests = pytest.importorskip("dicomweb_client"), pytest.importorskip("requests")

    def unreachable(client, images):
        raise requests.ConnectionError

    monkeypatch.setattr(dicomweb_client.DICOMwebClient, "store_instances", unreachable)
    with pytest.raises(NoAnswerError, match="cannot be reached"):
        send(DicomWeb("http://127.0.0.1:1"), a_series[:1])


@pytest.mark.parametrize("problem", [ValueError("of John Doe"), OSError(errno.EIO, "input/output error")])
def test_the_station_goes_on_whatever_a_step_meets(
    a_queue: Queue, a_model_file: Path, problem: Exception, monkeypatch, caplog: pytest.LogCaptureFixture
):
    stop = threading.Event()

    def fail(**_: object) -> None:
        raise problem

    def send(_: Station) -> bool:
        if caplog.text.count("tried again later") >= 2:
            stop.set()
        return True

    monkeypatch.setattr(a_queue, "forget", fail)
    monkeypatch.setattr(a_queue, "complete", fail)
    monkeypatch.setattr(Station, "send_waiting", send)
    station(a_queue, a_model_file, "A@b:1").run(stop)
    assert "John Doe" not in caplog.text


class AWebArchive:
    """A DICOMweb service that stores, and may be searched, as dicomweb-client shows it."""

    address = "http://archive"

    def __init__(self, *, is_searchable: bool = True) -> None:
        self.got: list[pydicom.Dataset] = []
        self.is_searchable = is_searchable

    def store_instances(self, images: list[pydicom.Dataset]) -> pydicom.Dataset:
        self.got += images
        answer = pydicom.Dataset()
        answer.ReferencedSOPSequence = [pydicom.Dataset() for _ in images]
        return answer

    def search_for_instances(self, study: str, series: str, *, search_filters: dict) -> list[dict]:
        if not self.is_searchable:
            raise OSError("501 Not Implemented")
        asked = (study, series, search_filters["SOPInstanceUID"])
        found = [one for one in self.got if (one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID) == asked]
        return [one.to_json_dict() for one in found]


@pytest.fixture
def a_web_archive(monkeypatch: pytest.MonkeyPatch) -> AWebArchive:
    made = AWebArchive()
    monkeypatch.setattr(pytest.importorskip("dicomweb_client"), "DICOMwebClient", lambda address: made)
    return made


@pytest.fixture
def a_web_archive_without_queries(a_web_archive: AWebArchive) -> AWebArchive:
    a_web_archive.is_searchable = False
    return a_web_archive


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", "<html>login</html>"),
        (302, "text/html", ""),
        (202, "application/dicom+json; charset=utf-8", '{"00081198": {"vr": "SQ", "Value": [{}]}}'),
        (200, "application/dicom+xml", "no XML"),
        (200, "application/json", '{"ok": true}'),
    ],
)
def test_an_answer_that_does_not_say_that_an_image_was_stored_keeps_it(
    a_queue: Queue, a_series: list[Path], status: int, kind: str, body: str
):
    pytest.importorskip("dicomweb_client")

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>login</html>")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Location", "/login")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    (a_series[0].parent).replace(a_queue.workspace("series"))
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        a_queue.enhanced("series", a_queue.folder / "enhancing" / "series", address)
        assert not station(a_queue, Path("none"), address).send_waiting()
        server.shutdown()
    assert len([path for path in a_queue.folder.rglob("*") if path.suffix in (".dcm", ".begun")]) == 5


def test_a_service_that_answers_nothing_is_asked_whether_it_stored(a_series: list[Path], a_web_archive: AWebArchive):
    a_web_archive.store_instances = lambda images: a_web_archive.got.extend(images) or pydicom.Dataset()
    send(destination_of(a_web_archive.address, title="M"), a_series)
    assert len(a_web_archive.got) == 5


def killed(*_: object) -> None:
    raise SystemExit


@pytest.mark.parametrize(
    ("archive", "step", "count"),
    [
        ("an_archive", "queue.Queue.sent", 5),
        ("an_archive", "sender.DicomNode._store", 5),
        ("an_archive_without_queries", "queue.Queue.sent", 6),
        ("a_web_archive", "queue.Queue.sent", 5),
        ("a_web_archive", "sender.DicomWeb._store", 5),
        ("a_web_archive_without_queries", "queue.Queue.sent", 6),
    ],
)
def test_a_station_killed_while_it_sends_sends_nothing_twice_to_an_archive_that_can_be_asked(
    request: pytest.FixtureRequest,
    a_queue: Queue,
    a_series: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    archive: str,
    step: str,
    count: int,
):
    receiver = request.getfixturevalue(archive)
    (a_series[0].parent).replace(a_queue.workspace("series"))
    a_queue.enhanced("series", a_queue.folder / "enhancing" / "series", receiver.address)
    with monkeypatch.context() as at_step:
        at_step.setattr(f"medical_super_resolution.station.{step}", killed)
        with pytest.raises(SystemExit):
            station(a_queue, Path("none"), "A@b:1").send_waiting()
    again = Queue(a_queue.folder, largest_bytes=10_000_000)
    assert station(again, Path("none"), "A@b:1").send_waiting()
    assert len(receiver.got) == count
    assert len({image.SOPInstanceUID for image in receiver.got}) == 5
    assert again.sending() == []


def test_an_archive_that_ends_the_connection_gets_the_rest_later(a_series: list[Path], an_archive: Archive):
    node = destination_of(an_archive.address, title="MEDSR")
    with node.connected(a_series) as store:
        store(a_series[0])
        for one in an_archive.server.active_associations:
            one.abort()
        with pytest.raises(SendingError, match="ARCHIVE"):
            store(a_series[1])
    assert [node.holds(image) for image in a_series[:2]] == [True, False]


def test_a_series_that_cannot_be_enhanced_is_set_aside_with_its_reason(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path
):
    filled(a_queue, a_series[:1])
    a_clock.ahead = 10
    station(a_queue, a_model_file, "A@b:1").enhance_complete(threading.Event())
    (reason,) = a_queue.folder.glob("failed/*/reason.txt")
    assert reason.read_text().strip()
    assert a_queue.waiting() == []


def test_a_series_that_was_set_aside_is_tried_again_with_what_was_missing(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path
):
    filled(a_queue, a_series[:1])
    a_clock.ahead = 10
    at_work = station(a_queue, a_model_file, "A@b:1")
    at_work.enhance_complete(threading.Event())
    filled(a_queue, a_series)
    a_clock.ahead = 20
    at_work.enhance_complete(threading.Event())
    (folder,) = a_queue.sending()
    assert len(list(folder.glob("*.dcm"))) == 10


def test_the_time_in_which_the_station_did_not_run_does_not_count(a_queue: Queue, a_clock: Clock):
    a_queue.add("1", "1.1", b"a")
    a_clock.ahead = 3600
    again = Queue(a_queue.folder, largest_bytes=10, clock=a_clock)
    assert again.complete(quiet_seconds=5) == []
    a_clock.ahead = 3606
    assert again.complete(quiet_seconds=5) == [label("1")]


def test_logs_name_no_identifier(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    filled(a_queue, a_series)
    a_clock.ahead = 10
    station(a_queue, a_model_file, "A@b:1", is_trial=True).enhance_complete(threading.Event())
    assert "would be enhanced" in caplog.text
    assert dicom_files.ROOT not in caplog.text


def test_a_damaged_header_sets_its_series_aside_and_the_station_goes_on(
    a_queue: Queue, a_clock: Clock, tmp_path: Path, a_model_file: Path
):
    stored = np.zeros((3, 4, 5), np.uint16)
    filled(a_queue, dicom_files.write_series(tmp_path / "damaged", stored, thickness="thick"))
    a_clock.ahead = 10
    at_work = station(a_queue, a_model_file, "A@b:1")
    at_work.rules = (Rule(thicker_than_mm=1.0),)
    assert at_work.enhance_complete(threading.Event())
    (reason,) = a_queue.folder.glob("failed/*/reason.txt")
    assert reason.read_text().startswith("ValueError: ")


def test_a_series_that_a_trial_has_seen_is_enhanced_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def seen(self: Station, stop: threading.Event) -> None:
        folders.append(self.queue.folder)
        self.queue.add("1", "1.1", b"a")

    folders: list[Path] = []
    monkeypatch.setattr(Station, "run", seen)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(
        "medical_super_resolution.station.receiver.listen", lambda *_, **__: SimpleNamespace(shutdown=list)
    )
    words = (
        "--rules",
        rules_file(tmp_path, "[[rule]]"),
        "--send-to",
        "A@b:1",
        "--queue",
        tmp_path / "queue",
        "--dry-run",
    )
    assert station_command.run(parser(None).parse_args(["station", *map(str, words)])) == 0
    assert not (tmp_path / "queue").exists()
    assert not folders[0].exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ae", "LONGER_THAN_SIXTEEN"), "'LONGER_THAN_SIXTEEN' cannot be an AE title; give 1 to 16 characters"),
        (("--port", "99999"), "cannot listen on 127.0.0.1:99999: ports are 0 to 65535"),
        (("--fetch-from", "localhost:80"), "cannot read the address 'localhost:80'; write http"),
        (("--quiet", "-1"), "--quiet must be at least 0 seconds, got -1"),
        (("--max-storage", "0"), "--max-storage must be above 0 GB, got 0"),
    ],
)
def test_options_without_sense_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple, said: str):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(Station, "run", lambda *_: None)
    always = ("--rules", rules_file(tmp_path, "[[rule]]"), "--send-to", "A@b:1", "--queue", tmp_path / "queue")
    with pytest.raises(SettingsError, match=said):
        station_command.run(parser(None).parse_args(["station", *map(str, always), *words]))


def test_a_second_station_leaves_the_queue_of_the_first_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("fcntl")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    folder = tmp_path / "queue"
    in_work = Queue(folder, largest_bytes=10).workspace("series")
    in_work.mkdir()
    words = ("--rules", rules_file(tmp_path, "[[rule]]"), "--send-to", "A@b:1", "--port", "99999", "--queue", folder)
    with folder_lock(folder), pytest.raises(SettingsError, match="another station uses the folder .*queue; end it"):
        station_command.run(parser(None).parse_args(["station", *map(str, words)]))
    assert in_work.exists()


def test_a_model_that_a_rule_names_must_be_there_at_the_start(tmp_path: Path):
    always = ("--rules", rules_file(tmp_path, "[[rule]]\nmodel = 'absent'"), "--send-to", "A@b:1", "--dry-run")
    with pytest.raises(ModelError, match="there is no model 'absent'"):
        station_command.run(parser(None).parse_args(["station", *map(str, always)]))


@pytest.mark.parametrize("name", ["dicomweb_client.web", "pydicom", "pynetdicom.acse", "urllib3.connectionpool"])
def test_logs_and_warnings_of_libraries_that_quote_identifiers_are_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder, name: str
):
    caplog.set_level(logging.DEBUG, logger=name.partition(".")[0])
    chosen = parser(None).parse_args(["station", "--rules", str(rules_file(tmp_path, "")), "--send-to", "A@b:1"])
    with pytest.raises(SettingsError, match="at least one"):
        station_command.run(chosen)
    assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
    warnings.warn("Unknown encoding 'DOE^JOHN'", stacklevel=1)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({}, True),
        ({"Modality": "MR"}, False),
        ({"SeriesDescription": "Topogram"}, False),
        ({"SliceThickness": 2}, False),
        ({"SliceThickness": None}, False),
    ],
)
def test_the_first_rule_that_fits_decides(said: dict, fits: bool):
    header = pydicom.Dataset()
    header.Modality, header.SeriesDescription, header.SliceThickness = "CT", "AXIAL Thorax 5.0", 5
    for name, value in said.items():
        setattr(header, name, value)
    rule = Rule(modality="CT", description="axial*", thicker_than_mm=2.0)
    assert (first_that_fits((rule,), header) is rule) == fits


def test_brackets_in_the_description_of_a_rule_stand_for_themselves():
    rule = Rule(modality="CT", description="*[lung]*")
    assert rule.may_fit("CT", "Thorax [Lung] 5.0")
    assert not rule.may_fit("CT", "Thorax u 5.0")


def test_a_rule_for_any_thickness_fits_slices_whose_thickness_is_not_stated():
    header = pydicom.Dataset()
    header.Modality = "CT"
    assert first_that_fits((Rule(),), header) == Rule()


def test_what_was_derived_here_is_never_enhanced_again():
    header, item = pydicom.Dataset(), pydicom.Dataset()
    item.ManufacturerModelName = "MedicalSuperResolution"
    header.Modality, header.ContributingEquipmentSequence = "CT", [item]
    assert first_that_fits((Rule(modality="CT"),), header) is None


def test_rules_are_read(tmp_path: Path):
    path = rules_file(tmp_path, '[[rule]]\nmodality = "MR"\nthicker_than_mm = 3\nfactor = 4\nsend_to = "A@b:1"\n')
    assert read_rules(path) == (Rule(modality="MR", thicker_than_mm=3, factor=4, send_to="A@b:1"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one"),
        ("[[rule]]\nmodalty = 'CT'\n", "'modalty'"),
        ("[[rule]]\nmodality = 'US'\n", "'US'"),
        ("[[rule]]\nfactor = 'four'\n", "must be a number"),
        ("[[rule]]\nfactor = 40\n", "at most 8"),
        ("[[rule]\n", "cannot be read"),
    ],
)
def test_rules_without_sense_are_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(SettingsError, match=said):
        read_rules(rules_file(tmp_path, text))


def test_destinations_are_understood():
    assert destination_of("ORTHANC@pacs.example:4242", title="M") == DicomNode("ORTHANC", "pacs.example", 4242, "M")
    assert destination_of("https://pacs.example/dicom-web", title="M") == DicomWeb("https://pacs.example/dicom-web")


@pytest.mark.parametrize("text", ["", "ORTHANC", "ORTHANC@host", "ORTHANC@host:0", "ORTHANC@host:70000", "@host:1"])
def test_destinations_without_sense_are_refused(text: str):
    with pytest.raises(SettingsError, match="AE@HOST:PORT"):
        destination_of(text, title="M")


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

    def retrieve_series(self, study: str, series: str) -> list:
        self.retrieved += 1
        return self.images


@pytest.fixture
def a_service(a_series: list[Path], monkeypatch: pytest.MonkeyPatch) -> AService:
    made = AService(a_series)
    monkeypatch.setattr(pytest.importorskip("dicomweb_client"), "DICOMwebClient", lambda address: made)
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


def test_series_that_no_rule_can_fit_stay_where_they_are(a_queue: Queue, a_service: AService):
    source = DicomWebSource("http://pacs", (Rule(modality="CT", description="other*"),))
    source.fetch(a_queue), source.fetch(a_queue)
    assert a_service.retrieved == 0


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
    monkeypatch.setattr(a_service, "retrieve_series", retrieved)
    source = DicomWebSource("http://pacs", (Rule(modality="CT"),))
    source.fetch(a_queue), source.fetch(a_queue)
    assert f"series {label('1.2')}: cannot be fetched: OSError; tried again later" in caplog.text
    assert len(list(a_queue.folder.rglob("*.dcm"))) == 5


@pytest.mark.parametrize("name", ["compose.yaml", "medsr-station.service"])
def test_the_files_to_run_a_station_call_it_rightly(name: str):
    text = (documentation.REPOSITORY / "Resources" / "Station" / name).read_text()
    line = re.search(r"--rules.*?(?=\n\S|\n {4}\w|\Z)", text, re.DOTALL).group()
    chosen = parser(None).parse_args(["station", *line.split()])
    assert chosen.rules == Path("/etc/medsr/rules.toml")
    assert chosen.queue == Path("/var/lib/medsr")
    destination_of(chosen.send_to, title=chosen.ae)


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def no_room_for_a_slice(*_: object) -> None:
    try:
        no_room()
    except OSError as problem:
        raise OSError("With tag (7FE0,0010) got exception") from problem  # as pydicom does


def test_a_series_of_which_an_image_had_no_room_is_not_enhanced_before_it_came(
    a_queue: Queue, a_clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    a_queue.add("1", "1.1", b"a")
    with monkeypatch.context() as full:
        full.setattr("os.fsync", no_room)
        with pytest.raises(OSError, match="No space left"):
            a_queue.add("1", "1.2", b"b")
    a_clock.ahead = 6
    assert a_queue.complete(quiet_seconds=5) == []
    assert not a_queue.is_known("1")
    (reason,) = a_queue.folder.glob("failed/*/reason.txt")
    assert "no room for some images" in reason.read_text()
    assert a_queue.add("1", "1.2", b"b")
    a_clock.ahead = 12
    assert a_queue.complete(quiet_seconds=5) == [label("1")]
    assert len(list((a_queue.folder / "waiting" / label("1")).glob("*.dcm"))) == 2


def test_a_part_of_the_disk_is_left_for_derived_images(a_queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=1000, free=110))
    with pytest.raises(QueueFull, match="free some space"):
        a_queue.add("1", "1.1", bytes(11))
    assert a_queue.add("1", "1.1", bytes(10))


def test_on_a_full_disk_nothing_is_lost_and_nothing_sent_twice(
    a_queue: Queue,
    a_clock: Clock,
    a_series: list[Path],
    a_model_file: Path,
    an_archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
):
    filled(a_queue, a_series)
    a_clock.ahead = 10
    at_work = station(a_queue, a_model_file, an_archive.address)
    slice_of = "medical_super_resolution.volumes.dicom.derived.writer._slice"
    for step, fails in ((slice_of, no_room_for_a_slice), ("pathlib.Path.write_text", no_room)):
        with monkeypatch.context() as full:
            full.setattr(step, fails)
            assert not at_work.enhance_complete(threading.Event())
        assert [folder.name for folder in a_queue.waiting()] == [label(SERIES)]
    assert at_work.enhance_complete(threading.Event())
    with monkeypatch.context() as full:
        full.setattr("pathlib.Path.touch", no_room)
        assert not at_work._succeeds(at_work.send_waiting)
    assert at_work._succeeds(at_work.send_waiting)
    assert len(an_archive.got) == 10
    assert [path.name for path in a_queue.folder.rglob("*") if path.is_file()] == [label(SERIES)]
