"""The engine in a process of its own: Slicer stays responsive, and survives a crash of the engine.

Volumes travel as uncompressed files in a private temporary folder. What the process prints goes to files there as well:
there are no threads, and no pipes that could fill up, so a run can be polled by a timer at any interval.
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from medical_super_resolution.progress import Progress, ignore
from medical_super_resolution.report import Report
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Enhanced, Volume
from MedicalSuperResolutionLib.process import subprocess
from MedicalSuperResolutionLib.process.exchange import OUTPUT, UNCERTAINTY, EnhanceExchange, Exchange
from MedicalSuperResolutionLib.translation import tr as _

_WORKER = "medical_super_resolution.cli.worker"
_POLL_SECONDS = 0.05
_LOG_LINES = 50
_CANCELLED_EXIT = 130


class Runner:
    """Runs one enhancement after the other, either waiting for it (`run`) or polled by a timer (`start`, `poll`).

    All runs share one process, which loads PyTorch once; `close` ends it, and so does a run that fails.

    Attributes
    ----------
    progress
        (done, total) of the present run.
    stage
        The part of the work that it is at, by the engine's name; empty before the first.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        """``command`` starts the engine; None stands for this package's worker in this Python."""
        self._command = command
        self._worker: _Worker | None = None
        self._run: _Run | None = None
        self.progress = (0, 1)
        self.stage = ""

    @property
    def is_running(self) -> bool:
        """Whether a run was started whose end `poll` has not reported yet."""
        return self._run is not None

    @property
    def has_process(self) -> bool:
        """Whether the process is running already, so that the next run need not wait for its start."""
        return self._worker is not None and not self._worker.has_ended()

    def run(
        self,
        volume: Volume,
        settings: EnhanceSettings,
        progress: Progress = ignore,
        *,
        profile_of: Report | None = None,
    ) -> Enhanced:
        """Enhance a volume and wait for it; see `EnhanceExchange` and `run_exchange`."""
        return self.run_exchange(EnhanceExchange(volume, settings, profile_of), progress)

    def run_exchange(self, exchange: Exchange, progress: Progress = ignore) -> Any:  # noqa: ANN401 - what that gives
        """Run a command and wait for it. The process stays for the next run until `close`.

        Parameters
        ----------
        progress
            Called many times a second, also without progress; what it raises ends the process.

        Raises
        ------
        SuperResolutionError
            What the engine refused, in its words; or the process died.
        Cancelled
            From ``progress``, or because something that ``progress`` did called `close`.
        """
        self.start_exchange(exchange)
        try:
            while True:
                result = self.poll()
                progress(*self.progress)
                if result is not None:
                    return result
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self.close()
            raise

    def start(self, volume: Volume, settings: EnhanceSettings, *, profile_of: Report | None = None) -> None:
        """Start to enhance a volume and return at once; see `EnhanceExchange` and `start_exchange`."""
        self.start_exchange(EnhanceExchange(volume, settings, profile_of))

    def start_exchange(self, exchange: Exchange) -> None:
        """Start a run and return at once. It is over when `poll` gives its result or raises.

        Raises
        ------
        SuperResolutionError
            A run is under way, the disk is full, or the process cannot be started.
        """
        if self._run is not None:
            raise SuperResolutionError(_("An enhancement is running already; wait for it, or cancel it first."))
        self.progress, self.stage = (0, 1), ""
        was_there = self.has_process
        if not was_there:
            self.close()
        try:
            self._run = _Run(self._ready_worker(), exchange)
            if was_there and not self._run.was_taken:  # it ended between the check and the request
                self.close()
                self._run = _Run(self._ready_worker(), exchange)
        except BaseException:
            self.close()
            raise

    def _ready_worker(self) -> _Worker:
        if self._worker is None:
            subprocess.remove_stale_folders()
            self._worker = _Worker(self._command or [subprocess.python(), "-m", _WORKER])
        return self._worker

    def poll(self) -> Any:  # noqa: ANN401 - what its exchange gives
        """The result when the run is over, else None: for `start`, an `Enhanced`.

        Raises
        ------
        SuperResolutionError
            See `run_exchange`.
        Cancelled
            The run was cancelled, or none was started.
        """
        if self._run is None:
            raise Cancelled
        try:
            status = self._run.status()
            self.progress, self.stage = self._run.progress, self._run.stage
            if status is None:
                return None
            result = self._run.result(status)
        except BaseException:
            self.close()
            raise
        self._run = None
        return result

    def close(self) -> None:
        """End the process: at once, or with its run within a second or two. Its folder is removed."""
        worker, is_idle = self._worker, self._run is None
        self._worker = self._run = None
        if worker is not None:
            if is_idle:  # it has nothing to tidy up, and the application need not wait for PyTorch to end
                worker.kill()
            worker.end()


class _Worker:
    """The process and its folder."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process, self.folder = subprocess.started(command)
        self.end = weakref.finalize(self, subprocess.end, self._process, self.folder)  # at the end of Python too

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        subprocess.kill(self._process)

    @property
    def exit_status(self) -> int | None:
        return self._process.returncode

    def ask(self, arguments: Sequence[str]) -> bool:
        """Send a command line; returns whether the process accepted it, which one that has ended does not."""
        with suppress(OSError):
            self._process.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
            self._process.stdin.flush()
            return True
        return False


class _Run:
    """One command of the worker."""

    def __init__(self, worker: _Worker, exchange: Exchange) -> None:
        self.progress, self.stage = (0, 1), ""
        self._worker, self._exchange = worker, exchange
        exchange.write_inputs(worker.folder)
        self._output_start, self._errors_start = subprocess.printed_bytes(worker.folder)
        whole_paths = {name: str(worker.folder / name) for name in (OUTPUT, UNCERTAINTY)}  # for its error messages
        self.was_taken = worker.ask([whole_paths.get(argument, argument) for argument in exchange.arguments()])

    def status(self) -> int | None:
        """The exit status of the command, or None while it runs. Updates progress and stage."""
        has_ended = self._worker.has_ended()  # before reading, so that its last lines are not missed
        status = None
        for answer in self._answers():
            if "stage" in answer:
                self.stage = str(answer["stage"])
            with suppress(KeyError):
                self.progress = (answer["done"], answer["total"])
            status = answer.get("status", status)
        return self._worker.exit_status if status is None and has_ended else status

    def _answers(self) -> Iterator[dict[str, Any]]:
        """The JSON objects printed since the last call."""
        lines, self._output_start = subprocess.new_lines(self._worker.folder, self._output_start)
        for line in lines:
            with suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict):  # else something else that was printed
                    yield answer

    def result(self, status: int) -> Any:  # noqa: ANN401 - what the exchange gives
        """The result of the command; raises if it failed."""
        if status == _CANCELLED_EXIT:
            raise Cancelled
        if status != 0:
            lines = subprocess.errors_of(self._worker.folder, self._errors_start).splitlines()[-_LOG_LINES:]
            raise SuperResolutionError(subprocess.failure_sentence(status, lines, **_failure_texts()))
        return self._exchange.result(self._worker.folder)


def _failure_texts() -> dict[str, str]:
    return {
        "who": _("the engine"),
        "unharmed": _("the scene is unchanged"),
        "advice": _("close other programs, lower the memory limit or crop the volume"),
    }
