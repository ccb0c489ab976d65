"""The server of the viewer: who gets in, what is shown, how files come and go."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import socket
import sys
import tempfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

import dicom_files
from medical_super_resolution.cli.commands import view
from medical_super_resolution.cli.main import main
from medical_super_resolution.errors import SettingsError
from medical_super_resolution.viewer import sessions as sessions_module
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume
from viewer_doubles import LIMIT, TOKEN, RunDouble, pixels

pytest.importorskip("starlette", reason="the viewer's extra is not installed")
pytest.importorskip("httpx", reason="the test client needs it")
from starlette.testclient import TestClient


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/api/choices", "/api/choices?token=right"])
def test_nobody_gets_in_without_the_token(a_client: TestClient, path: str):
    assert a_client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 403


def test_a_page_of_a_server_that_was_started_anew_is_told_what_to_open(a_client: TestClient):
    answer = a_client.get("/api/choices", headers={"Authorization": "Bearer of the one before"})
    assert answer.json()["error"] == "open the address that medsr view has printed"


def test_a_browser_is_started_with_an_address_that_leads_to_the_page_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    opened, served = [], []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: served.append(server.config.app))
    assert main(["view", "--open"]) == 0
    printed = capsys.readouterr().out.strip()
    token = printed.partition("token=")[2]
    assert token not in opened[0]  # all users of a computer see it among the processes
    with TestClient(served[0], base_url=printed.partition("/?")[0], follow_redirects=False) as client:
        assert client.get("/once/wrong").status_code == 403
        assert client.get(opened[0]).headers["location"] == f"/?token={token}"
        assert client.get(opened[0]).status_code == 403


def test_volumes_that_a_killed_server_has_left_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)
    (tmp_path / "medsr-view-999999999-0-a" / "uploads").mkdir(parents=True)
    assert main(["view"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_printed_address_opens_a_page_that_may_load_nothing_from_outside(a_client: TestClient):
    answer = a_client.get("/?token=right", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http" not in answer.text
    for name in ("viewer.js", "controls.js", "views.js", "images.js", "viewer.css"):
        assert a_client.get(f"/page/{name}", headers={"Authorization": ""}).status_code == 200


def test_a_full_disk_and_a_lack_of_memory_are_said_in_a_sentence(
    a_client: TestClient, a_session: str, a_scan: Path, monkeypatch: pytest.MonkeyPatch
):
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def no_memory(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as full:
        full.setattr("medical_super_resolution.viewer.server.run_in_threadpool", no_room)
        answer = a_client.put(f"{a_session}/files/scan.nii", content=b"voxels")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("scan.nii cannot be stored: No space left on device; free some space")
    monkeypatch.setattr(sessions_module.files, "read", no_memory)
    answer = a_client.post(f"{a_session}/open", json={"path": str(a_scan)})
    assert (answer.status_code, "not enough memory" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize("question", [b"no JSON", b"[]", b"[" * 60_000], ids=["text", "list", "deep"])
def test_a_question_that_is_no_object_is_refused_in_a_sentence(a_client: TestClient, a_session: str, question: bytes):
    answer = a_client.post(f"{a_session}/open", content=question)
    assert (answer.status_code, answer.json()["error"]) == (422, "the question is no JSON object")


def test_another_name_of_the_server_is_refused(a_client: TestClient):
    assert a_client.get("/api/choices", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("name", ["index.html", "..%2fserver.py", "%2e%2e/server.py"])
def test_only_the_files_of_the_page_are_served(a_client: TestClient, name: str):
    assert a_client.get(f"/page/{name}").status_code in (403, 404)


def test_slices_come_without_loss_as_a_radiologist_sees_them(a_client: TestClient, an_opened: str, a_scan: Path):
    array = files.read(a_scan).array
    coronal = pixels(a_client, an_opened, "before", "coronal", 3)
    assert coronal.dtype == np.int16
    np.testing.assert_array_equal(coronal, array[::-1, 3, ::-1])  # the head is up, the patient's right at the left
    np.testing.assert_array_equal(pixels(a_client, an_opened, "before", "axial", 0), array[0, ::-1, ::-1])


def test_a_volume_is_described(a_client: TestClient, an_opened: str):
    volume = a_client.get(an_opened).json()["volume"]
    assert volume["revealing"] == ["coronal", "sagittal"]
    assert volume["planes"]["sagittal"] == {"count": 6, "left": "A", "top": "S", "width_mm": 10.0, "height_mm": 16.0}
    assert volume["images"] == ["before"]


@pytest.mark.parametrize("place", ["before/coronal/5", "after/coronal/0", "before/oblique/0", "before/coronal/-1"])
def test_a_slice_that_is_not_there_is_refused(a_client: TestClient, an_opened: str, place: str):
    assert a_client.get(f"{an_opened}/slices/{place}").status_code in (404, 422)


def test_an_upload_is_opened_and_a_name_cannot_lead_elsewhere(a_client: TestClient, a_session: str, a_scan: Path):
    name = "..%5C..%5Cetc%5Cpasswd%20of.nii.gz"
    assert a_client.put(f"{a_session}/files/{name}?first=1", content=a_scan.read_bytes()).status_code == 200
    answer = a_client.post(f"{a_session}/open", json={})
    assert answer.json()["volume"]["size_before"] == "6x5x4 at 1.00x2.00x4.00 mm"
    (session,) = a_client.app.state.sessions
    assert [path.name for path in session.uploads.iterdir()] == ["passwd_of.nii.gz"]


def test_a_page_that_is_closed_during_an_upload_leaves_no_file_and_no_traceback(a_client: TestClient, a_session: str):
    coming = iter([{"type": "http.request", "body": b"begun", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict:
        return next(coming)

    async def send(answer: dict) -> None:
        """Reach nobody."""

    headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {TOKEN}".encode())]
    put = {"type": "http", "method": "PUT", "path": f"{a_session}/files/scan.nii", "query_string": b""}
    asyncio.run(a_client.app(put | {"headers": headers}, receive, send))  # an error would be printed as a traceback
    session = next(iter(a_client.app.state.sessions))
    assert not list(session.uploads.iterdir())


def test_a_larger_upload_is_refused_and_leaves_nothing(a_client: TestClient, a_session: str):
    answer = a_client.put(f"{a_session}/files/large.nii", content=bytes(LIMIT + 1))
    assert answer.status_code == 422
    assert "--max-upload" in answer.json()["error"]
    (session,) = a_client.app.state.sessions
    assert not list(session.uploads.iterdir())
    assert a_client.put(f"{a_session}/files/as_large_as_may_be.nii", content=bytes(LIMIT)).status_code == 200


def test_a_file_that_is_no_volume_is_named_and_the_volume_before_stays(a_client: TestClient, an_opened: str):
    a_client.put(f"{an_opened}/files/notes.nii.gz?first=1", content=gzip.compress(b"no volume"))
    answer = a_client.post(f"{an_opened}/open", json={})
    assert answer.status_code == 422
    assert "notes.nii.gz" in answer.json()["error"]
    assert a_client.get(an_opened).json()["volume"]["images"] == ["before"]


@pytest.mark.parametrize("path", ["missing.nii", "~nobody-of-this-name/scan.nii"])
def test_a_path_that_leads_nowhere_is_named_and_ends_no_enhancement(a_client: TestClient, an_opened: str, path: str):
    a_client.post(f"{an_opened}/enhance", json={"goal": "thin-2"})
    answer = a_client.post(f"{an_opened}/open", json={"path": path})
    assert (answer.status_code, answer.json()["error"]) == (422, f"there is no file {path}")
    assert a_client.get(an_opened).json()["run"]["status"] == "running"


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes of any encoding there")
def test_a_name_in_the_encoding_of_an_old_archive_is_refused_by_escapes(
    a_client: TestClient, a_session: str, tmp_path: Path
):
    (tmp_path / os.fsdecode(b"M\xfcller.dcm.gz")).write_bytes(gzip.compress(b"packed"))
    answer = a_client.post(f"{a_session}/open", json={"path": str(tmp_path)})
    assert (answer.status_code, r"M\udcfcller.dcm.gz" in answer.json()["error"]) == (422, True)


def test_a_zipped_dicom_series_is_opened_and_enhanced_as_its_files(
    a_client: TestClient, a_session: str, a_volume: Volume, tmp_path: Path
):
    dicom_files.write_series(tmp_path / "series", a_volume.array)
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for number, path in enumerate((tmp_path / "series").iterdir()):
            archive.write(path, f"../../{number % 2}/IM{number // 2}")
    a_client.app.state.largest_upload = 10**7
    a_client.put(f"{a_session}/files/series.ZIP?first=1", content=(tmp_path / "series.zip").read_bytes())
    volume = a_client.post(f"{a_session}/open", json={}).json()["volume"]
    assert volume["size_before"].startswith("20x18x9 at ")
    assert a_client.post(f"{a_session}/enhance", json={"goal": "isotropic"}).status_code == 200
    assert files.read(Path(RunDouble.last.arguments[0])).array.shape == (9, 18, 20)
    (session,) = a_client.app.state.sessions
    assert {path.parent for path in session.folder.rglob("*IM*")} == {session.uploads}
    assert len(list(session.uploads.iterdir())) == 9  # without the zip file


def test_a_volume_that_is_no_longer_shown_takes_no_room(a_client: TestClient, a_session: str, a_scan: Path):
    for name in ("one.nii.gz", "other.nii.gz"):
        a_client.put(f"{a_session}/files/{name}?first=1", content=a_scan.read_bytes())
        a_client.post(f"{a_session}/open", json={})
    for _ in range(3):
        a_client.post(f"{a_session}/enhance", json={"goal": "isotropic"})
        RunDouble.last.finish()
    (session,) = a_client.app.state.sessions
    assert [path.name for path in session.folder.rglob("*.nii.gz") if path.name != "result.nii.gz"] == ["other.nii.gz"]
    assert len(list(session.folder.rglob("result.nii.gz"))) == 2  # the last one is shown while the next is made


def test_a_question_that_is_too_long_is_not_kept_in_memory(a_client: TestClient, a_session: str):
    answer = a_client.post(f"{a_session}/open", content=b" " * 70_000)
    assert (answer.status_code, answer.json()["error"]) == (422, "the question is too long")


def test_a_volume_that_macos_has_zipped_is_opened(a_client: TestClient, a_session: str, a_scan: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.write(a_scan, a_scan.name)
        archive.writestr(f"__MACOSX/._{a_scan.name}", b"\0\5\x16\7 where it was loaded from")
    a_client.put(f"{a_session}/files/scan.zip?first=1", content=(tmp_path / "scan.zip").read_bytes())
    answer = a_client.post(f"{a_session}/open", json={})
    assert answer.json()["volume"]["size_before"] == "6x5x4 at 1.00x2.00x4.00 mm"


def test_a_zipped_header_finds_its_voxels(a_client: TestClient, a_session: str, a_volume: Volume, tmp_path: Path):
    (tmp_path / "pair").mkdir()
    files.write(a_volume, tmp_path / "pair" / "scan.mhd")
    with zipfile.ZipFile(tmp_path / "pair.zip", "w") as archive:
        for path in (tmp_path / "pair").iterdir():
            archive.write(path, f"pair/{path.name}")
    a_client.app.state.largest_upload = 10**7
    a_client.put(f"{a_session}/files/pair.zip?first=1", content=(tmp_path / "pair.zip").read_bytes())
    answer = a_client.post(f"{a_session}/open", json={})
    assert answer.json()["volume"]["size_before"].startswith("20x18x9 at ")


def test_a_damaged_zip_is_refused_in_a_sentence(a_client: TestClient, a_session: str):
    a_client.put(f"{a_session}/files/series.zip?first=1", content=b"PK no zip")
    answer = a_client.post(f"{a_session}/open", json={})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("the file series.zip cannot be unpacked: ")


def test_an_uploaded_volume_can_be_enhanced_after_another_was_refused(
    a_client: TestClient, a_session: str, a_scan: Path
):
    for name, content in (("scan.nii.gz", a_scan.read_bytes()), ("wrong.nii.gz", b"no volume")):
        a_client.put(f"{a_session}/files/{name}?first=1", content=content)
        a_client.post(f"{a_session}/open", json={})
    assert a_client.post(f"{a_session}/enhance", json={"goal": "isotropic"}).status_code == 200
    assert Path(RunDouble.last.arguments[0]).read_bytes() == a_scan.read_bytes()


@pytest.mark.parametrize("other", ["other.nii.gz", "one.other.nii.gz", "one.nrrd"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_of_several_volumes_none_is_guessed(
    a_client: TestClient, a_session: str, a_scan: Path, tmp_path: Path, other: str, *, is_zipped: bool
):
    contents = dict.fromkeys(("one.nii.gz", other), a_scan.read_bytes())
    if is_zipped:
        with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        contents = {"two.zip": (tmp_path / "two.zip").read_bytes()}
    for name, content in contents.items():
        a_client.put(f"{a_session}/files/{name}", content=content)
    answer = a_client.post(f"{a_session}/open", json={})
    assert "several volumes, one.nii.gz and others" in answer.json()["error"]


def test_the_two_files_of_a_nifti_pair_are_one_volume(a_client: TestClient, a_session: str, tmp_path: Path):
    pair = nibabel.Nifti1Pair(np.zeros((6, 5, 4), np.int16), np.diag([1.0, 2, 4, 1]))
    nibabel.save(pair, tmp_path / "scan.hdr")
    for name in ("scan.img", "scan.hdr"):
        a_client.put(f"{a_session}/files/{name}", content=(tmp_path / name).read_bytes())
    answer = a_client.post(f"{a_session}/open", json={})
    assert answer.json()["volume"]["size_before"] == "6x5x4 at 1.00x2.00x4.00 mm"


def test_values_that_cannot_be_computed_with_are_refused_and_the_volume_before_stays(
    a_client: TestClient, an_opened: str, tmp_path: Path
):
    array = np.linspace(0, 1e300, 120).reshape(4, 5, 6)
    files.write(Volume(array, Grid(array.shape, np.eye(4))), tmp_path / "huge.nii.gz")
    answer = a_client.post(f"{an_opened}/open", json={"path": str(tmp_path / "huge.nii.gz")})
    assert answer.status_code == 422
    assert "reach a magnitude of 1e+300" in answer.json()["error"]
    assert a_client.get(an_opened).json()["version"] == 1


def test_an_upload_without_volumes_is_refused_in_its_own_words(a_client: TestClient, a_session: str):
    answer = a_client.post(f"{a_session}/open", json={})
    assert answer.json()["error"].startswith("there is no DICOM series in what was uploaded; ")


def test_where_the_system_can_keep_other_programs_off_the_port_it_is_asked_to(monkeypatch: pytest.MonkeyPatch):
    """On Windows, SO_REUSEADDR lets others take the same port. Another option stands for the one that is only there."""
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    options = (socket.SO_KEEPALIVE, socket.SO_REUSEADDR)
    with view._listening(0) as listening:
        assert [bool(listening.getsockopt(socket.SOL_SOCKET, option)) for option in options] == [True, False]


def test_the_port_answers_once_its_address_is_printed_and_is_of_one_viewer():
    with view._listening(0) as listening:
        socket.create_connection(listening.getsockname(), timeout=5).close()
        with pytest.raises(SettingsError, match="cannot be used; choose another"):
            view._listening(listening.getsockname()[1])
