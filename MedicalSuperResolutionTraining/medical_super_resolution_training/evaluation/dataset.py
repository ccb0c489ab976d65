"""The volumes that methods are measured on, read one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import guess_modality
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

from ..data.manifest import Entry, of_split, read_manifest

_MODALITIES = ("ct", "mr", "pet", "us")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class EvaluationVolume:
    """A volume that can be read: its name and how; ``read`` gives a volume that knows its modality."""

    name: str
    read: Callable[[], Volume]


def volumes_of(data: Path, split: str, largest_kji: Shape | None = None) -> list[EvaluationVolume]:
    """The volumes of a folder, or those of one split of a manifest.

    Parameters
    ----------
    largest_kji : keep at most so many voxels along each array axis, from the middle of the volume; None keeps all.

    Raises
    ------
    VolumeError : there are none.
    """
    if data.is_dir():
        paths = sorted(path for path in data.iterdir() if path.is_file() and files.suffix_of(path))
        found = [EvaluationVolume(_stem(path), lambda path=path: _from_file(path)) for path in paths]  # type: ignore[misc]
        if not found:
            raise VolumeError(f"there are no volumes in the folder {data}")
    else:
        entries = of_split(read_manifest(data), split)
        found = [EvaluationVolume(_stem(Path(one.source)), lambda one=one: _from_array(one)) for one in entries]  # type: ignore[misc]
        if not found:
            raise VolumeError(f"the manifest {data} has no volume in its split {split!r}; choose another with --split")
    if largest_kji is None:
        return found
    return [EvaluationVolume(one.name, lambda one=one: _middle(one.read(), largest_kji)) for one in found]  # type: ignore[misc]


def parse_crop(text: str) -> Shape:
    """Three counts from "KxJxI", slices first."""
    try:
        k, j, i = (int(part) for part in text.split("x"))
    except ValueError as problem:
        raise SettingsError(
            f"cannot read the crop {text!r}; write slices, rows and columns like 64x256x256"
        ) from problem
    if min(k, j, i) < 1:
        raise SettingsError(f"the crop {text!r} would leave nothing; write counts above 0")
    return k, j, i


def _stem(path: Path) -> str:
    return path.name.removesuffix(files.suffix_of(path) or "")


def _from_file(path: Path) -> Volume:
    volume = files.read(path)
    named = path.name.partition("_")[0].lower()
    modality = named if named in _MODALITIES else volume.modality or guess_modality(volume.array)
    return Volume(volume.array, volume.grid, volume.slice_thickness_mm, modality)


def _from_array(entry: Entry) -> Volume:
    array = np.load(entry.array, mmap_mode="r")
    k, j, i = array.shape
    return Volume(array, Grid((k, j, i), np.diag([*entry.spacing_kji_mm[::-1], 1.0])), modality=entry.modality)


def _middle(volume: Volume, largest_kji: Shape) -> Volume:
    starts = [max(0, (count - most) // 2) for count, most in zip(volume.array.shape, largest_kji, strict=True)]
    where = tuple(slice(start, start + most) for start, most in zip(starts, largest_kji, strict=True))
    array = volume.array[where]
    moved = volume.grid.ijk_to_ras.copy()
    moved[:3, 3] += moved[:3, :3] @ starts[::-1]
    k, j, i = array.shape
    return Volume(array, Grid((k, j, i), moved), volume.slice_thickness_mm, volume.modality)
