"""Commands of medsr-train in the background."""

from collections.abc import Callable, Sequence

from medical_super_resolution.errors import Cancelled
from MedicalSuperResolutionLib.timers import Repeated
from MedicalSuperResolutionTrainingLib.training_process import TrainingProcess

_INTERVAL_MS = 500


class BackgroundCommands:
    """Commands in child processes, polled by a timer; ``log`` holds the last lines that they have printed."""

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        on_poll: Callable[[], None],
        on_end: Callable[[Exception | None], None],
        process: TrainingProcess,
    ) -> None:
        """Start them. ``on_poll`` is called twice a second, ``on_end`` once: with what went wrong, if anything did.

        Raises
        ------
        SuperResolutionError
            They cannot be started; then ``on_end`` is not called.
        """
        self._on_poll, self._on_end, self._process = on_poll, on_end, process
        self.is_running = True  # until ``on_end`` is called
        process.start(commands)
        self._timer = Repeated(_INTERVAL_MS, self._poll)

    @property
    def log(self) -> tuple[str, ...]:
        return self._process.log

    def stop(self) -> None:
        """End the child process now."""
        if self.is_running:
            self.abandon()
            self._on_end(Cancelled())

    def abandon(self) -> None:
        """End the child process now, without callbacks: for when the panel itself is closed."""
        self.is_running = False
        self._timer.stop()
        self._process.stop()

    def _poll(self) -> None:
        failure = None
        try:
            is_over = self._process.poll()
            self._on_poll()
            if not is_over:
                return
        except Exception as problem:  # a timer has no caller to raise to: the callback gets it, whatever it is
            failure = problem
        self.abandon()
        self._on_end(failure)
