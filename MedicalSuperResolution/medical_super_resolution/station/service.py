"""Main loop of the station: each series is received, enhanced and sent exactly once, even across restarts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SuperResolutionError
from .enhancer import Enhancer, is_lack_of_room, sentence_of
from .failures import Failures
from .queue import BEGUN, DESTINATION, Queue
from .rules import Rule, first_that_fits
from .sender import NoAnswerError, destination_of, read_image
from .source import DicomWebSource

_POLL_SECONDS = 0.5
_RETRY_SECONDS = 30.0
_REMEMBER_SECONDS = 90 * 24 * 3600.0  # which series were done
logger = logging.getLogger(__name__)


@dataclass
class Station:
    """Processes the series of a queue.

    Parameters
    ----------
    queue : Queue
        The queue of series.
    rules : tuple of Rule
        Which series are enhanced, and how.
    send_to : str
        Destination of derived series unless their rule names one; see `sender.destination_of`.
    title : str
        AE title of the station.
    quiet_seconds : float
        A series is complete after this time without a new image.
    is_trial : bool
        Log what would be done, and ignore all series.
    source : DicomWebSource or None
        A service to fetch further series from.
    retry_seconds : float
        Time between two searches of the source, and before sending is tried again; longer if it fails again and again.
    """

    queue: Queue
    rules: tuple[Rule, ...]
    send_to: str
    title: str
    quiet_seconds: float = 30.0
    is_trial: bool = False
    source: DicomWebSource | None = None
    retry_seconds: float = _RETRY_SECONDS
    _enhancer: Enhancer = field(default_factory=Enhancer)
    _failures: Failures = field(default_factory=Failures)  # by the series, or by a destination that does not answer

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set."""
        steps = (self._fetch, lambda: self.enhance_complete(stop), self.send_waiting, self._forget)
        due = dict.fromkeys(steps, 0.0)  # when each is to be done next
        while not stop.wait(_POLL_SECONDS):
            for step in steps:
                if time.monotonic() >= due[step] and not self._succeeds(step):
                    due[step] = time.monotonic() + self.retry_seconds

    def _succeeds(self, step: Callable[[], bool]) -> bool:
        """Do a step; return False if it is to be done again only after a pause."""
        try:
            return step()
        except OSError as problem:
            logger.error("the queue cannot be written: %s; tried again later", problem.strerror)
        except Exception as problem:  # of libraries; texts may name a patient
            logger.error("a step failed: %s; tried again later", type(problem).__name__)
        return False

    def _fetch(self) -> bool:
        if self.source:
            self.source.fetch(self.queue)
        return False  # the next search is after a pause

    def _forget(self) -> bool:
        self.queue.forget(older_than_seconds=_REMEMBER_SECONDS)
        return False

    def enhance_complete(self, stop: threading.Event) -> bool:
        """Enhance the complete series, one after the other; return False if the disk is full."""
        for series in self.queue.complete(quiet_seconds=self.quiet_seconds):
            logger.info("series %s: complete", series)
        for folder in self.queue.waiting():
            if stop.is_set():
                break
            if not self.queue.take(folder.name):
                continue
            try:
                self._enhance(folder)
            except Exception as problem:  # whatever a damaged series leads to, the station goes on
                if is_lack_of_room(problem):
                    logger.error("series %s: the disk is full; it is enhanced later", folder.name)
                    self.queue.put_back()
                    return False
                logger.error("series %s: set aside; the reason is in failed/%s/reason.txt", folder.name, folder.name)
                self.queue.fail(folder.name, sentence_of(problem))
        return True

    def _enhance(self, folder: Path) -> None:
        """Enhance a waiting series by the first rule that fits it, and queue the result for sending."""
        from pydicom import dcmread

        header = dcmread(min(folder.glob("*.dcm")), stop_before_pixels=True)
        rule = first_that_fits(self.rules, header)
        if rule is None or self.is_trial:
            what = f"would be enhanced by {rule.model}" if rule else "passed over, because no rule fits it"
            logger.info("series %s: %s", folder.name, what)
            self.queue.finish(folder.name)
            return
        workspace = self.queue.workspace(folder.name)
        self._enhancer.write(folder, workspace, rule)
        self.queue.enhanced(folder.name, workspace, rule.send_to or self.send_to)
        logger.info("series %s: enhanced by %s", folder.name, rule.model)

    def send_waiting(self) -> bool:
        """Send the derived series; return False if some are still to be sent."""
        all_sent = True
        self._failures.begin_round()
        for folder in self.queue.sending():
            address = ""  # where it cannot be read
            try:
                address = (folder / DESTINATION).read_text(encoding="utf-8")
                if self._failures.is_paused(address) or self._failures.is_paused(folder.name):
                    all_sent = False
                    continue
                self._send(folder, address)
            except OSError:  # of the queue
                raise
            except NoAnswerError as problem:
                if self._failures.add(address, str(problem)):
                    logger.warning("%s; what waits for it is sent again later", problem)
                all_sent = False
            except Exception as problem:  # one series holds up no other; texts of libraries may name a patient
                self._failures.clear(address)
                reason = str(problem) if isinstance(problem, SuperResolutionError) else type(problem).__name__
                if self._failures.add(folder.name, reason):
                    logger.warning("series %s: %s; it is sent again later", folder.name, reason)
                all_sent = False
            else:
                self._failures.clear(address, folder.name)
                self.queue.finish(folder.name)
                logger.info("series %s: sent", folder.name)
        return all_sent

    def _send(self, folder: Path, address: str) -> None:
        """Send the images of a derived series, but not those that the receiver has from before an interruption."""
        to = destination_of(address, title=self.title)
        for image in folder.glob(f"*{BEGUN}"):
            if to.holds(image):
                logger.info("series %s: an image was sent before the interruption", folder.name)
                self.queue.sent(image)
        if images := sorted(path for path in folder.iterdir() if path.suffix in (".dcm", BEGUN)):
            header = read_image(images[0], "SeriesInstanceUID")
            self.queue.pass_over(str(header.SeriesInstanceUID))  # series may be fetched from where this one goes
            with to.connected(images) as store:
                for image in images:
                    begun = self.queue.begin(image)
                    store(begun)
                    self.queue.sent(begun)
