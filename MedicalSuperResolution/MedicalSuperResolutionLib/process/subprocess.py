"""A process with a private folder: its start and end on each system, and the removal of folders left behind."""

from __future__ import annotations

import logging
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
from medical_super_resolution.system import temp_dirs
from medical_super_resolution.system.process import search_path
from MedicalSuperResolutionLib.translation import tr as _

logger = logging.getLogger(__name__)

_FOLDER_PREFIX = "MedicalSuperResolution-run-"
_STDOUT, _STDERR = "stdout.txt", "stderr.txt"
_GRACE_SECONDS = 1.0
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows; elsewhere there is none to suppress
_LAUNCHER_CRASH = "exit abnormally"  # Slicer's launcher puts "error: [python] exit abnormally" below a crash


def python() -> str:
    """The Python to start: this one, or Slicer's where this one is built into the application."""
    if Path(sys.executable or "").stem.lower().startswith("python"):  # PythonSlicer too
        return sys.executable
    beside = str(Path(sys.executable).parent) if sys.executable else ""
    found = shutil.which("PythonSlicer") or shutil.which("PythonSlicer", path=beside)
    if found is None:
        raise SuperResolutionError(_("the program PythonSlicer was not found beside Slicer; install Slicer again"))
    return found


def private_folder() -> Path:
    """A new temporary folder, private to the user; its name holds the process that owns it.

    Raises
    ------
    SuperResolutionError
        There is no place for temporary files that can be written to.
    """
    try:
        return temp_dirs.private_folder(_FOLDER_PREFIX)
    except OSError as problem:
        where = "" if problem.filename is None else f" ({Path(problem.filename).parent})"
        message = _(
            "No folder for temporary files can be made{where}: {reason}; free some space there, or let the environment"
            " variable TMPDIR (TEMP on Windows) name another folder, and start Slicer again."
        )
        raise SuperResolutionError(message.format(where=where, reason=problem.strerror)) from problem


def remove_stale_folders() -> None:
    """Remove the private folders of processes that ended without doing so."""
    with suppress(OSError):  # without a place for temporary files; making the next folder reports it
        temp_dirs.remove_stale_folders(_FOLDER_PREFIX)


def started(arguments: Sequence[str], *packages: ModuleType) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a process, and the private folder that it runs in, where its output is written to files.

    It can import this package and the ``packages``, from where this process has imported them.

    Raises
    ------
    SuperResolutionError
        See `private_folder`; or the program is missing or not allowed to run.
    """
    folder = private_folder()
    try:
        return _started_in(folder, arguments, packages), folder
    except BaseException:
        temp_dirs.remove(folder)
        raise


def _started_in(folder: Path, arguments: Sequence[str], packages: Sequence[ModuleType]) -> subprocess.Popen[bytes]:
    folders = (Path(package.__file__).parent for package in (medical_super_resolution, *packages))
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}  # threads that wait leave the processor to Slicer
    environment |= {"PYTHONPATH": search_path(*folders), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    with (folder / _STDOUT).open("xb") as stdout, (folder / _STDERR).open("xb") as stderr:
        try:
            return subprocess.Popen(
                list(arguments),
                cwd=folder,  # Python looks there first: no file of the user's may pass for a package
                env=environment,
                stdin=subprocess.PIPE,  # ends when this process does, upon which the child ends itself
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # a group of its own, which can be ended as a whole
                umask=0o077 if os.name == "posix" else -1,
                creationflags=_NO_WINDOW,
            )
        except OSError as problem:
            raise SuperResolutionError(
                _("{program} could not be started: {reason}").format(program=arguments[0], reason=problem.strerror)
            ) from problem


def output_of(folder: Path, start: int = 0) -> str:
    """The standard output of a process from byte ``start`` on."""
    return _text(folder / _STDOUT, start)


def new_lines(folder: Path, start: int) -> tuple[list[str], int]:
    """The whole lines on standard output from byte ``start`` on, and where the next ones will begin."""
    whole = _bytes(folder / _STDOUT, start).rpartition(b"\n")[0]
    lines = whole.decode("utf-8", errors="replace").split("\n") if whole else []
    return lines, start + len(whole) + bool(whole)


def errors_of(folder: Path, start: int = 0) -> str:
    """The standard error of a process from byte ``start`` on."""
    return _text(folder / _STDERR, start)


def printed_bytes(folder: Path) -> tuple[int, int]:
    """Bytes printed so far on standard output and standard error."""
    return tuple(len(_bytes(folder / name)) for name in (_STDOUT, _STDERR))


def failure_sentence(status: int, lines: Sequence[str], *, who: str, unharmed: str, advice: str) -> str:
    """Why a process has failed, in one sentence: its own error message, or what its exit status means.

    What an unforeseen failure has printed goes to the log.

    Parameters
    ----------
    status
        Exit status, negative where a signal has ended the process.
    lines
        Lines of the process's standard error.
    who
        Name of the process in the sentence.
    unharmed
        What it has left as it was.
    advice
        What to do where it was stopped from outside.
    """
    messages = [line for line in lines if line.startswith("error: ") and _LAUNCHER_CRASH not in line]
    if status > 0 and messages:
        return messages[-1].removeprefix("error: ")
    logger.error("\n".join([f"{who} ended with exit status {status}; it had printed:", *lines]))
    if status > 0 and not any(_LAUNCHER_CRASH in line for line in lines):
        message = _("{who} stopped unexpectedly with exit status {status}; {unharmed}, see the log")
        return message.format(who=who, status=status, unharmed=unharmed)
    how = _("crashed")
    with suppress(ValueError):
        how = _("ended by {signal}").format(signal=signal.Signals(-status).name)
    message = _(
        "{who} was stopped from outside ({how}), most often for lack of memory; {unharmed}; {advice}, and try again"
    )
    return message.format(who=who, how=how, unharmed=unharmed, advice=advice)


def end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End a process and its children, by force after a second, and remove its folder."""
    if process.poll() is None:
        _signal_group(process, forced=False)
        _wait(process)
        kill(process)  # also where it has ended: Slicer's launcher may end before the Python that it has started
    if process.stdin is not None:
        with suppress(OSError):  # what was written last was not read
            process.stdin.close()
    temp_dirs.remove(folder)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children."""
    _signal_group(process, forced=True)
    _wait(process)


def _text(path: Path, start: int) -> str:
    return _bytes(path, start).decode("utf-8", errors="replace")  # keeps the \r of a progress bar


def _bytes(path: Path, start: int = 0) -> bytes:
    with suppress(OSError), path.open("rb") as opened:  # the temporary folder may have been emptied
        opened.seek(start)
        return opened.read()
    return b""


def _signal_group(process: subprocess.Popen[bytes], *, forced: bool) -> None:
    if os.name == "nt":
        if process.poll() is None:
            asked = ["taskkill", "/PID", str(process.pid), "/T", "/F"]
            subprocess.run(asked, capture_output=True, check=False, creationflags=_NO_WINDOW)
        return
    with suppress(OSError):  # all ended already
        os.killpg(process.pid, signal.SIGKILL if forced else signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
