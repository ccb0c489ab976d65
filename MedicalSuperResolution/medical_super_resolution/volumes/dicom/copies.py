"""Copies among DICOM files: those of one identity and one content."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

from .images.header import DicomFile, text


class Copies:
    """The files so far. Some programs give one UID to several images, so the contents count."""

    def __init__(self) -> None:
        self._firsts: dict[str, Path] = {}
        self._digests: dict[str, set[bytes]] = {}  # of identities that several files have

    def include(self, file: DicomFile) -> bool:
        """Whether a file is a copy of one that was included before; it is read where it could be."""
        identity = text(file.header, "SOPInstanceUID") + text(file.header, "ImagePositionPatient")
        first = self._firsts.setdefault(identity, file.path)
        if not identity or first == file.path:
            return False
        if identity not in self._digests:
            self._digests[identity] = {_digest(first)}
        known, digest = self._digests[identity], _digest(file.path)
        is_copy = digest in known
        known.add(digest)
        return is_copy


def _digest(path: Path) -> bytes:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).digest()
