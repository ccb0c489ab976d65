"""The receiver of the station: who may call, and how much a caller may send."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import dicom_files
from medical_super_resolution.station.intake import Intake
from medical_super_resolution.station.queue import Queue
from medical_super_resolution.station.receiver import Tls
from medical_super_resolution.station.sender import DicomNode, SendingError
from station_doubles import send

pydicom = pytest.importorskip("pydicom")
pynetdicom = pytest.importorskip("pynetdicom")


@pytest.fixture
def some_certificates(tmp_path: Path) -> Tls:
    """One certificate for the station and its callers, which is its own authority."""
    security = pytest.importorskip("distributed").Security.temporary()
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(security.tls_ca_file)
    key.write_text(security.tls_scheduler_key)
    return Tls(certificate, key, certificate)


def _is_accepted(port: int, certificates: Tls, *, shown: bool = True) -> bool:
    """Whether a station answers a caller, by TLS, with or without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(certificates.authority)
    if shown:
        context.load_cert_chain(certificates.certificate, certificates.key)
    entity = pynetdicom.AE("MODALITY")
    entity.connection_timeout = entity.acse_timeout = 10
    entity.add_requested_context(pynetdicom.sop_class.Verification)
    association = entity.associate("127.0.0.1", port, ae_title="MEDSR", tls_args=(context, None))
    is_accepted = association.is_established and association.send_c_echo().Status == 0
    association.release()
    return is_accepted


@pytest.mark.parametrize(("called", "calling"), [("MEDSR", "STRANGER"), ("OTHER", "MODALITY")])
def test_other_callers_and_calls_for_others_are_refused_and_named_in_the_log(
    a_queue: Queue, a_series: list[Path], a_port: int, called: str, calling: str, caplog: pytest.LogCaptureFixture
):
    from medical_super_resolution.station.receiver import listen

    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port, callers=("MODALITY",))
    try:
        with pytest.raises(SendingError, match="refuses"):
            send(DicomNode(called, "127.0.0.1", a_port, calling), a_series)
    finally:
        server.shutdown()
    assert f"the caller {calling}, who called {called}, was refused" in caplog.messages
    assert list(a_queue.folder.rglob("*.dcm")) == []


def test_who_calls_a_secured_station_must_show_a_certificate_of_its_authority(
    a_queue: Queue, a_port: int, some_certificates: Tls
):
    from medical_super_resolution.station.receiver import listen

    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port, tls=some_certificates)
    try:
        assert not _is_accepted(a_port, some_certificates, shown=False)
        assert _is_accepted(a_port, some_certificates)
    finally:
        server.shutdown()


def test_a_silent_caller_of_a_secured_station_holds_up_no_other(a_queue: Queue, a_port: int, some_certificates: Tls):
    from medical_super_resolution.station.receiver import listen

    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port, tls=some_certificates)
    try:
        with socket.create_connection(("127.0.0.1", a_port), timeout=30) as silent:
            assert _is_accepted(a_port, some_certificates)
            silent.shutdown(socket.SHUT_WR)
            silent.recv(1)
    finally:
        server.shutdown()


def test_callers_that_fall_silent_within_a_message_make_room_for_others(
    a_queue: Queue, a_series: list[Path], a_port: int, monkeypatch: pytest.MonkeyPatch
):
    from medical_super_resolution.station import receiver

    monkeypatch.setattr(receiver, "_SECONDS_OF_SILENCE", 2)
    server = receiver.listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    callers = [socket.create_connection(("127.0.0.1", a_port)) for _ in range(receiver._MOST_ASSOCIATIONS + 1)]
    try:
        for caller in callers:
            caller.sendall(b"\x01\x00\x00")
            caller.settimeout(30)
        assert [caller.recv(1) for caller in callers] == [b""] * len(callers)
        send(DicomNode("MEDSR", "127.0.0.1", a_port, "MODALITY"), a_series)
    finally:
        for caller in callers:
            caller.close()
        server.shutdown()


