"""The server of the viewer: who gets in, what is shown, how files come and go."""

from __future__ import annotations

import errno
import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import dicom_files
from medical_super_resolution.cli.main import main
from medical_super_resolution.report import Report
from medical_super_resolution.viewer import sessions as sessions_module
from medical_super_resolution.viewer.enhancement import Enhancement
from medical_super_resolution.viewer.sessions import Sessions
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

pytest.importorskip("starlette", reason="the viewer's extra is not installed")
pytest.importorskip("httpx", reason="the test client needs it")
from starlette.testclient import TestClient

from medical_super_resolution.viewer.server import application

TOKEN = "right"
LIMIT = 20_000
SPACING = (1.0, 2.0, 4.0)


@pytest.fixture
def a_scan(tmp_path: Path) -> Path:
    """(K, J, I) = (4, 5, 6) whole numbers that are all different; the slices are across k."""
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    path = tmp_path / "scan.nii.gz"
    files.write(Volume(array, Grid(array.shape, np.diag([*SPACING, 1.0]))), path)
    return path


class RunDouble:
    """Replaces the process: the test decides when it ends, and the result has twice the slices."""

    last: RunDouble

    def __init__(self, arguments: list[str], folder: Path, finished: Callable[[], None]) -> None:
        self.status, self.message, self.part = "running", "", 0.25
        self.arguments, self.folder, self._finished = arguments, folder, finished
        RunDouble.last = self

    def finish(self) -> None:
        before = files.read(Path(self.arguments[0]))
        grid = before.grid.refined("k", 2)
        files.write(Volume(np.repeat(before.array, 2, axis=0), grid), self.folder / "result.nii.gz")
        (self.folder / "report.json").write_text('{"model": "general"}')
        self._finished()
        self.status, self.message = "done", "Done."

    def cancel(self) -> None:
        if self.status == "running":
            self.status = "cancelled"


