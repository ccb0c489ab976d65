"""Processes and folders: their end when a parent dies, and the Python that is started."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from engine_double import child_id, eventually, is_alive
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.settings import EnhanceSettings
from MedicalSuperResolutionLib.process import subprocess as engine_process

posix_only = pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")


@posix_only
def test_the_child_ends_with_its_parent_and_the_next_run_cleans_up(an_engine, a_volume, temporary_folder, tmp_path):
    an_engine("Path('pid').write_text(str(os.getpid())); time.sleep(60)")  # writes the script
    package_folder = Path(engine_process.__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(package_folder), str(temporary_folder), str(tmp_path)])
    child = child_id(temporary_folder)
    parent.kill()
    parent.wait()
    eventually(lambda: not is_alive(child))
    assert len(list(temporary_folder.iterdir())) == 1
    an_engine("finish()").run(a_volume, EnhanceSettings())  # and then `temporary_folder` finds nothing left


PARENT = """
import sys, tempfile, time
package_folder, tempfile.tempdir, engine_folder = sys.argv[1:]
sys.path.insert(0, package_folder)
import numpy as np
from MedicalSuperResolutionLib.process.runner import Runner
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
runner = Runner([sys.executable, engine_folder + "/engine.py"])
runner.start(Volume(np.zeros((3, 4, 5), np.int16), Grid((3, 4, 5), np.eye(4))), EnhanceSettings())
time.sleep(60)
"""


def test_the_folder_of_a_run_that_goes_on_is_no_leftover(an_engine, a_volume, temporary_folder):
    engine = an_engine("wait_for('go'); finish()")
    engine.start(a_volume, EnhanceSettings())
    engine_process.remove_stale_folders()
    next(temporary_folder.iterdir()).joinpath("go").touch()
    assert eventually(engine.poll).report.model == "general"


def test_only_folders_of_dead_processes_are_leftovers(temporary_folder):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (temporary_folder / f"MedicalSuperResolution-run-{dead.pid}-1-abc").mkdir()
    others = [temporary_folder / name for name in ("MedicalSuperResolution-run-me-too-abc", "something-1-2-3")]
    for folder in others:
        folder.mkdir()
    engine_process.remove_stale_folders()
    assert sorted(temporary_folder.iterdir()) == sorted(others)
    for folder in others:
        folder.rmdir()


@pytest.mark.parametrize("chosen", [None, "active"])
def test_idle_threads_leave_the_processor_to_slicer_unless_the_user_wants_it_otherwise(
    an_engine, a_volume, temporary_folder, monkeypatch, chosen
):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    engine = an_engine("Path('threads').write_text(os.environ['OMP_WAIT_POLICY']); finish()")
    engine.run(a_volume, EnhanceSettings())
    assert next(temporary_folder.glob("*/threads")).read_text() == (chosen or "passive")
    engine.close()


def test_this_python_is_started_where_it_is_a_program():
    assert engine_process.python() == sys.executable


def test_slicers_python_is_found_beside_the_application(tmp_path, monkeypatch):
    launcher = tmp_path / ("PythonSlicer.exe" if os.name == "nt" else "PythonSlicer")
    launcher.write_text("")
    launcher.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    assert Path(engine_process.python()) == launcher


def test_an_application_without_slicers_python_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    with pytest.raises(SuperResolutionError, match="PythonSlicer was not found"):
        engine_process.python()


@pytest.mark.parametrize(("named", "where"), [(True, r" \(.*/a file\): Not a directory;"), (False, ": No usable")])
def test_the_error_without_a_temporary_folder_names_a_remedy(an_engine, a_volume, tmp_path, monkeypatch, named, where):
    def nowhere():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    (tmp_path / "a file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a file"))
    if not named:
        monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(SuperResolutionError, match=f"^No folder for temporary files can be made{where}.*TMPDIR"):
        an_engine("finish()").run(a_volume, EnhanceSettings())