@pytest.mark.parametrize("is_secured", [False, True])
def test_callers_that_leave_without_asking_make_room_at_once(
    a_queue: Queue, a_port: int, some_certificates: Tls, is_secured: bool
):
    """As programs do that watch whether a port is open."""
    from medical_super_resolution.station import receiver

    tls = some_certificates if is_secured else None
    server = receiver.listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port, tls=tls)
    try:
        for _ in range(2 * receiver._MOST_ASSOCIATIONS):
            socket.create_connection(("127.0.0.1", a_port)).close()
        time.sleep(1)  # until the last of them was accepted, too
        ends = time.monotonic() + 30
        while server.active_associations and time.monotonic() < ends:
            time.sleep(0.1)
        assert server.active_associations == []
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    "syntax", ["JPEGLossless", "JPEGLosslessSV1", "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"]
)
def test_a_caller_may_send_images_in_any_one_compression_without_loss(a_queue: Queue, a_port: int, syntax: str):
    from medical_super_resolution.station.receiver import listen

    caller = pynetdicom.AE("MODALITY")
    caller.add_requested_context(pynetdicom.sop_class.CTImageStorage, [getattr(pydicom.uid, syntax)])
    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    try:
        association = caller.associate("127.0.0.1", a_port, ae_title="MEDSR")
        assert [str(one.abstract_syntax) for one in association.accepted_contexts] == [dicom_files.CT_IMAGE_STORAGE]
        association.release()
    finally:
        server.shutdown()


def test_a_caller_may_send_all_that_a_study_can_hold(a_queue: Queue, a_port: int):
    from medical_super_resolution.station.receiver import listen

    caller = pynetdicom.AE("MODALITY")
    for kind in ("66.7", "30", "88.68", "200.2"):  # a label map, a parametric map, a dose report, a protocol
        caller.add_requested_context(f"1.2.840.10008.5.1.4.1.1.{kind}")
    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    try:
        association = caller.associate("127.0.0.1", a_port, ae_title="MEDSR")
        assert association.is_established
        assert association.rejected_contexts == []
        association.release()
    finally:
        server.shutdown()


@pytest.mark.parametrize("is_there", [False, True])
def test_an_image_that_does_not_name_its_series_is_not_acknowledged(
    a_queue: Queue, a_series: list[Path], a_port: int, is_there: bool
):
    from medical_super_resolution.station.receiver import listen

    image = pydicom.dcmread(a_series[0])
    del image.SeriesInstanceUID
    if is_there:
        image.SeriesInstanceUID = ""
    image.save_as(a_series[0])
    server = listen(a_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    try:
        with pytest.raises(SendingError, match="0xC000"):
            send(DicomNode("MEDSR", "127.0.0.1", a_port, "MODALITY"), a_series[:1])
    finally:
        server.shutdown()


def test_the_log_says_where_room_is_missing_for_an_image(
    tmp_path: Path, a_series: list[Path], a_port: int, caplog: pytest.LogCaptureFixture
):
    from medical_super_resolution.station.receiver import listen

    a_full_queue = Queue(tmp_path / "full", largest_bytes=1)
    server = listen(a_full_queue, title="MEDSR", host="127.0.0.1", port=a_port)
    try:
        with pytest.raises(SendingError, match="0xA700"):
            send(DicomNode("MEDSR", "127.0.0.1", a_port, "MODALITY"), a_series)
    finally:
        server.shutdown()
    assert "an image was refused: the queue holds its 1e-09 GB; remove series from its failed/, " in caplog.text


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
    receive = Intake(bytearray, largest_pdu=100, largest_image=200)
    assert len(receive(100)) == 100
    with pytest.raises(ConnectionAbortedError):
        receive(101)
    receive.on_message(None)
    receive(100), receive(100)
    with pytest.raises(ConnectionAbortedError):
        receive(100)


def test_an_image_counts_as_in_memory_until_it_was_answered():
    intake, part = Intake(bytearray), SimpleNamespace(presentation_data_value=bytes(10))
    intake.on_pdu(SimpleNamespace(pdu=SimpleNamespace(presentation_data_value_items=[part])))
    intake.on_message(None)
    assert intake.held == 10
    intake.on_response(None)
    assert intake.held == 0


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