@pytest.fixture
def a_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(sessions_module, "Enhancement", RunDouble)
    served = application(Sessions(), TOKEN, largest_upload=LIMIT)
    with TestClient(served, base_url="http://127.0.0.1:8000", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture
def a_session(a_client: TestClient) -> str:
    return f"/api/sessions/{a_client.post('/api/sessions').json()['session']}"


@pytest.fixture
def an_opened(a_client: TestClient, a_session: str, a_scan: Path) -> str:
    assert a_client.post(f"{a_session}/open", json={"path": str(a_scan)}).status_code == 200
    return a_session


def pixels(client: TestClient, session: str, image: str, plane: str, number: int) -> np.ndarray:
    answer = client.get(f"{session}/slices/{image}/{plane}/{number}")
    assert answer.status_code == 200, answer.text
    shape = int(answer.headers["x-rows"]), int(answer.headers["x-columns"])
    return np.frombuffer(answer.content, np.dtype(answer.headers["x-type"]).newbyteorder("<")).reshape(shape)


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/api/choices", "/api/choices?token=right"])
def test_nobody_gets_in_without_the_token(a_client: TestClient, path: str):
    assert a_client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 403


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


def test_a_larger_upload_is_refused_and_leaves_nothing(a_client: TestClient, a_session: str):
    answer = a_client.put(f"{a_session}/files/large.nii", content=bytes(LIMIT + 1))
    assert answer.status_code == 422
    assert "--max-upload" in answer.json()["error"]
    (session,) = a_client.app.state.sessions
    assert not list(session.uploads.iterdir())


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


def test_a_damaged_zip_is_refused_in_a_sentence(a_client: TestClient, a_session: str):
    a_client.put(f"{a_session}/files/series.zip?first=1", content=b"PK no zip")
    answer = a_client.post(f"{a_session}/open", json={})
    assert (answer.status_code, "series.zip cannot be unpacked" in answer.json()["error"]) == (422, True)


def test_an_uploaded_volume_can_be_enhanced_after_another_was_refused(
    a_client: TestClient, a_session: str, a_scan: Path
):
    for name, content in (("scan.nii.gz", a_scan.read_bytes()), ("wrong.nii.gz", b"no volume")):
        a_client.put(f"{a_session}/files/{name}?first=1", content=content)
        a_client.post(f"{a_session}/open", json={})
    assert a_client.post(f"{a_session}/enhance", json={"goal": "isotropic"}).status_code == 200
    assert Path(RunDouble.last.arguments[0]).read_bytes() == a_scan.read_bytes()


def test_of_several_volumes_none_is_guessed(a_client: TestClient, a_session: str, a_scan: Path):
    for name in ("one.nii.gz", "other.nii.gz"):
        a_client.put(f"{a_session}/files/{name}", content=a_scan.read_bytes())
    answer = a_client.post(f"{a_session}/open", json={})
    assert "several volumes, one.nii.gz and others" in answer.json()["error"]


def test_an_enhancement_shows_before_after_and_difference(a_client: TestClient, an_opened: str):
    asked = {"goal": "thin-2", "model": "general", "detail": 0.5}
    running = a_client.post(f"{an_opened}/enhance", json=asked).json()
    assert running["run"] == {"status": "running", "message": "", "part": 0.25}
    RunDouble.last.finish()
    done = a_client.get(an_opened).json()
    assert done["volume"]["images"] == ["before", "after", "difference"]
    assert done["version"] == running["version"] + 1
    before, after, difference = (
        pixels(a_client, an_opened, image, "sagittal", 2) for image in ("before", "after", "difference")
    )
    assert before.shape == after.shape == (8, 5)
    np.testing.assert_array_equal(difference, after - before)
    assert a_client.get(f"{an_opened}/result/report.json").json() == {"model": "general"}
    assert a_client.get(f"{an_opened}/result/result.nii.gz").content[:2] == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        ({"goal": "isotropic"}, []),
        ({"goal": "in-plane-2"}, ["--factor", "2.0", "--axes", "in-plane"]),
        ({"goal": "factor", "factor": "2.5"}, ["--factor", "2.5"]),
        ({"goal": "spacing", "spacing": ["1", "1", "1.5"]}, ["--spacing", "1.0", "1.0", "1.5"]),
    ],
)
def test_a_goal_becomes_the_options_of_the_command(
    a_client: TestClient, an_opened: str, asked: dict, arguments: list[str]
):
    assert a_client.post(f"{an_opened}/enhance", json=asked).status_code == 200
    assert RunDouble.last.arguments[4:] == arguments


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"goal": "magic"}, "unknown goal 'magic'"),
        ({"goal": "factor", "factor": ""}, "are numbers"),
        ({"goal": "factor", "factor": 9}, "above 1 and at most 8"),
        ({"goal": "isotropic", "model": "/etc/passwd"}, "no model '/etc/passwd'"),
        ({"goal": "isotropic", "detail": 2}, "the detail must be"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(a_client: TestClient, an_opened: str, asked: dict, said: str):
    answer = a_client.post(f"{an_opened}/enhance", json=asked)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


def test_a_cancelled_enhancement_leaves_the_volume_as_it_was(a_client: TestClient, an_opened: str):
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    assert a_client.post(f"{an_opened}/cancel").json()["run"]["status"] == "cancelled"
    assert a_client.get(an_opened).json()["volume"]["images"] == ["before"]
    assert a_client.get(f"{an_opened}/result/result.nii.gz").status_code == 422


def test_sessions_know_nothing_of_each_other_and_one_works_at_a_time(
    a_client: TestClient, an_opened: str, a_scan: Path
):
    other = f"/api/sessions/{a_client.post('/api/sessions').json()['session']}"
    assert a_client.get(other).json()["volume"] is None
    a_client.post(f"{other}/open", json={"path": str(a_scan)})
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    answer = a_client.post(f"{other}/enhance", json={"goal": "isotropic"})
    assert "another enhancement is running" in answer.json()["error"]
    assert a_client.get(f"{other[:-4]}none").status_code == 404


def test_the_ninth_session_takes_the_place_of_the_oldest_that_does_not_work(a_client: TestClient, an_opened: str):
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    names = [a_client.post("/api/sessions").json()["session"] for _ in range(8)]
    assert a_client.get(an_opened).status_code == 200
    assert a_client.get(f"/api/sessions/{names[0]}").status_code == 404
    assert a_client.get(f"/api/sessions/{names[1]}").status_code == 200


def test_all_files_of_the_sessions_are_gone_at_the_end(a_scan: Path):
    sessions = Sessions()
    with TestClient(application(sessions, TOKEN, largest_upload=LIMIT)):
        sessions.new()
        (session,) = sessions
        assert session.folder.is_dir()
    assert not session.folder.exists()


def test_a_real_run_ends_with_a_result_and_a_report(a_scan: Path, a_model_file: Path, tmp_path: Path):
    folder, ended = tmp_path / "run", []
    folder.mkdir()
    result, report = folder / "result.nii.gz", folder / "report.json"
    asked = [str(a_scan), str(result), "--report", str(report), "--model", str(a_model_file), "--factor", "2"]
    run = Enhancement(asked, folder, lambda: ended.append(files.read(result).array.shape))
    run.wait()
    assert (run.status, run.part, ended) == ("done", 1.0, [(8, 5, 6)]), run.message
    made = Report.from_dict(json.loads(report.read_text()))
    assert (made.model, made.size_after_ijk) == ("tiny", (6, 5, 8))


def test_a_run_that_fails_says_why(tmp_path: Path):
    run = Enhancement(["scan.nii", "out.nii", "--factor", "9"], tmp_path, lambda: None)
    run.wait()
    assert run.status == "failed"
    assert run.message.startswith("the factor must be above 1 and at most 8, got 9")


def test_other_users_do_not_see_the_name_of_the_volume(a_scan: Path, tmp_path: Path):
    run = Enhancement([str(a_scan), str(tmp_path / "out.nii")], tmp_path, lambda: None)
    shown = Path(f"/proc/{run._process.pid}/cmdline")
    if not shown.exists():
        pytest.skip("needs /proc")
    assert a_scan.name.encode() not in shown.read_bytes()
    run.cancel()


def test_a_run_can_be_cancelled_at_its_start(a_scan: Path, tmp_path: Path):
    run = Enhancement([str(a_scan), str(tmp_path / "out.nii")], tmp_path, lambda: None)
    run.cancel()
    assert run.status == "cancelled"
    assert not (tmp_path / "out.nii").exists()


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
