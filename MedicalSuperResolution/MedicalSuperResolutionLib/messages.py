"""Texts of the panel: the time left, and a failure as one sentence."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import slicer

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from medical_super_resolution.volumes.grid import Grid, two_places
from MedicalSuperResolutionLib.translation import tr as _
from MedicalSuperResolutionLib.translation import translated

_SOON_S = 1.0  # earlier, the time left cannot be estimated


class TimeLeft:
    """Estimate of the time left, from the time taken so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self._latest = (0.0, 0)

    def sentence(self, done: int, total: int, stage: str = "") -> str:
        """One line for the user. ``stage`` : the engine's name of the present stage; empty before the first."""
        text = stage_words(stage)
        seconds = self.seconds(done, total) if 0 < done < total else None
        if seconds is None:
            return _("{what}...").format(what=text)
        return _("{what}, about {duration} left").format(what=text, duration=duration(seconds))

    def seconds(self, done: int, total: int) -> float | None:
        """The time left, or None while it is too early for an estimate.

        The clock starts with the first reported step, because loading is no measure of the steps. Between two reports
        the time left runs down, to that of one step.
        """
        now = self._clock()
        if self._first is None or done < self._first[1]:  # it goes back where an interrupted run is resumed
            self._first = self._latest = (now, done)
        if done > self._latest[1]:
            self._latest = (now, done)
        started, done_then = self._first
        if done == done_then or now - started < _SOON_S:
            return None
        reported = self._latest[0]
        one_step = (reported - started) / (done - done_then)
        return max(one_step, one_step * (total - done) - (now - reported))


def stage_words(stage: str) -> str:
    """A stage of the engine as a text for the user."""
    return {
        "loading the model": _("Loading the model"),
        "reading": _("Reading the volume"),
        "refining": _("Enhancing"),
        "fusing": _("Fusing"),
        "writing": _("Taking over the result"),
    }.get(stage, _("Starting"))


def grid(of: Grid) -> str:
    """Size and spacing of a volume, along i, j and k."""
    return _("{size} at {spacing} mm").format(
        size="x".join(str(of.count(axis)) for axis in "ijk"),
        spacing="x".join(map(two_places, of.spacing_ijk_mm)),
    )


def with_time(line: str, seconds: float) -> str:
    """A line of a plan, with how long it will take."""
    return _("{line}, about {time}").format(line=line, time=duration(seconds))


def duration(seconds: float) -> str:
    """A duration in words: "12 s", "3 min", "1 h 5 min"."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 60:
        return _("{minutes} min").format(minutes=minutes)
    return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)


def size(megabytes: float) -> str:
    """The size of a volume in words: "0.1 MB", "150 MB", "1.2 GB"."""
    if megabytes >= 1000:
        return _("{gigabytes:.1f} GB").format(gigabytes=megabytes / 1000)
    if megabytes >= 10:
        return _("{megabytes:.0f} MB").format(megabytes=megabytes)
    return _("{megabytes:.1f} MB").format(megabytes=max(megabytes, 0.1))


def sentence(problem: Exception) -> str:
    """An error message as a whole sentence, translated; those of the engine begin in lower case, to follow "error:"."""
    text = translated(str(problem)) or type(problem).__name__  # a MemoryError says nothing
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "\u3002")) else ".")


def log_end(node: slicer.vtkMRMLScalarVolumeNode | None, problem: Exception | None) -> None:
    """Log the end of a run whose result is not awaited."""
    if problem is None:
        logging.info("Enhanced: %s", node.GetName())
    elif not isinstance(problem, Cancelled):
        logging.error("The volume could not be enhanced: %s", problem)


@contextmanager
def shown_errors(message: str) -> Iterator[None]:
    """Show errors once: a known one as its sentence, any other with its traceback.

    A cancelled run is not a failure and shows nothing. A known failure ends here; an unknown one is raised again, as
    ``slicer.util.tryWithErrorDisplay`` does, so that tests and the log see it.
    """
    try:
        yield
    except Cancelled:
        pass
    except SuperResolutionError as problem:
        slicer.util.errorDisplay(sentence(problem))
    except Exception:
        with slicer.util.tryWithErrorDisplay(message):
            raise
