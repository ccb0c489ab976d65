"""Series fetched from a DICOMweb service, which is searched (QIDO-RS) and read (WADO-RS)."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import SuperResolutionError
from .failures import Failures
from .queue import Queue, label
from .received import TooLate
from .rules import Rule
from .sender import client_of, reason_of

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient
    from pydicom import Dataset

_SERIES_UID = "0020000E"
_NOT_OF_THE_FORM = (401, 403, 404)  # who asks, or what for, is refused; in any other form as well
_FIELDS = ("SeriesDescription", "NumberOfSeriesRelatedInstances")
logger = logging.getLogger(__name__)


class _Unwritable(SuperResolutionError):
    """An image that no further try makes a file of."""


@dataclass
class DicomWebSource:
    """A service whose new series are fetched into the queue.

    Parameters
    ----------
    address : str
        Address of the service.
    rules : tuple of Rule
        Series whose modality and description fit no rule are not fetched; the other conditions are checked later.
    days : int
        Studies with an older date are not fetched.
    """

    address: str
    rules: tuple[Rule, ...]
    days: int = 7
    _counts: dict[str, str] = field(default_factory=dict)  # images of each series at the last search
    _fetched: set[str] = field(default_factory=set)
    _failures: Failures = field(default_factory=Failures)  # of the search, by the address, and of series

    def fetch(self, queue: Queue) -> None:
        """Fetch new series whose number of images has not changed since the last search."""
        self._failures.begin_round()
        if self._failures.is_paused(self.address):
            return
        with client_of(self.address) as client:
            self._fetch_by(client, queue)

    def _fetch_by(self, client: DICOMwebClient, queue: Queue) -> None:
        try:
            found = list(self._found(client))
        except Exception as problem:  # of requests or pydicom; texts may name a patient
            if self._failures.add(self.address, reason := reason_of(problem)):
                logger.warning("the service cannot be searched: %s; tried again later", reason)
            return
        self._failures.clear(self.address)
        before, self._counts = self._counts, {series: count for _, series, count in found}
        self._fetched &= self._counts.keys()  # the queue knows the others
        for study, series, count in found:
            is_growing = before.get(series) != count
            if is_growing and series in self._fetched:
                now = f"has {count} images now instead of {before[series]}"
                logger.warning("series %s: %s, which are not fetched again", label(series), now)
            is_paused = self._failures.is_paused(series)
            if is_growing or is_paused or series in self._fetched or queue.is_known(series):
                continue
            try:
                _add_all(_images_of(client, study, series), series, queue)
            except _Unwritable as problem:
                logger.warning("series %s: %s; it is not fetched again", label(series), problem)
            except TooLate as problem:  # from now on the queue knows the series
                logger.warning("series %s: an image was refused: %s", label(series), problem)
                continue
            except Exception as problem:  # also of the queue; the other series go on
                if self._failures.add(series, reason := reason_of(problem)):
                    logger.warning("series %s: cannot be fetched: %s; tried again later", label(series), reason)
                continue
            else:
                self._failures.clear(series)
                logger.info("series %s: fetched", label(series))
            self._fetched.add(series)

    def _found(self, client: DICOMwebClient) -> Iterator[tuple[str, str, str]]:
        since = datetime.date.today() - datetime.timedelta(days=self.days)
        for modality in sorted({rule.modality for rule in self.rules}):
            filters = {"Modality": modality, "StudyDate": f"{since:%Y%m%d}-"}
            for answer in _all_pages(client, filters):
                try:
                    study, series, description, count = _understood(answer)
                except Exception as problem:  # of pydicom; one series holds up no other
                    if self._failures.add(str(answer.get(_SERIES_UID)), reason := type(problem).__name__):
                        logger.warning("an answer of the service cannot be understood: %s; it is passed over", reason)
                    continue
                if any(rule.may_fit(modality, description) for rule in self.rules):
                    yield study, series, count


def _understood(answer: dict[str, Any]) -> tuple[str, str, str, str]:
    """The study, the series, its description, and the number of its images."""
    from pydicom import Dataset

    found = Dataset.from_json(answer)
    description, count = (str(found.get(name) or "") for name in _FIELDS)
    return str(found.StudyInstanceUID), str(found.SeriesInstanceUID), description, count


def _all_pages(client: DICOMwebClient, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The answers to a search, each once; to the end, also of a service that begins anew in place of going on."""
    seen: set[str] = set()
    page = client.search_for_series(fields=_FIELDS, search_filters=filters)
    while page:
        new = {str(answer.get(_SERIES_UID)): answer for answer in page}
        new = {uid: answer for uid, answer in new.items() if uid not in seen}
        yield from new.values()
        seen |= new.keys()
        page = client.search_for_series(fields=_FIELDS, search_filters=filters, offset=len(seen)) if new else []


def _images_of(client: DICOMwebClient, study: str, series: str) -> Iterator[Dataset]:
    """The images of a series as they come; compressed as they are stored only where the service cannot unpack them."""
    try:
        yield from client.iter_series(study, series)
    except OSError as problem:  # of requests
        response = getattr(problem, "response", None)
        if response is None or response.status_code in _NOT_OF_THE_FORM:
            raise
        yield from client.iter_series(study, series, media_types=(("application/dicom", "*"),))


def _add_all(images: Iterator[Dataset], series: str, queue: Queue) -> None:
    """Store images as they come; until the last one is stored, one is marked as missing."""
    image = next(images, None)
    while image is not None:
        following = next(images, None)
        if following is not None:
            queue.expect(series, [str(following.SOPInstanceUID)])
        queue.add(series, str(image.SOPInstanceUID), _encoded(image))
        image = following


def _encoded(image: Dataset) -> bytes:
    """An image as the bytes of a DICOM file."""
    buffer = BytesIO()
    try:
        image.save_as(buffer)
    except MemoryError:  # another time there may be enough
        raise
    except Exception as problem:  # of pydicom, by the values of the image
        raise _Unwritable(f"an image cannot be written as a file: {reason_of(problem)}") from problem
    return buffer.getvalue()
