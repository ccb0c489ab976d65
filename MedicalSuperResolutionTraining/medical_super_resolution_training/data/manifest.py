"""The list of volumes that a training reads: each prepared once as a memory-mapped array."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.system.temp_dirs import write_whole


@dataclass(frozen=True)
class Entry:
    """One prepared volume: its array file (K, J, I), modality, spacing in mm, intensity range, and license if known.

    Parameters
    ----------
    split
        "train", "validation" or "test".
    patient
        Patient of the scan, by the dataset's own label.
    """

    source: str
    array: str
    modality: str
    spacing_kji_mm: tuple[float, float, float]
    low: float
    high: float
    licence: str = ""
    split: str = "train"
    patient: str = ""


def of_split(entries: list[Entry], split: str) -> list[Entry]:
    """The entries of one split."""
    return [entry for entry in entries if entry.split == split]


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest; its arrays may have moved together with it.

    Raises
    ------
    VolumeError
        The manifest is missing or damaged.
    """
    return _read(path)[0]


def sources(path: Path) -> set[str]:
    """The scans that the preparation of a manifest found, with those that it refused; errors as of `read_manifest`."""
    entries, refused = _read(path)
    return {entry.source for entry in entries} | refused


def _read(path: Path) -> tuple[list[Entry], set[str]]:
    """The entries of a manifest, and the scans that its preparation refused."""
    if not path.is_file():
        raise VolumeError(f"there is no manifest {path}; make one with: medsr-train prepare FOLDER {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, list):  # of earlier versions
            content = {"volumes": content}
        entries = [_entry(table, path.parent) for table in content["volumes"]]
        return entries, {scan["source"] for scan in content.get("refused", [])}
    except (ValueError, KeyError, TypeError) as problem:
        raise VolumeError(f"the manifest {path} is damaged; run medsr-train prepare again") from problem


def _entry(table: dict[str, Any], folder: Path) -> Entry:
    k, j, i = table["spacing_kji_mm"]
    array = str((folder / table["array"]).resolve())
    return Entry(**(table | {"spacing_kji_mm": (k, j, i), "array": array}))


def write_manifest(entries: list[Entry], path: Path, refused: list[dict[str, str]] | None = None) -> None:
    """Write a manifest. Arrays below its folder are named from there, so that they can be moved with it.

    Parameters
    ----------
    refused
        What was left out, each with "source" and "why".
    """
    folder = path.parent.resolve()
    tables = []
    for entry in entries:
        array = Path(entry.array)
        inside = array.relative_to(folder).as_posix() if array.is_relative_to(folder) else str(array)
        tables.append(asdict(entry) | {"array": inside})
    content = json.dumps({"volumes": tables, "refused": refused or []}, indent=1) + "\n"
    write_whole(path, content.encode())
