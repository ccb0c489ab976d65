"""The current run of the panel: its progress, cancellation and end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from slicer import vtkMRMLScalarVolumeNode

from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine.background import BackgroundRun
from MedicalSuperResolutionLib.panel import display

OnOver = Callable[[vtkMRMLScalarVolumeNode, vtkMRMLScalarVolumeNode | None, Exception | None], None]
"""Called at the end with the source, and with the node of the result or with what went wrong."""


class RunSection:
    """Controls the progress bar and the line below it.

    Attributes
    ----------
    current
        What is running; None where nothing is.
    busy_with
        What is done in Slicer's own process meanwhile, as a sentence; empty where nothing is.
    """

    def __init__(self, ui: SimpleNamespace, on_over: OnOver, on_busy: Callable[[], None]) -> None:
        """``on_over`` is called at the end of each run; ``on_busy`` where `busy_with` changes."""
        self._ui, self._on_over, self._on_busy = ui, on_over, on_busy
        self.busy_with = ""
        self._time_left = messages.TimeLeft()
        self.current: BackgroundRun | None = None
        display.show_status(ui, "")

    @property
    def is_busy(self) -> bool:
        """Whether a run, or what belongs to it, is under way."""
        return self.current is not None or bool(self.busy_with)

    @contextmanager
    def occupied(self, sentence: str) -> Iterator[None]:
        """Let nothing else be started for a while; ``sentence`` says why."""
        self.busy_with = sentence
        self._on_busy()
        try:
            yield
        finally:
            self.busy_with = ""
            self._on_busy()

    def start(self, message: str, begin: Callable[..., BackgroundRun]) -> None:
        """Start a run, or show why it cannot be started.

        Parameters
        ----------
        message
            What to show above an unforeseen failure.
        begin
            Starts it; takes ``onProgress`` and ``onEnd``.
        """
        with messages.shown_errors(message):
            self._time_left = messages.TimeLeft()
            self.current = begin(onProgress=self._show, onEnd=self._end)
            self._show(0, 1)

    def cancel(self) -> None:
        """Stop it, if something is running."""
        if self.current:
            self.current.cancel()

    def abandon(self) -> None:
        """End it silently, because the panel is closed."""
        if self.current:
            self.current.abandon()
            self.current = None

    def _show(self, done: int, total: int) -> None:
        display.show_progress(
            self._ui, done, total, self._time_left.sentence(done, total, self.current.stage if self.current else "")
        )

    def _end(self, node: vtkMRMLScalarVolumeNode | None, problem: Exception | None) -> None:
        source, self.current = self.current.source, None
        display.show_end(self._ui, node, problem)
        self._on_over(source, node, problem)
