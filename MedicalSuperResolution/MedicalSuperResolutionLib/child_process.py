"""A child process with a private folder: how it is started and ended on each system, and what a dead parent left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import medical_super_resolution
from medical_super_resolution.errors import SuperResolutionError

_FOLDER_PREFIX = "MedicalSuperResolution-run-"
_STDOUT, _STDERR = "stdout.txt", "stderr.txt"
_GRACE_SECONDS = 1.0
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows; elsewhere there is none to suppress


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
    process_id = os.getpid()
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{process_id}-{_start_time(process_id)}-"))


def remove(folder: Path) -> None:
    """Remove a private folder, whatever is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Remove the private folders of processes that are gone and could not do so themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*-*-*"):
        process_id, started_at, _ = folder.name.removeprefix(_FOLDER_PREFIX).split("-", 2)
        if process_id.isdigit() and _start_time(int(process_id)) != started_at:
            remove(folder)


def started(arguments: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a child in its folder, where it also puts what it prints; it can import this package.

    Raises
    ------
    SuperResolutionError : the program is missing or not allowed to run.
    """
    package_folder = str(Path(medical_super_resolution.__file__).parents[1])
    search_path = os.pathsep.join(filter(None, [package_folder, os.environ.get("PYTHONPATH")]))
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


def end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End a child with all that it has started: asked first, forced after a second. Then its folder is removed."""
    if process.poll() is None:
        _signal_group(process, forced=False)
        _wait(process)
        _signal_group(process, forced=True)  # Slicer's launcher may be gone before the Python that it has started
        _wait(process)
    if process.stdin is not None:
        process.stdin.close()
    remove(folder)


def _text(path: Path) -> str:
    with suppress(OSError):  # somebody has emptied the temporary folder
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _signal_group(process: subprocess.Popen[bytes], *, forced: bool) -> None:
    if os.name == "nt":
        if process.poll() is None:
            _said_by(["taskkill", "/PID", str(process.pid), "/T", "/F"])
        return
    with suppress(OSError):  # all gone already
        os.killpg(process.pid, signal.SIGKILL if forced else signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


def _start_time(process_id: int) -> str | None:
    """When a process was started, "0" where the system does not tell; None where there is no such process."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{process_id}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return fields[19]  # starttime, field 22 of proc(5): two come before the parenthesis
    return "0" if _is_alive(process_id) else None


def _is_alive(process_id: int) -> bool:
    if os.name == "nt":  # where os.kill ends a process instead of asking
        return str(process_id).encode() in _said_by(["tasklist", "/FI", f"PID eq {process_id}", "/NH"])
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _said_by(arguments: list[str]) -> bytes:
    return subprocess.run(arguments, capture_output=True, check=False, creationflags=_NO_WINDOW).stdout
