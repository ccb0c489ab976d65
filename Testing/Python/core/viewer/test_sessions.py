"""The sessions of the viewer: enhancements, one at a time, and what is left of them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from medical_super_resolution.report import Report
from medical_super_resolution.viewer import enhancement
from medical_super_resolution.viewer.comparison import Comparison
from medical_super_resolution.viewer.enhancement import Enhancement
from medical_super_resolution.viewer.sessions import SessionOver, Sessions
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume
from viewer_doubles import LIMIT, TOKEN, RunDouble, pixels

pytest.importorskip("starlette", reason="the viewer's extra is not installed")
pytest.importorskip("httpx", reason="the test client needs it")
from starlette.testclient import TestClient

from medical_super_resolution.viewer.server import application


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


def test_a_result_that_comes_while_the_page_asks_is_not_missed(a_client: TestClient, an_opened: str):
    class Ending:
        """A run that ends as soon as its status is looked at."""

        message, part = "Done.", 1.0

        @property
        def status(self) -> str:
            session.version += 1
            return "done"

        def cancel(self, message: str) -> None:
            pass

    session = next(iter(a_client.app.state.sessions))
    version, session.run = session.version, Ending()
    assert session.state()["version"] == version + 1


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        ({"goal": "isotropic"}, []),
        ({"goal": "in-plane-2"}, ["--factor", "2.0", "--axes", "in-plane"]),
        ({"goal": "factor", "factor": "2.5"}, ["--factor", "2.5"]),
        ({"goal": "spacing", "spacing": ["1", "1", "1.5"]}, ["--spacing", "1.0", "1.0", "1.5"]),
        ({"goal": "isotropic", "modality": ""}, []),
        ({"goal": "isotropic", "modality": "ct"}, ["--modality", "ct"]),
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
        ({"goal": "isotropic", "modality": "xray"}, "unknown modality 'xray'"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(a_client: TestClient, an_opened: str, asked: dict, said: str):
    answer = a_client.post(f"{an_opened}/enhance", json=asked)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


def test_a_result_is_shown_as_the_modality_that_was_stated_for_it(a_client: TestClient, an_opened: str):
    for modality, unit in (("ct", "HU"), ("", "")):
        a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic", "modality": modality})
        RunDouble.last.finish()
        assert a_client.get(an_opened).json()["volume"]["unit"] == unit


def test_a_cancelled_enhancement_leaves_the_volume_as_it_was(a_client: TestClient, an_opened: str):
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    assert a_client.post(f"{an_opened}/cancel").json()["run"]["status"] == "cancelled"
    assert a_client.get(an_opened).json()["volume"]["images"] == ["before"]
    assert a_client.get(f"{an_opened}/result/result.nii.gz").status_code == 422


def test_another_volume_ends_the_enhancement_and_has_no_result(a_client: TestClient, an_opened: str, a_scan: Path):
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    RunDouble.last.finish()
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    opened = a_client.post(f"{an_opened}/open", json={"path": str(a_scan)}).json()
    assert RunDouble.last.status == "cancelled"
    assert (opened["run"], opened["report"], opened["volume"]["images"]) == (None, None, ["before"])
    assert a_client.get(f"{an_opened}/result/result.nii.gz").status_code == 422


def test_sessions_know_nothing_of_each_other_and_one_works_at_a_time(
    a_client: TestClient, an_opened: str, a_scan: Path
):
    other = f"/api/sessions/{a_client.post('/api/sessions').json()['session']}"
    assert a_client.get(other).json()["volume"] is None
    a_client.post(f"{other}/open", json={"path": str(a_scan)})
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    answer = a_client.post(f"{other}/enhance", json={"goal": "isotropic"})
    assert "another page is enhancing" in answer.json()["error"]
    assert a_client.get(f"{other[:-4]}none").status_code == 404


def test_an_enhancement_whose_page_was_closed_is_ended_for_that_of_another_page(
    a_client: TestClient, an_opened: str, a_scan: Path, monkeypatch: pytest.MonkeyPatch
):
    begun = time.monotonic()
    a_client.post(f"{an_opened}/enhance", json={"goal": "thin-2"})
    closed = RunDouble.last
    another = f"/api/sessions/{a_client.post('/api/sessions').json()['session']}"
    a_client.post(f"{another}/open", json={"path": str(a_scan)})
    monkeypatch.setattr(time, "monotonic", lambda: begun + 100)  # a page in the background asks once a minute
    assert a_client.post(f"{another}/enhance", json={"goal": "thin-2"}).status_code == 422
    monkeypatch.setattr(time, "monotonic", lambda: begun + 200)
    assert a_client.post(f"{another}/enhance", json={"goal": "thin-2"}).json()["run"]["status"] == "running"
    assert closed.status == "cancelled"
    assert closed.message.startswith("Ended for another page")  # which may have slept


def test_the_ninth_session_takes_the_place_of_the_oldest_that_does_not_work(a_client: TestClient, an_opened: str):
    a_client.post(f"{an_opened}/enhance", json={"goal": "isotropic"})
    names = [a_client.post("/api/sessions").json()["session"] for _ in range(7)]
    _, oldest, *_ = a_client.app.state.sessions
    names.append(a_client.post("/api/sessions").json()["session"])
    assert not oldest.folder.exists()
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


def test_a_result_that_is_like_the_volume_has_a_scale_for_their_difference():
    flat = Volume(np.zeros((4, 5, 6), np.int16), Grid((4, 5, 6), np.eye(4)))
    assert Comparison(flat, flat).described["difference_limit"] == 1.0


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


@pytest.mark.parametrize("problem", [MemoryError(), RuntimeError("Failed to allocate memory for image.")])
def test_a_run_whose_result_cannot_be_shown_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
):
    """Else it would pass for running: no session could enhance until the server is started again."""

    def finished() -> None:
        raise problem

    monkeypatch.setattr(enhancement, "_PROGRAM", "pass")
    run = Enhancement([], tmp_path, finished)
    run.wait()
    assert (run.status, "for lack of memory; try a smaller factor" in run.message) == ("failed", True)


def test_other_users_do_not_see_the_name_of_the_volume(a_scan: Path, tmp_path: Path):
    run = Enhancement([str(a_scan), str(tmp_path / "out.nii")], tmp_path, lambda: None)
    shown = Path(f"/proc/{run._process.pid}/cmdline")
    if not shown.exists():
        pytest.skip("needs /proc")
    assert a_scan.name.encode() not in shown.read_bytes()
    run.cancel()


@pytest.mark.skipif(os.name == "nt", reason="there, every process ends at once")
@pytest.mark.parametrize(("handler", "status"), [("signal.SIG_IGN", -9), ("lambda *_: os._exit(0)", 0)])
def test_a_cancelled_run_is_ended_and_has_no_result_though_its_process_ignores_it_or_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: str, status: int
):
    program = f"import os, signal, time; signal.signal(signal.SIGTERM, {handler})\n"
    program += """print('{"done": 1, "total": 2}', flush=True); time.sleep(20)"""
    monkeypatch.setattr(enhancement, "_PROGRAM", program)
    monkeypatch.setattr(enhancement, "_GRACE_SECONDS", 0.1)
    run = Enhancement([], tmp_path, lambda: pytest.fail("shown"))
    while not run.part:
        time.sleep(0.01)
    run.cancel()
    assert (run.status, run._process.returncode) == ("cancelled", status)


def test_a_run_can_be_cancelled_at_its_start(a_scan: Path, tmp_path: Path):
    run = Enhancement([str(a_scan), str(tmp_path / "out.nii")], tmp_path, lambda: None)
    run.cancel("Ended.")
    assert (run.status, run.message) == ("cancelled", "Ended.")
    assert not (tmp_path / "out.nii").exists()


def test_a_session_that_is_replaced_while_it_is_looked_up_is_over():
    class ReplacedInBetween(dict):
        """Sessions of which one goes as soon as it was seen."""

        def __contains__(self, name: object) -> bool:
            return True

    sessions = Sessions()
    sessions._sessions = ReplacedInBetween()
    with pytest.raises(SessionOver, match="this session is over"):
        sessions["replaced"]
