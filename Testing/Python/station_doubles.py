"""A clock, archives and rules for the tests of the station."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dicom_files
from medical_super_resolution.station.queue import Queue
from medical_super_resolution.station.rules import Rule
from medical_super_resolution.station.sender import DicomNode
from medical_super_resolution.station.service import Station

if TYPE_CHECKING:
    import pydicom


SERIES = f"{dicom_files.ROOT}.2.1"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Archive:
    """A storage provider that may answer queries: its address, and the images it got, in their order."""

    def __init__(self, *, is_searchable: bool) -> None:
        import pynetdicom

        self.got: list[pydicom.Dataset] = []
        self.status = 0  # of its answers
        entity = pynetdicom.AE("ARCHIVE")
        for context in pynetdicom.StoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax)
        if is_searchable:
            entity.add_supported_context(pynetdicom.sop_class.StudyRootQueryRetrieveInformationModelFind)
        handlers = [(pynetdicom.evt.EVT_C_STORE, self.store), (pynetdicom.evt.EVT_C_FIND, self.find)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.address = f"ARCHIVE@127.0.0.1:{self.server.server_address[1]}"

    def store(self, event) -> int:
        self.got.append(event.dataset)
        return self.status

    def find(self, event) -> Iterator[tuple[int, pydicom.Dataset | None]]:
        asked = event.identifier
        assert asked.QueryRetrieveLevel == "IMAGE"
        for image in self.got:
            if all(image[element.tag].value == element.value for element in asked if element.keyword[-3:] == "UID"):
                yield 0xFF00, asked


def send(node: DicomNode, files: list[Path]) -> None:
    with node.connected(files) as store:
        for file in files:
            store(file)


def filled(queue: Queue, files: list[Path]) -> None:
    for file in files:
        queue.add(SERIES, file.name, file.read_bytes())


def station(queue: Queue, model: Path, send_to: str, **more) -> Station:
    return Station(queue, (Rule(modality="CT", factor=2, model=str(model)),), send_to, "MEDSR", quiet_seconds=5, **more)


def rules_file(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return path


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
