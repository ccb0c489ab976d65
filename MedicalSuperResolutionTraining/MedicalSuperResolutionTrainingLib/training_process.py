"""Commands of medsr-train in child processes, one after the other, which keeps torch out of Slicer."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence

import medical_super_resolution_training
from medical_super_resolution.errors import Cancelled, SuperResolutionError
from MedicalSuperResolutionLib.process import subprocess
from MedicalSuperResolutionLib.translation import tr as _

_PAUSE_SECONDS = 0.05
_LOG_LINES = 200


class TrainingProcess:
    """Waited for (`run`), or polled by a timer (`start`, then `poll` until it is over).

    Attributes
    ----------
    log
        The last lines of what the commands have printed.
    """

    def __init__(self, program: Sequence[str] | None = None) -> None:
        """``program`` takes the arguments of medsr-train; None stands for the training package in this Python."""
        self._program = program
        self._waiting: list[Sequence[str]] = []
        self._child: _Child | None = None
        self._earlier: list[str] = []
        self.log: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether commands were started and have not been seen to their end."""
        return self._child is not None

    def run(self, commands: Sequence[Sequence[str]], meanwhile: Callable[[], object]) -> None:
        """Run commands and wait for their end. ``meanwhile`` is called many times a second; what it raises ends them.

        Raises
        ------
        SuperResolutionError
            One has failed, and why.
        """
        self.start(commands)
        try:
            while not self.poll():
                meanwhile()
                time.sleep(_PAUSE_SECONDS)
        finally:
            self.stop()

    def start(self, commands: Sequence[Sequence[str]]) -> None:
        """Start the first command and return at once; the others follow as `poll` finds the one before ended well.

        Raises
        ------
        SuperResolutionError
            Commands are under way, or the child cannot be started.
        """
        if self._child is not None:
            raise SuperResolutionError(_("a training is running already; wait for it, or stop it first"))
        subprocess.remove_stale_folders()
        self._waiting, self._earlier, self.log = list(commands), [], ()
        self._next()

    def poll(self) -> bool:
        """Whether all commands have ended well.

        Raises
        ------
        SuperResolutionError
            One has failed, and why.
        Cancelled
            The training was stopped, or none was started.
        """
        if self._child is None:
            raise Cancelled
        status = self._child.status()  # before reading, so that its last lines are not missed
        lines = self._child.lines()
        self.log = tuple([*self._earlier, *lines][-_LOG_LINES:])
        if status is None:
            return False
        errors = self._child.errors()
        self.stop()
        if status != 0:
            raise SuperResolutionError(subprocess.failure_sentence(status, errors, **_failure_texts()))
        self._earlier += lines
        if self._waiting:
            self._next()
        return not self.is_running

    def stop(self) -> None:
        """End the command that runs, if one does, within a second or two. Those after it are not started."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _next(self) -> None:
        program = self._program or [subprocess.python(), "-m", medical_super_resolution_training.__name__]
        self._child = _Child([*program, "--end-with-parent", *self._waiting.pop(0)])


def _failure_texts() -> dict[str, str]:
    return {
        "who": _("the training"),
        "unharmed": _("the checkpoints of the run are kept"),
        "advice": _("close other programs or lower batch_size in the recipe"),
    }


class _Child:
    """One child process and its folder."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process, self._folder = subprocess.started(arguments, medical_super_resolution_training)
        self.end = weakref.finalize(self, subprocess.end, self._process, self._folder)  # at the end of Python too

    def status(self) -> int | None:
        return self._process.poll()

    def lines(self) -> list[str]:
        """The printed lines, of a progress bar its latest state."""
        text = subprocess.output_of(self._folder) + subprocess.errors_of(self._folder)
        return [line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n") if line.strip()]

    def errors(self) -> list[str]:
        return subprocess.errors_of(self._folder).splitlines()
