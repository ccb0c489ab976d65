"""The station at work: series move from received over enhanced to sent, each exactly once, whenever it is stopped."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SuperResolutionError
from ..models.file import Model
from .queue import DESTINATION, Queue
from .rules import Rule, first_that_fits
from .sender import SendingError, destination_of
from .source import DicomWebSource

_POLL_SECONDS = 0.5
_RETRY_SECONDS = 30.0
_REMEMBER_SECONDS = 90 * 24 * 3600.0
logger = logging.getLogger(__name__)


@dataclass
class Station:
    """What is done with the series of a queue.

    Parameters
    ----------
    queue : Queue
        The series.
    rules : tuple of Rule
        Which of them are enhanced, and how.
    send_to : str
        Where derived series go unless their rule names it; see `sender.destination_of`.
    title : str
        AE title of the station.
    quiet_seconds : float
        A series is complete when nothing was added to it for so long.
    is_trial : bool
        Say what would be done, and pass all series over.
    source : DicomWebSource or None
        Where series are fetched from, besides those that are sent here.
    retry_seconds : float
        Between two looks at the source, and before what was not taken is sent again.
    """

    queue: Queue
    rules: tuple[Rule, ...]
    send_to: str
    title: str
    quiet_seconds: float = 30.0
    is_trial: bool = False
    source: DicomWebSource | None = None
    retry_seconds: float = _RETRY_SECONDS
    _models: dict[str, Model] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set."""
        self.queue.recover()
        pause = until_fetch = 0.0
        while not stop.wait(_POLL_SECONDS):
            until_fetch -= _POLL_SECONDS
            if self.source and until_fetch <= 0:
                self.source.fetch(self.queue)
                until_fetch = self.retry_seconds
            self.enhance_complete(stop)
            pause = max(0.0, pause - _POLL_SECONDS)
            if not pause and not self.send_waiting():
                pause = self.retry_seconds
            self.queue.forget(older_than_seconds=_REMEMBER_SECONDS)

    def enhance_complete(self, stop: threading.Event) -> None:
        """Enhance the series that are complete, one after the other."""
        for series in self.queue.complete(quiet_seconds=self.quiet_seconds):
            logger.info("series %s: complete", series)
        for folder in self.queue.waiting():
            if stop.is_set():
                return
            if not self.queue.take(folder.name):
                continue
            try:
                self._enhance(folder)
            except SuperResolutionError as problem:
                logger.error("series %s: set aside; the reason is in failed/%s/reason.txt", folder.name, folder.name)
                self.queue.fail(folder.name, str(problem))

    def send_waiting(self) -> bool:
        """Send what is enhanced; returns False where a receiver did not take something."""
        all_sent = True
        for folder in self.queue.sending():
            to = (folder / DESTINATION).read_text(encoding="utf-8")
            try:
                destination_of(to, title=self.title).send(sorted(folder.glob("*.dcm")), self.queue.sent)
            except SendingError as problem:
                logger.warning("series %s: %s; it is sent again later", folder.name, problem)
                all_sent = False
            else:
                self.queue.finish(folder.name)
                logger.info("series %s: sent", folder.name)
        return all_sent

    def _enhance(self, folder: Path) -> None:
        from pydicom import dcmread

        header = dcmread(next(iter(sorted(folder.glob("*.dcm")))), stop_before_pixels=True)
        rule = first_that_fits(self.rules, header)
        if rule is None or self.is_trial:
            what = "no rule fits it" if rule is None else f"would be enhanced by {rule.model}"
            logger.info("series %s: passed over: %s", folder.name, what)
            self.queue.finish(folder.name)
            return
        workspace = self.queue.workspace(folder.name)
        self._derive(folder, workspace, rule)
        self.queue.enhanced(folder.name, workspace, rule.send_to or self.send_to)
        logger.info("series %s: enhanced by %s", folder.name, rule.model)

    def _derive(self, folder: Path, workspace: Path, rule: Rule) -> None:
        """Write the derived series of a rule: what ``medsr enhance FOLDER WORKSPACE`` does."""
        from ..inference.enhance import enhance
        from ..models import file as models
        from ..volumes.io import files
        from ..volumes.io.writers import destination_of as output_of

        output = output_of(folder, workspace)
        if rule.model not in self._models:
            self._models[rule.model] = models.load(models.find(rule.model))
        enhanced = enhance(files.read(folder), self._models[rule.model], rule.settings())
        output.write(enhanced.volume, enhanced.report)
