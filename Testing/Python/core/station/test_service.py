"""The station: received series are enhanced once and sent once, and nobody is identified in logs."""

from __future__ import annotations

import errno
import logging
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dicom_files
from medical_super_resolution.station.queue import Queue, label
from medical_super_resolution.station.room import size_of
from medical_super_resolution.station.rules import Rule
from medical_super_resolution.station.sender import DicomNode, SendingError
from medical_super_resolution.station.service import Station
from station_doubles import SERIES, Archive, Clock, filled, no_room, send, station

pytest.importorskip("pynetdicom")


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
    assert {path.name for path in a_queue.folder.rglob("*") if path.is_file()} == {label(SERIES), label(derived)}
    assert a_queue.is_known(derived)  # so that it is not fetched from the archive


def test_an_image_that_comes_after_its_series_was_enhanced_is_refused_and_those_that_come_again_are_not(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path, an_archive: Archive, a_port: int, caplog
):
    from medical_super_resolution.station.receiver import listen

    caplog.set_level(logging.INFO)
    scanner = DicomNode("MEDSR", "127.0.0.1", a_port, "MODALITY")
    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    try:
        send(scanner, a_series[:4])
        a_clock.ahead = 10
        at_work = station(a_queue, a_model_file, an_archive.address)
        at_work.enhance_complete(threading.Event())
        for _ in ("waiting to be sent", "sent"):
            send(scanner, a_series[:4])
            with pytest.raises(SendingError, match="0x0110"):
                send(scanner, a_series[4:])
            assert at_work.send_waiting()
    finally:
        server.shutdown()
    assert caplog.text.count("an image was refused: the series was enhanced without it") == 2
    assert len(an_archive.got) == 8


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


def test_a_series_that_cannot_be_enhanced_is_set_aside_with_its_reason(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path
):
    filled(a_queue, a_series[:1])
    a_clock.ahead = 10
    station(a_queue, a_model_file, "A@b:1").enhance_complete(threading.Event())
    (reason,) = a_queue.folder.glob("failed/*/reason.txt")
    assert reason.read_text().strip()
    assert a_queue.waiting() == []


def test_the_reason_names_the_file_where_it_lies_now(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path
):
    a_series[1].write_bytes(a_series[1].read_bytes()[:-9])
    filled(a_queue, a_series)
    a_clock.ahead = 10
    station(a_queue, a_model_file, "A@b:1").enhance_complete(threading.Event())
    (reason,) = a_queue.folder.glob("failed/*/reason.txt")
    assert reason.read_text().startswith(str(reason.parent / f"{label(a_series[1].name)}.dcm"))


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


def test_a_series_that_waits_for_room_is_received_further(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path
):
    filled(a_queue, a_series[:-1])
    a_clock.ahead = 10
    at_work = station(a_queue, a_model_file, "A@b:1", _enhancer=SimpleNamespace(write=no_room))
    assert not at_work.enhance_complete(threading.Event())
    assert a_queue.add(SERIES, a_series[-1].name, a_series[-1].read_bytes())


def test_a_derived_series_goes_where_its_rule_says(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path
):
    filled(a_queue, a_series)
    a_clock.ahead = 10
    written = SimpleNamespace(write=lambda source, target, rule: target.mkdir())
    at_work = station(a_queue, a_model_file, "A@b:1", _enhancer=written)
    at_work.rules = (Rule(send_to="B@c:2"),)
    at_work.enhance_complete(threading.Event())
    assert (a_queue.sending()[0] / "destination.txt").read_text() == "B@c:2"


def test_a_station_that_is_stopped_begins_nothing(a_queue: Queue, a_model_file: Path):
    (a_queue.folder / "waiting" / "series").mkdir()
    stop = threading.Event()
    stop.set()
    at_work = station(a_queue, a_model_file, "A@b:1")
    at_work.run(stop)
    at_work.enhance_complete(stop)
    assert [folder.name for folder in a_queue.waiting()] == ["series"]


def test_logs_name_no_identifier(
    a_queue: Queue, a_clock: Clock, a_series: list[Path], a_model_file: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    filled(a_queue, a_series)
    a_clock.ahead = 10
    station(a_queue, a_model_file, "A@b:1", is_trial=True).enhance_complete(threading.Event())
    assert "would be enhanced" in caplog.text
    assert "passed over" not in caplog.text
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


def no_room_for_a_slice(*_: object) -> None:
    try:
        no_room()
    except OSError as problem:
        raise OSError("With tag (7FE0,0010) got exception") from problem  # as pydicom does


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
    put_in_place = "medical_super_resolution.station.queue.put_in_place"
    for step, fails in (
        (slice_of, no_room_for_a_slice),
        ("pathlib.Path.write_text", no_room),
        (put_in_place, no_room),
    ):
        with monkeypatch.context() as full:
            full.setattr(step, fails)
            assert not at_work.enhance_complete(threading.Event())
        assert [folder.name for folder in a_queue.waiting()] == [label(SERIES)]
        assert a_queue._room.used_bytes == size_of(a_queue.folder / "waiting")
    assert at_work.enhance_complete(threading.Event())
    with monkeypatch.context() as full:
        full.setattr("pathlib.Path.touch", no_room)
        assert not at_work._succeeds(at_work.send_waiting)
    assert at_work._succeeds(at_work.send_waiting)
    assert len(an_archive.got) == 10
    assert [path.name for path in a_queue.folder.rglob("*") if path.is_file()] == [label(SERIES)]
