"""A child process with a private folder: how it is started and ended on each system, and what a dead parent left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import medical_super_resolution
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.system import temp_dirs as leftovers

_FOLDER_PREFIX = "MedicalSuperResolution-run-"
_STDOUT, _STDERR = "stdout.txt", "stderr.txt"
_GRACE_SECONDS = 1.0
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows; elsewhere there is none to suppress
_LAUNCHER_SAYS = "exit abnormally"  # Slicer's launcher puts "error: [python] exit abnormally" below a crash


def python() -> str:
    """The Python to start: this one, or Slicer's where this one is built into the application."""
    if Path(sys.executable or "").stem.lower().startswith("python"):  # PythonSlicer too
        return sys.executable
    beside = str(Path(sys.executable).parent) if sys.executable else ""
    found = shutil.which("PythonSlicer") or shutil.which("PythonSlicer", path=beside)
    if found is None:
        raise SuperResolutionError("the program PythonSlicer was not found beside Slicer; install Slicer again")
    return found


def private_folder() -> Path:
    """A new temporary folder that nobody else may look into; its name tells whose it is."""
    return leftovers.private_folder(_FOLDER_PREFIX)


def remove_stale_folders() -> None:
    """Remove the private folders of processes that are gone and could not do so themselves."""
    leftovers.remove_stale_folders(_FOLDER_PREFIX)


def started(arguments: Sequence[str], folder: Path, *packages: ModuleType) -> subprocess.Popen[bytes]:
    """Start a child in its folder, where it also puts what it prints.

    It can import this package and the ``packages``, which this process has imported from wherever they lie.

    Raises
    ------
    SuperResolutionError : the program is missing or not allowed to run.
    """
    homes = [str(Path(package.__file__).parents[1]) for package in (medical_super_resolution, *packages)]
    search_path = os.pathsep.join(filter(None, [*dict.fromkeys(homes), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search_path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    with (folder / _STDOUT).open("xb") as stdout, (folder / _STDERR).open("xb") as stderr:
        try:
            return subprocess.Popen(
                list(arguments),
                cwd=folder,  # Python looks there first: no file of the user's may pass for a package
                env=environment,
                stdin=subprocess.PIPE,  # ends when this process does, which tells the child to end itself
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # a group of its own, which can be ended as a whole
                umask=0o077 if os.name == "posix" else -1,
                creationflags=_NO_WINDOW,
            )
        except OSError as problem:
            raise SuperResolutionError(f"{arguments[0]} could not be started: {problem.strerror}") from problem


def said(folder: Path) -> str:
    """What a child has printed so far on its standard output."""
    return _text(folder / _STDOUT)


def told(folder: Path) -> str:
    """What a child has printed so far on its standard error: warnings and errors."""
    return _text(folder / _STDERR)


def why(status: int, lines: Sequence[str], *, who: str, unharmed: str, advice: str) -> str:
    """Why a child has failed, in one sentence: in its own words, or else as its exit status tells.

    Parameters
    ----------
    status : negative where a signal has ended it. lines : what it `told`.
    who, unharmed, advice : the child, what it has left as it was, and what to do where it was stopped from outside.
    """
    said = [line for line in lines if line.startswith("error: ") and _LAUNCHER_SAYS not in line]
    if status > 0 and said:
        return said[-1].removeprefix("error: ")
    if status > 0 and not any(_LAUNCHER_SAYS in line for line in lines):
        return f"{who} stopped unexpectedly with exit status {status}; {unharmed}, the log says more"
    how = "crashed"
    with suppress(ValueError):
        how = f"ended by {signal.Signals(-status).name}"
    return f"{who} was stopped from outside ({how}), most often for lack of memory; {unharmed}; {advice}, and try again"


def end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End a child with all that it has started: asked first, forced after a second. Then its folder is removed."""
    if process.poll() is None:
        _signal_group(process, forced=False)
        _wait(process)
        _signal_group(process, forced=True)  # Slicer's launcher may be gone before the Python that it has started
        _wait(process)
    if process.stdin is not None:
        process.stdin.close()
    leftovers.remove(folder)


def _text(path: Path) -> str:
    with suppress(OSError):  # somebody has emptied the temporary folder
        return path.read_bytes().decode("utf-8", errors="replace")  # the \r of a progress bar stays one
    return ""


def _signal_group(process: subprocess.Popen[bytes], *, forced: bool) -> None:
    if os.name == "nt":
        if process.poll() is None:
            asked = ["taskkill", "/PID", str(process.pid), "/T", "/F"]
            subprocess.run(asked, capture_output=True, check=False, creationflags=_NO_WINDOW)
        return
    with suppress(OSError):  # all gone already
        os.killpg(process.pid, signal.SIGKILL if forced else signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
