"""Stand-ins for Slicer's DICOM database and for the module DICOMLib that imports files into it."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydicom
import pytest


class DicomDatabase:
    """The part of ctkDICOMDatabase that our code uses, with its behavior: unknown is empty, and isOpen a property."""

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self.isOpen = True
        self._files = {str(pydicom.dcmread(file).SOPInstanceUID): str(file) for file in files}

    def add(self, folder: Path) -> None:
        self._files |= DicomDatabase(folder.iterdir())._files

    def fileForInstance(self, uid: str) -> str:  # CTK's names
        return self._files.get(uid, "")

    def fileValue(self, file: str, tag: str) -> str:
        if not Path(file).is_file():
            return ""
        element = pydicom.dcmread(file).get(tuple(int(part, 16) for part in tag.split(",")))
        if element is not None and element.VM > 1:
            return "\\".join(map(str, element.value))
        return "" if element is None else str(element.value)

    def instanceValue(self, uid: str, tag: str) -> str:
        return self.fileValue(self._files[uid], tag) if uid in self._files else ""

    def instancesForSeries(self, series: str) -> list[str]:
        return [uid for uid, file in self._files.items() if self.fileValue(file, "0020,000E") == series]

    def removeSeries(self, series: str) -> None:
        for uid in self.instancesForSeries(series):
            del self._files[uid]

    def seriesForStudy(self, study: str) -> list[str]:
        files = [file for file in self._files.values() if self.fileValue(file, "0020,000D") == study]
        return list(dict.fromkeys(self.fileValue(file, "0020,000E") for file in files))

    def fieldForSeries(self, field: str, series: str) -> str:
        return str(pydicom.dcmread(self._files[self.instancesForSeries(series)[0]]).get(field, ""))


def use(database: DicomDatabase, slicer: Any, monkeypatch: pytest.MonkeyPatch) -> DicomDatabase:
    """Make it Slicer's own."""
    utilities = types.ModuleType("DICOMLib.DICOMUtils")
    utilities.importDicom = lambda folder, into, copyFiles=False: into.add(Path(folder)) or True
    package = types.ModuleType("DICOMLib")
    package.DICOMUtils = utilities
    monkeypatch.setitem(sys.modules, "DICOMLib", package)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    return database
