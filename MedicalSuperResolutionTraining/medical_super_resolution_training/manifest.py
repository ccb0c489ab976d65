"""The list of volumes that a training reads: each prepared once as a memory-mapped array."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes import files
from medical_super_resolution.volumes.intensity import guess_modality, intensity_range


@dataclass(frozen=True)
class Entry:
    """One prepared volume: its array file (K, J, I), modality, spacing in mm, intensity range, and licence if known."""

    source: str
    array: str
    modality: str
    spacing_kji_mm: tuple[float, float, float]
    low: float
    high: float
    licence: str = ""


def prepare(folder: Path, manifest: Path) -> list[Entry]:
    """Turn every NIfTI volume of a folder into an array file beside the manifest, and write the manifest."""
    sources = sorted(folder.glob("*.nii.gz")) + sorted(folder.glob("*.nii"))
    if not sources:
        raise VolumeError(f"there are no NIfTI volumes (*.nii.gz, *.nii) in {folder}")
    arrays = manifest.with_suffix("")
    arrays.mkdir(parents=True, exist_ok=True)
    licences = _licences(folder)
    entries = []
    for source in sources:
        volume = files.read(source)
        modality = volume.modality or guess_modality(volume.array)
        measured = intensity_range(volume.array, modality)
        file = arrays / (source.name + ".npy")
        np.save(file, volume.array)
        i, j, k = volume.grid.spacing_ijk_mm
        entries.append(
            Entry(
                source.name,
                str(file.resolve()),
                modality,
                (k, j, i),
                measured.low,
                measured.high,
                licences.get(source.name, ""),
            )
        )
    manifest.write_text(json.dumps([asdict(entry) for entry in entries], indent=1))
    return entries


def _licences(folder: Path) -> dict[str, str]:
    """Licences by file name, from an INDEX.tsv in the folder or above it, whose columns "file" and "licence" tell."""
    for index in (folder / "INDEX.tsv", folder.parent / "INDEX.tsv"):
        if index.is_file():
            with index.open(newline="", encoding="utf-8") as file:
                return {Path(row["file"]).name: row["licence"] for row in csv.DictReader(file, delimiter="\t")}
    return {}


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest written by `prepare`."""
    if not path.is_file():
        raise VolumeError(f"there is no manifest {path}; make one with: medsr-train prepare FOLDER {path}")
    return [
        Entry(**(entry | {"spacing_kji_mm": tuple(entry["spacing_kji_mm"])})) for entry in json.loads(path.read_text())
    ]
