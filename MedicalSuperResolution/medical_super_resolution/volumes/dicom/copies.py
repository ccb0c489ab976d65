"""Copies among DICOM files: those of one identity and one content."""

from __future__ import annotations

from pathlib import Path

from ...system.checksum import digest_of
from .images.header import DicomFile, text


class Copies:
    """The files so far. Some programs give one UID to several images, so the contents count."""

    def __init__(self) -> None:
        self._firsts: dict[str, Path] = {}
        self._digests: dict[str, set[str]] = {}  # of identities that several files have

    def include(self, file: DicomFile) -> bool:
        """Whether a file is a copy of one that was included before; it is read where it could be."""
        identity = text(file.header, "SOPInstanceUID") + text(file.header, "ImagePositionPatient")
        first = self._firsts.setdefault(identity, file.path)
        if not identity or first == file.path:
            return False
        if identity not in self._digests:
            self._digests[identity] = {digest_of(first)}
        known, digest = self._digests[identity], digest_of(file.path)
        is_copy = digest in known
        known.add(digest)
        return is_copy
