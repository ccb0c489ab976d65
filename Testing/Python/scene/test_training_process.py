"""medsr-train in child processes. A script plays it; `test_the_real_command_line_is_found` has the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine_double import child_id, eventually, is_alive
from medical_super_resolution.errors import Cancelled, SuperResolutionError
from MedicalSuperResolutionTrainingLib.training_process import TrainingProcess
from training_double import training_program

pytestmark = pytest.mark.usefixtures("temporary_folder")
REPOSITORY, TRAINING = Path(__file__).parents[3], "MedicalSuperResolutionTraining"
TRAIN = ["train", "recipe.toml", "--out", "."]


def a_process(tmp_path: Path, ending: str = "") -> TrainingProcess:
    return TrainingProcess(training_program(tmp_path, ending))


def test_commands_run_one_after_the_other(tmp_path: Path):
    process = a_process(tmp_path, "print(verb, 'done')")
    process.start([["prepare", "folder", "data.json"], TRAIN])
    eventually(process.poll)
    written = (tmp_path / "arguments.jsonl").read_text().splitlines()
    assert [json.loads(line)[0] for line in written] == ["prepare", "train"]
    assert process.log == ("prepare done", "train done")
    assert not process.is_running


def test_the_last_of_many_lines_are_kept(tmp_path: Path):
    process = a_process(tmp_path, "print(*range(300), sep='\\n')")
    process.start([TRAIN])
    eventually(process.poll)
    assert process.log == tuple(map(str, range(100, 300)))


def test_what_it_prints_can_be_followed(tmp_path: Path):
    process = a_process(tmp_path, "print('10%\\r20%', end='', flush=True); wait_for('go'); print()")
    process.start([TRAIN])
    eventually(lambda: process.poll() or process.log == ("20%",))
    assert process.is_running
    (tmp_path / "go").touch()
    eventually(process.poll)


def test_a_failure_has_its_own_message_and_ends_the_remaining_commands(tmp_path: Path):
    process = a_process(tmp_path, "print('error: the loss is nan at step 7', file=sys.stderr); sys.exit(1)")
    process.start([["prepare"], TRAIN])
    with pytest.raises(SuperResolutionError, match="^the loss is nan at step 7$"):
        eventually(process.poll)
    assert not process.is_running
    assert len((tmp_path / "arguments.jsonl").read_text().splitlines()) == 1
    with pytest.raises(Cancelled):
        process.poll()


@pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")
def test_the_error_of_a_killed_training_names_the_signal(tmp_path: Path):
    process = a_process(tmp_path, "os.kill(os.getpid(), 9)")
    process.start([TRAIN])
    with pytest.raises(SuperResolutionError, match=r"the training was stopped from outside \(ended by SIGKILL\)"):
        eventually(process.poll)


def test_stopping_ends_the_child_soon(tmp_path: Path, temporary_folder: Path):
    process = a_process(tmp_path, "Path('pid').write_text(str(os.getpid())); time.sleep(60)")
    process.start([TRAIN, TRAIN])
    child = child_id(temporary_folder)
    started = time.monotonic()
    process.stop()
    assert time.monotonic() - started < 30
    eventually(lambda: not is_alive(child))
    with pytest.raises(Cancelled):
        process.poll()


def test_a_process_that_is_forgotten_ends_its_child(tmp_path: Path, temporary_folder: Path):
    process = a_process(tmp_path, "Path('pid').write_text(str(os.getpid())); time.sleep(60)")
    process.start([TRAIN])
    child = child_id(temporary_folder)
    del process
    eventually(lambda: not is_alive(child))


@pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")
def test_the_child_ends_with_a_slicer_that_was_killed(tmp_path: Path, temporary_folder: Path):
    program = training_program(tmp_path, "Path('pid').write_text(str(os.getpid())); time.sleep(60)")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(temporary_folder), *program])
    child = child_id(temporary_folder)
    parent.kill()
    parent.wait()
    eventually(lambda: not is_alive(child))
    process = a_process(tmp_path, "print('again')")  # which cleans up what the dead one has left
    process.start([TRAIN])
    eventually(process.poll)


PARENT = f"""
import sys, tempfile, time
sys.path[:0] = {[str(folder) for folder in (REPOSITORY / "MedicalSuperResolution", REPOSITORY / TRAINING)]}
tempfile.tempdir = sys.argv[1]
from MedicalSuperResolutionTrainingLib.training_process import TrainingProcess
process = TrainingProcess(sys.argv[2:])
process.start([["train", "recipe.toml", "--out", "."]])
time.sleep(60)
"""


def test_a_second_training_at_the_same_time_is_refused(tmp_path: Path):
    process = a_process(tmp_path, "time.sleep(60)")
    process.start([TRAIN])
    with pytest.raises(SuperResolutionError, match="running already"):
        process.start([TRAIN])
    process.stop()


def test_the_real_command_line_is_found():
    process = TrainingProcess()
    process.start([["recipes", "none.toml"]])
    with pytest.raises(SuperResolutionError, match="none.toml"):
        eventually(process.poll, seconds=60)
