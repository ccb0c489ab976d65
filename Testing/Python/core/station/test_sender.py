"""Derived series are sent once, and what a receiver does not take is sent later."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.station.queue import Queue
from medical_super_resolution.station.rules import Rule
from medical_super_resolution.station.sender import DicomNode, DicomWeb, NoAnswerError, SendingError, destination_of
from medical_super_resolution.station.service import Station
from medical_super_resolution.station.source import DicomWebSource
from station_doubles import Archive, Clock, filled, send, station

pydicom = pytest.importorskip("pydicom")
pynetdicom = pytest.importorskip("pynetdicom")


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
    for name, content in (("0", b"\xff"), ("1", b"nowhere")):
        (a_queue.folder / "sending" / name).mkdir()
        (a_queue.folder / "sending" / name / "destination.txt").write_bytes(content)
        os.utime(a_queue.folder / "sending" / name, (0, 0))  # the first
    assert not at_work.send_waiting()
    assert len(an_archive.got) == 10


def test_a_destination_that_does_not_answer_is_tried_once_and_holds_up_no_other(
    a_queue: Queue,
    a_series: list[Path],
    an_archive: Archive,
    a_port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
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
    for _ in range(15):
        at_work.send_waiting()
    assert tried.count("SILENT") == 5
    assert caplog.text.count("what waits for it is sent again later") == 1


def test_a_series_that_is_refused_again_and_again_is_sent_ever_more_rarely_and_holds_up_no_other(
    a_queue: Queue, a_series: list[Path], an_archive_without_queries: Archive, caplog: pytest.LogCaptureFixture
):
    archive = an_archive_without_queries
    at_work = Station(a_queue, (), "A@b:1", "MEDSR")
    archive.status = 0xA700
    for name in ("refused", "stored"):
        folder = a_queue.folder / "sending" / name
        folder.mkdir()
        (folder / "destination.txt").write_text(archive.address)
        (folder / "0.dcm").write_bytes(a_series[0].read_bytes())
        for _ in range(5 if name == "refused" else 1):
            assert not at_work.send_waiting()
        assert len(archive.got) == (3 if name == "refused" else 4)
        archive.status = 0
    assert [folder.name for folder in a_queue.sending()] == ["refused"]
    assert caplog.text.count("did not store an image: status 0xA700; it is sent again later") == 1
    for _ in range(2):
        at_work.send_waiting()
    assert a_queue.sending() == []


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
    monkeypatch.setattr(pytest.importorskip("dicomweb_client"), "DICOMwebClient", lambda address, session: made)
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


def test_a_refusal_is_named_by_its_status_and_the_log_holds_no_password(
    a_queue: Queue, a_series: list[Path], caplog: pytest.LogCaptureFixture
):
    pytest.importorskip("dicomweb_client")

    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    (a_series[0].parent).replace(a_queue.workspace("series"))
    with HTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        address = f"http://pacs:p@ss@{host}/dicom-web"
        a_queue.enhanced("series", a_queue.folder / "enhancing" / "series", address)
        assert not station(a_queue, Path("none"), address).send_waiting()
        server.shutdown()
    assert f"the DICOMweb service http://{host}/dicom-web did not store an image: HTTP status 401" in caplog.text
    assert "p@ss" not in caplog.text


def test_connections_to_a_service_are_closed_at_once(a_queue: Queue, a_series: list[Path]):
    pytest.importorskip("dicomweb_client")

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which keeps a connection for the next request

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.daemon_threads = False  # so that closing it waits for the end of all connections
    address = f"http://127.0.0.1:{server.server_port}"
    gc.disable()
    try:
        assert not DicomWeb(address).holds(a_series[0])
        DicomWebSource(address, (Rule(modality="CT"),)).fetch(a_queue)
        server.shutdown()
        closing = threading.Thread(target=server.server_close, daemon=True)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
    finally:
        gc.enable()


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


@pytest.mark.parametrize(
    ("status", "is_stored"), [(0xB000, True), (0xB006, True), (0xB007, True), (0xA700, False), (0xA900, False)]
)
def test_an_image_that_is_stored_with_a_warning_is_stored(
    a_series: list[Path], an_archive: Archive, status: int, is_stored: bool
):
    an_archive.status = status
    with nullcontext() if is_stored else pytest.raises(SendingError, match=f"status 0x{status:04X}"):
        send(destination_of(an_archive.address, title="MEDSR"), a_series[:1])


def test_destinations_are_understood():
    assert destination_of("ORTHANC@pacs.example:4242", title="M") == DicomNode("ORTHANC", "pacs.example", 4242, "M")
    assert destination_of("https://pacs.example/dicom-web", title="M") == DicomWeb("https://pacs.example/dicom-web")


@pytest.mark.parametrize("text", ["", "ORTHANC", "ORTHANC@host", "ORTHANC@host:0", "ORTHANC@host:65536", "@host:1"])
def test_destinations_without_sense_are_refused(text: str):
    with pytest.raises(SettingsError, match="AE@HOST:PORT"):
        destination_of(text, title="M")
