"""The engine in a child process. A script plays the engine; `test_runner_real_engine` has the real one."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine_double import child_id, eventually, is_alive
from medical_super_resolution.cli.main import parser
from medical_super_resolution.cli.settings import settings_of
from medical_super_resolution.errors import Cancelled, SuperResolutionError
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.process import subprocess
from MedicalSuperResolutionLib.process.exchange import EnhanceExchange
from MedicalSuperResolutionLib.process.runner import Runner

pytestmark = pytest.mark.usefixtures("temporary_folder")
KILL_GROUP = getattr(os, "killpg", None)
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")


# ---- a run that goes well


def test_a_run_gives_the_volume_and_the_report_of_the_child(an_engine, a_volume, an_enhanced):
    settings = EnhanceSettings(factor=2.5, threads=2)
    enhanced = an_engine("finish()").run(a_volume, settings)
    np.testing.assert_array_equal(enhanced.volume.array, a_volume.array)
    assert enhanced.volume.array.dtype == np.int16
    np.testing.assert_allclose(enhanced.volume.grid.ijk_to_ras, a_volume.grid.ijk_to_ras, atol=1e-12)
    assert enhanced.volume.modality == "ct"
    assert enhanced.report == dataclasses.replace(an_enhanced.report, settings=dataclasses.asdict(settings))


def test_progress_arrives_up_to_its_end(an_engine, a_volume):
    seen = []
    an_engine("step(1, 3); time.sleep(0.2); print('chatter'); step(2, 3); step(3, 3); finish()").run(
        a_volume, EnhanceSettings(), lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (3, 3)
    assert (1, 3) in seen
    assert seen == sorted(seen, key=lambda step: step[0] / step[1])


def test_the_part_of_the_work_arrives(an_engine, a_volume, temporary_folder):
    engine = an_engine(
        "print(json.dumps({'stage': 'reading'}), flush=True); wait_for('go');"
        "print(json.dumps({'stage': 'refining'}), flush=True); finish()"
    )

    def look(done, total):
        if engine.stage == "reading":
            next(temporary_folder.glob("*")).joinpath("go").touch()

    engine.run(a_volume, EnhanceSettings(), look)
    assert engine.stage == "refining"
    engine.close()


def test_a_run_can_be_looked_after_by_a_timer(an_engine, a_volume, temporary_folder):
    engine = an_engine("step(1, 2); wait_for('go'); finish()")
    engine.start(a_volume, EnhanceSettings())
    eventually(lambda: engine.poll() or engine.progress == (1, 2))
    assert engine.is_running
    next(temporary_folder.glob("*")).joinpath("go").touch()
    enhanced = eventually(engine.poll)
    np.testing.assert_array_equal(enhanced.volume.array, a_volume.array)
    assert not engine.is_running


def test_one_runner_can_run_many_times(an_engine, a_volume):
    engine = an_engine("finish()")
    for _ in range(3):
        assert engine.run(a_volume, EnhanceSettings()).report.model == "general"
    engine.close()


def test_progress_begins_anew_with_each_run(an_engine, a_volume):
    engine = an_engine("print(json.dumps({'stage': 'refining'}), flush=True); step(3, 3); finish()")
    engine.run(a_volume, EnhanceSettings())
    engine.start(a_volume, EnhanceSettings())
    assert (engine.progress, engine.stage) == ((0, 1), "")
    engine.close()


def test_all_runs_of_a_runner_share_one_process(an_engine, a_volume, temporary_folder):
    engine = an_engine("Path('pids').open('a').write(f'{os.getpid()} '); finish()")
    engine.run(a_volume, EnhanceSettings())
    engine.run(a_volume, EnhanceSettings(uncertainty=True))
    written = next(temporary_folder.glob("*/pids")).read_text().split()
    assert (len(written), len(set(written))) == (2, 1)
    assert is_alive(int(written[0]))
    engine.close()
    assert not is_alive(int(written[0]))


def test_the_result_of_an_earlier_run_is_not_taken_for_a_new_one(an_engine, a_volume):
    engine = an_engine("Path('seen').exists() or finish(); Path('seen').touch()")
    engine.run(a_volume, EnhanceSettings())
    with pytest.raises(SuperResolutionError, match="without a complete result"):
        engine.run(a_volume, EnhanceSettings())


def test_warnings_of_an_earlier_run_are_not_in_the_log_of_one_that_fails(an_engine, a_volume, caplog):
    engine = an_engine(
        "print('warning: thick' if Path('seen').exists() else 'warning: thin', file=sys.stderr);"
        "Path('seen').exists() and os._exit(3); Path('seen').touch(); finish()"
    )
    engine.run(a_volume, EnhanceSettings())
    with pytest.raises(SuperResolutionError, match="exit status 3"):
        engine.run(a_volume, EnhanceSettings())
    assert "warning: thick" in caplog.text
    assert "warning: thin" not in caplog.text


def test_a_process_that_has_ended_between_two_runs_is_started_anew(an_engine, a_volume, temporary_folder):
    engine = an_engine("Path('pid').write_text(str(os.getpid())); finish()")
    engine.run(a_volume, EnhanceSettings())
    os.kill(child_id(temporary_folder), 9)
    eventually(lambda: not engine.has_process)  # all of its threads, not only the first
    assert engine.run(a_volume, EnhanceSettings()).report.model == "general"
    engine.close()


def test_a_process_that_ends_just_after_it_was_looked_at_is_started_anew(
    an_engine, a_volume, temporary_folder, monkeypatch: pytest.MonkeyPatch
):
    engine = an_engine("Path('pid').write_text(str(os.getpid())); finish()")
    engine.run(a_volume, EnhanceSettings())
    os.kill(child_id(temporary_folder), 9)
    eventually(lambda: not engine.has_process)  # all of its threads, not only the first
    monkeypatch.setattr(engine._worker, "has_ended", lambda: False)
    assert engine.run(a_volume, EnhanceSettings()).report.model == "general"
    engine.close()


def test_a_second_run_at_the_same_time_is_refused(an_engine, a_volume):
    engine = an_engine("time.sleep(60)")
    engine.start(a_volume, EnhanceSettings())
    with pytest.raises(SuperResolutionError, match="running already"):
        engine.start(a_volume, EnhanceSettings())
    engine.close()


def test_every_setting_reaches_the_child(a_volume):
    changed = {
        "factor": 2.5,
        "axes": "ij",
        "spacing_ijk_mm": (0.5, 0.25, 1.0),
        "exact_spacing": True,
        "slice_thickness_mm": 4.0,
        "slice_profile": "box",
        "model": "other",
        "detail": 0.5,
        "consistency": False,
        "uncertainty": True,
        "quality": "best",
        "device": "cpu",
        "threads": 3,
        "precision": "mixed",
        "memory_gb": 0.5,
    }
    assert changed.keys() == {field.name for field in dataclasses.fields(EnhanceSettings)}
    for name, value in changed.items():
        also = {"spacing_ijk_mm": (1.0, 1.0, 1.0)} if name == "exact_spacing" else {}
        asked = EnhanceSettings(**also, **{name: value})
        assert settings_of(parser(None).parse_args(EnhanceExchange(a_volume, asked).arguments())) == asked


def test_what_only_the_node_knows_reaches_the_child(a_volume):
    volume = dataclasses.replace(a_volume, slice_thickness_mm=2.5, modality="mr")
    chosen = EnhanceExchange(volume, EnhanceSettings()).arguments()
    assert chosen[chosen.index("--slice-thickness") + 1] == "2.5"
    assert chosen[chosen.index("--modality") + 1] == "mr"
    by_hand = EnhanceExchange(volume, EnhanceSettings(slice_thickness_mm=4)).arguments()
    assert float(by_hand[by_hand.index("--slice-thickness") + 1]) == 4


def test_a_model_file_named_from_here_is_found_from_the_childs_folder(a_volume, tmp_path, monkeypatch):
    (tmp_path / "mine.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    chosen = EnhanceExchange(a_volume, EnhanceSettings(model="mine.safetensors")).arguments()
    assert str(tmp_path / "mine.safetensors") in chosen


@posix_only
def test_nobody_else_can_look_at_the_volume(an_engine, a_volume, temporary_folder):
    engine = an_engine("finish(); step(1, 1); time.sleep(60)")
    engine.start(a_volume, EnhanceSettings())
    eventually(lambda: engine.poll() or engine.progress == (1, 1))
    folder = next(temporary_folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in folder.glob("*.nrrd")}
    assert modes == {"input.nrrd": 0, "output.nrrd": 0}
    engine.close()


# ---- a run that is stopped


def test_cancelling_from_progress_ends_the_child_soon(an_engine, a_volume, temporary_folder):
    engine = an_engine("Path('pid').write_text(str(os.getpid())); step(1, 9); time.sleep(60)")
    child, stopped = [], []

    def stop(done, total):
        if done == 1:
            child.append(child_id(temporary_folder))
            stopped.append(time.monotonic())
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.run(a_volume, EnhanceSettings(), stop)
    assert time.monotonic() - stopped[0] < 30  # of 60, on a computer however busy
    assert not is_alive(child[0])
    assert not engine.is_running


def test_cancelling_while_run_waits_raises_in_the_caller(an_engine, a_volume):
    engine = an_engine("time.sleep(60)")
    with pytest.raises(Cancelled):
        engine.run(a_volume, EnhanceSettings(), lambda done, total: engine.close())


def test_poll_raises_for_a_cancelled_run(an_engine, a_volume):
    engine = an_engine("time.sleep(60)")
    engine.start(a_volume, EnhanceSettings())
    engine.close()
    engine.close()
    with pytest.raises(Cancelled):
        engine.poll()


@posix_only
def test_a_child_that_does_not_listen_is_killed_after_a_second(an_engine, a_volume, temporary_folder):
    engine = an_engine(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    )
    engine.start(a_volume, EnhanceSettings())
    child, started = child_id(temporary_folder), time.monotonic()
    engine.close()
    assert 0.9 < time.monotonic() - started < 30
    assert not is_alive(child)


@posix_only
def test_what_a_launcher_has_started_ends_too(an_engine, a_volume, temporary_folder):
    engine = an_engine(
        "import subprocess; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "Path('pid').write_text(str(child.pid)); time.sleep(60)"
    )
    engine.start(a_volume, EnhanceSettings())
    grandchild = child_id(temporary_folder)
    engine.close()
    eventually(lambda: not is_alive(grandchild))


@posix_only
def test_a_process_without_a_run_is_not_asked_to_end(an_engine, a_volume, monkeypatch):
    sent = []
    monkeypatch.setattr(subprocess.os, "killpg", lambda group, number: (sent.append(number), KILL_GROUP(group, number)))
    engine = an_engine("finish()")
    engine.run(a_volume, EnhanceSettings())
    engine.close()
    assert sent[0] == signal.SIGKILL


def test_a_child_that_was_interrupted_counts_as_cancelled(an_engine, a_volume):
    with pytest.raises(Cancelled):
        an_engine("sys.exit(130)").run(a_volume, EnhanceSettings())


def test_a_forgotten_runner_takes_its_child_along(an_engine, a_volume, temporary_folder):
    engine = an_engine("Path('pid').write_text(str(os.getpid())); time.sleep(60)")
    engine.start(a_volume, EnhanceSettings())
    child = child_id(temporary_folder)
    del engine
    assert not is_alive(child)


# ---- a run that fails


def test_a_refusal_of_the_engine_arrives_in_its_words(an_engine, a_volume):
    said = "error: the model is old\nloading\nerror: the volume is flat; use another"  # the last one ended it
    engine = an_engine(f"print({said!r}, file=sys.stderr); sys.exit(1)")
    with pytest.raises(SuperResolutionError, match=r"^the volume is flat; use another$"):
        engine.run(a_volume, EnhanceSettings())


def test_a_result_that_does_not_fit_is_named_with_its_folder(an_engine, a_volume, temporary_folder):
    engine = an_engine("print(f'error: {output} could not be written', file=sys.stderr); sys.exit(1)")
    with pytest.raises(SuperResolutionError) as refusal:
        engine.run(a_volume, EnhanceSettings())
    path = Path(str(refusal.value).removesuffix(" could not be written"))
    assert path.parents[1] == temporary_folder


def test_a_traceback_of_the_engine_becomes_one_sentence_and_is_in_the_log(an_engine, a_volume, caplog):
    engine = an_engine("print('chatter\\n' * 60, file=sys.stderr); raise ZeroDivisionError('oh')")
    with pytest.raises(SuperResolutionError, match="stopped unexpectedly with exit status 1; the scene is unchanged"):
        engine.run(a_volume, EnhanceSettings())
    assert "ended with exit status 1" in caplog.text
    assert "ZeroDivisionError: oh" in caplog.text


@posix_only
def test_a_killed_child_becomes_one_sentence(an_engine, a_volume):
    with pytest.raises(SuperResolutionError, match=r"\(ended by SIGKILL\), most often for lack of memory"):
        an_engine("step(1, 2); os.kill(os.getpid(), signal.SIGKILL)").run(a_volume, EnhanceSettings())


def test_a_crash_that_slicers_launcher_reports_is_not_taken_for_a_refusal(an_engine, a_volume):
    launcher = "print('error: [/opt/Slicer/bin/python-real] exit abnormally - Report the problem.', file=sys.stderr)"
    with pytest.raises(SuperResolutionError, match=r"the engine was stopped from outside \(crashed\)"):
        an_engine(f"{launcher}; sys.exit(1)").run(a_volume, EnhanceSettings())


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "Path(report).write_text(json.dumps(REPORT))",
        "Path(output).write_bytes(Path(given).read_bytes())",
        "finish(); Path(report).write_text('{}')",
        "finish(); Path(report).write_text('{')",
        "finish(); Path(output).write_text('NRRD0004')",
    ],
)
def test_a_result_that_is_not_whole_is_no_result(an_engine, a_volume, ending):
    with pytest.raises(SuperResolutionError, match="without a complete result"):
        an_engine(ending).run(a_volume, EnhanceSettings())


def test_a_folder_for_temporary_files_that_is_full_is_named_with_what_is_free_and_what_is_needed(
    an_engine, temporary_folder, monkeypatch
):
    def full(*given, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("medical_super_resolution.volumes.io.files.write", full)
    monkeypatch.setattr(
        "MedicalSuperResolutionLib.process.exchange.shutil.disk_usage", lambda path: SimpleNamespace(free=250_000)
    )
    shape = (24, 100, 100)
    volume = Volume(np.zeros(shape, np.int16), Grid(shape, np.eye(4)))
    with pytest.raises(SuperResolutionError, match=r"did not take a copy .*: 0\.2 MB are free and 0\.5 MB are needed"):
        an_engine("finish()").run(volume, EnhanceSettings())
    assert list(temporary_folder.iterdir()) == []


def test_a_value_that_is_not_finite_does_not_pass_for_a_full_folder(an_engine, temporary_folder):
    array = np.zeros((8, 6, 5), np.float32)
    array[2, 3, 4] = np.nan
    with pytest.raises(SuperResolutionError, match="slice 2 of the volume holds values that are not finite"):
        an_engine("finish()").run(Volume(array, Grid(array.shape, np.eye(4))), EnhanceSettings())
    assert list(temporary_folder.iterdir()) == []


def test_a_missing_program_becomes_one_sentence(a_volume, tmp_path):
    with pytest.raises(SuperResolutionError, match="missing/python could not be started: No such file"):
        Runner([str(tmp_path / "missing/python")]).run(a_volume, EnhanceSettings())


def test_a_runner_can_be_used_again_after_a_failure(an_engine, a_volume):
    engine = an_engine("sys.exit(3)")
    for _ in range(2):
        with pytest.raises(SuperResolutionError, match="exit status 3"):
            engine.run(a_volume, EnhanceSettings())
