"""Where derived series go: to a DICOM node by C-STORE, or to a DICOMweb service by STOW-RS."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import SettingsError, SuperResolutionError

_NODE = re.compile(r"(?P<title>[^@\s]{1,16})@(?P<host>[\w.\-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, or success with a warning
_SECONDS = 60


class SendingError(SuperResolutionError):
    """The receiver did not take an image; it is sent again later."""


class Destination(Protocol):
    """Sends images, and calls ``sent`` for each one that the receiver has stored."""

    def send(self, images: list[Path], sent: Callable[[Path], None]) -> None:
        """Send files of one series.

        Raises
        ------
        SendingError
            The receiver cannot be reached, or refuses an image.
        """


def destination_of(text: str, *, title: str) -> Destination:
    """A destination from ``AE@HOST:PORT`` or the address of a DICOMweb service.

    Raises
    ------
    SettingsError
        It is neither.
    """
    if text.startswith(("http://", "https://")):
        return DicomWeb(text)
    found = _NODE.fullmatch(text)
    if not found or not 0 < int(found["port"]) < 65536:
        raise SettingsError(f"cannot read the destination {text!r}; write AE@HOST:PORT, or http(s)://... for DICOMweb")
    return DicomNode(found["title"], found["host"].strip("[]"), int(found["port"]), title)


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

    def send(self, images: list[Path], sent: Callable[[Path], None]) -> None:
        """Send images by C-STORE over one association; see `Destination.send`."""
        from pydicom import dcmread
        from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
        from pynetdicom import AE

        entity = AE(ae_title=self.own_title)
        entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = entity.connection_timeout = _SECONDS
        for kind in sorted({str(dcmread(image, specific_tags=["SOPClassUID"]).SOPClassUID) for image in images}):
            entity.add_requested_context(kind, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        association = entity.associate(self.host, self.port, ae_title=self.title)
        if not association.is_established:
            raise SendingError(f"{self.title} at {self.host}:{self.port} cannot be reached, or refuses the station")
        try:
            for image in images:
                answer = association.send_c_store(dcmread(image))
                if answer.get("Status") not in _STORED:
                    status = f"status 0x{answer.Status:04X}" if "Status" in answer else "no answer"
                    raise SendingError(f"{self.title} at {self.host}:{self.port} did not store an image: {status}")
                sent(image)
        finally:
            association.release()


@dataclass(frozen=True)
class DicomWeb:
    """A DICOMweb service that stores (STOW-RS), by its address."""

    address: str

    def send(self, images: list[Path], sent: Callable[[Path], None]) -> None:
        """Send images one after the other; see `Destination.send`."""
        from dicomweb_client import DICOMwebClient
        from pydicom import dcmread

        client = DICOMwebClient(self.address)
        for image in images:
            try:
                answer = client.store_instances([dcmread(image)])
            except OSError as problem:  # requests' errors are of this kind
                raise SendingError(f"the DICOMweb service {self.address} did not store an image") from problem
            if answer.get("FailedSOPSequence"):
                raise SendingError(f"the DICOMweb service {self.address} refused an image")
            sent(image)
