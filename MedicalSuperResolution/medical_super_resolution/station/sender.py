"""Destinations of derived series: a DICOM node by C-STORE, or a DICOMweb service by STOW-RS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import SettingsError, SuperResolutionError

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient
    from pydicom import Dataset
    from pynetdicom.association import Association
    from pynetdicom.events import Event

_NODE = re.compile(r"(?P<title>[^@\s]{1,16})@(?P<host>[\w.\-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
_WEB = re.compile(r"https?://[^/:\s]\S*$")
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, or success with a warning
_SECONDS = 60
_LEVELS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class SendingError(SuperResolutionError):
    """The receiver cannot be reached or refused an image, which is sent again later."""


class NoAnswerError(SendingError):
    """The receiver does not answer at all, which may take minutes to find out, and holds for other series as well."""


class Destination(Protocol):
    """A receiver of images."""

    def holds(self, image: Path) -> bool:
        """Whether the receiver has an image; False if it does not support queries."""

    def connected(self, images: list[Path]) -> AbstractContextManager[Callable[[Path], None]]:
        """Connect to send the images of one series; the result stores one image and returns when it is stored.

        Raises
        ------
        NoAnswerError
            The receiver does not answer.
        SendingError
            It refuses the station or an image.
        """


def destination_of(text: str, *, title: str) -> Destination:
    """A destination from ``AE@HOST:PORT`` or the address of a DICOMweb service.

    Raises
    ------
    SettingsError
        It is neither.
    """
    if is_web_address(text):
        return DicomWeb(text)
    found = _NODE.fullmatch(text)
    if not found or not 0 < int(found["port"]) < 65536:
        raise SettingsError(f"cannot read the destination {text!r}; write AE@HOST:PORT, or http(s)://... for DICOMweb")
    return DicomNode(found["title"], found["host"].strip("[]"), int(found["port"]), title)


def is_web_address(text: str) -> bool:
    """Whether a text can be the address of a DICOMweb service."""
    return bool(_WEB.match(text))


@dataclass(frozen=True)
class DicomNode:
    """A storage provider.

    Parameters
    ----------
    title, host, port : str, str, int
        Its AE title and address.
    own_title : str
        The AE title that the station calls with.
    """

    title: str
    host: str
    port: int
    own_title: str

    def holds(self, image: Path) -> bool:
        """Query by C-FIND; see `Destination.holds`."""
        from pydicom import Dataset
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Images

        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        query.update(read_image(image, *_LEVELS))
        association = self._associate({Images}, [])
        try:
            found = [one for _, one in association.send_c_find(query, Images)]
        except (RuntimeError, ValueError):  # no connection, or queries are not supported
            return False
        finally:
            association.release()
        return any(one.get("SOPInstanceUID") == query.SOPInstanceUID for one in found if one)

    @contextmanager
    def connected(self, images: list[Path]) -> Iterator[Callable[[Path], None]]:
        """Send by C-STORE over one association; see `Destination.connected`."""
        answers: list[Event] = []
        association = self._associate({read_image(image, "SOPClassUID").SOPClassUID for image in images}, answers)
        if not association.is_established:
            kind = SendingError if answers else NoAnswerError
            raise kind(f"{self.title} at {self.host}:{self.port} cannot be reached, or refuses the station")
        try:
            yield partial(self._store, association)
        finally:
            association.release()

    def _associate(self, classes: set[str], answers: list[Event]) -> Association:
        from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
        from pynetdicom import AE, evt

        entity = AE(ae_title=self.own_title)
        entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = entity.connection_timeout = _SECONDS
        for one in sorted(classes):
            entity.add_requested_context(one, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        handlers = [(evt.EVT_ACSE_RECV, answers.append)]
        return entity.associate(self.host, self.port, ae_title=self.title, evt_handlers=handlers)

    def _store(self, association: Association, image: Path) -> None:
        try:
            answer = association.send_c_store(read_image(image))
        except RuntimeError as problem:
            raise SendingError(f"{self.title} at {self.host}:{self.port} has ended the connection") from problem
        if answer.get("Status") not in _STORED:
            status = f"status 0x{answer.Status:04X}" if "Status" in answer else "no answer"
            raise SendingError(f"{self.title} at {self.host}:{self.port} did not store an image: {status}")


@dataclass(frozen=True)
class DicomWeb:
    """A DICOMweb service, by its address."""

    address: str

    @property
    def name(self) -> str:
        """The address without a user's name and password."""
        return re.sub("//[^/]*@", "//", self.address)

    def holds(self, image: Path) -> bool:
        """Search by QIDO-RS; see `Destination.holds`."""
        study, series, instance = (str(read_image(image, *_LEVELS)[level].value) for level in _LEVELS)
        filters = {"SOPInstanceUID": instance}
        try:
            with client_of(self.address) as client:
                found = client.search_for_instances(study, series, search_filters=filters)
            return any(instance in one.get("00080018", {}).get("Value", ()) for one in found)
        except Exception:  # no connection, searches are not supported, or no answer of DICOMweb
            return False

    @contextmanager
    def connected(self, images: list[Path]) -> Iterator[Callable[[Path], None]]:
        """Store by STOW-RS; see `Destination.connected`."""
        with client_of(self.address) as client:
            yield partial(self._store, client)

    def _store(self, client: DICOMwebClient, image: Path) -> None:
        try:
            answer = client.store_instances([read_image(image)])
        except Exception as problem:  # of requests, or no answer of DICOMweb
            reason = reason_of(problem)
            if isinstance(problem, OSError) and getattr(problem, "response", problem) is None:
                raise NoAnswerError(f"the DICOMweb service {self.name} cannot be reached: {reason}") from problem
            raise SendingError(f"the DICOMweb service {self.name} did not store an image: {reason}") from problem
        if answer.get("FailedSOPSequence"):
            raise SendingError(f"the DICOMweb service {self.name} refused an image")
        if not answer.get("ReferencedSOPSequence") and not self.holds(image):
            raise SendingError(f"{self.name} does not say that it stored an image; it may not be a DICOMweb service")


@contextmanager
def client_of(address: str) -> Iterator[DICOMwebClient]:
    """A client of a DICOMweb service; its connections, which may be few at the service, are closed after the block."""
    from dicomweb_client import DICOMwebClient
    from dicomweb_client.session_utils import create_session

    with create_session() as session:
        yield DICOMwebClient(address, session=session)


def reason_of(problem: Exception) -> str:
    """The status that a DICOMweb service answered, or the kind of problem; texts of libraries may name a patient."""
    response = getattr(problem, "response", None)
    return type(problem).__name__ if response is None else f"HTTP status {response.status_code}"


def read_image(image: Path, *names: str) -> Dataset:
    """An image, or only some attributes of its header."""
    from pydicom import dcmread

    return dcmread(image, specific_tags=list(names) or None)
