"""The list of volumes that a training reads: each prepared once as a memory-mapped array."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.intensity import guess_modality, intensity_range


@dataclass(frozen=True)
class Entry:
    """One prepared volume: its array file (K, J, I), modality, spacing in mm and intensity range."""

    source: str
    array: str
    modality: str
    spacing_kji_mm: tuple[float, float, float]
    low: float
    high: float


def prepare(folder: Path, manifest: Path) -> list[Entry]:
    """Turn every NIfTI volume of a folder into an array file beside the manifest, and write the manifest."""
    sources = sorted(folder.glob("*.nii.gz")) + sorted(folder.glob("*.nii"))
    if not sources:
        raise VolumeError(f"there are no NIfTI volumes (*.nii.gz, *.nii) in {folder}")
    arrays = manifest.with_suffix("")
    arrays.mkdir(parents=True, exist_ok=True)
    entries = []
    for source in sources:
        image = sitk.ReadImage(str(source))
        values = sitk.GetArrayFromImage(image)
        modality = guess_modality(values)
        measured = intensity_range(values, modality)
        file = arrays / (source.name.split(".")[0] + ".npy")
        np.save(file, values)
        i, j, k = image.GetSpacing()
        entries.append(Entry(source.name, str(file.resolve()), modality, (k, j, i), measured.low, measured.high))
    manifest.write_text(json.dumps([asdict(entry) for entry in entries], indent=1))
    return entries


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest written by `prepare`."""
    if not path.is_file():
        raise VolumeError(f"there is no manifest {path}; make one with: medsr-train prepare FOLDER {path}")
    return [
        Entry(**(entry | {"spacing_kji_mm": tuple(entry["spacing_kji_mm"])})) for entry in json.loads(path.read_text())
    ]
