"""The volumes that methods are measured on, read one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.settings import MODALITIES
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import guess_modality
from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.volume import Volume

from ..data.arrays import mapped_array
from ..data.manifest import Entry, of_split, read_manifest

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class EvaluationVolume:
    """A volume that can be read.

    Parameters
    ----------
    name
        Name in tables.
    read
        Gives the volume, which knows its modality.
    measured
        Gives what the scanner itself made of the same acquisition with thicker slices; None where these are simulated.
    """

    name: str
    read: Callable[[], Volume]
    measured: Callable[[], Volume] | None = None


def volumes_of(data: Path, split: str, largest_kji: Shape | None = None) -> list[EvaluationVolume]:
    """The volumes of a folder, or those of one split of a manifest.

    Parameters
    ----------
    largest_kji
        Keep at most so many voxels along each array axis, from the middle of the volume; None keeps all.

    Raises
    ------
    VolumeError
        There are none.
    """
    if data.is_dir():
        paths = sorted(path for path in data.iterdir() if path.is_file() and formats.suffix_of(path))
        names = _names([Path(path.name) for path in paths])
        found = [
            EvaluationVolume(name, lambda path=path: _from_file(path))  # type: ignore[misc]
            for name, path in zip(names, paths, strict=True)
        ]
        if not found:
            raise VolumeError(f"there are no volumes in the folder {data}")
    else:
        entries = of_split(read_manifest(data), split)
        names = _names([Path(one.source) for one in entries])
        found = [
            EvaluationVolume(name, lambda one=one: _from_array(one))  # type: ignore[misc]
            for name, one in zip(names, entries, strict=True)
        ]
        if not found:
            raise VolumeError(f"the manifest {data} has no volume in its split {split!r}; choose another with --split")
    if largest_kji is None:
        return found
    return [EvaluationVolume(one.name, lambda one=one: _middle(one.read(), largest_kji)) for one in found]  # type: ignore[misc]


def measured_pairs(pairs: list[tuple[Path, Path]], largest_kji: Shape | None = None) -> list[EvaluationVolume]:
    """Every `measured_pair`; where two lie in folders of one name, all are named by their thin files too."""
    found = [measured_pair(*pair, largest_kji) for pair in pairs]
    if len({one.name for one in found}) == len(found):
        return found
    return [replace(one, name=f"{one.name}_{_stem(thin)}") for one, (_, thin) in zip(found, pairs, strict=True)]


def measured_pair(thick: Path, thin: Path, largest_kji: Shape | None = None) -> EvaluationVolume:
    """One acquisition that was reconstructed twice, with thick and with thin slices; named by the folder of the latter.

    Parameters
    ----------
    thick, thin
        Files of both; the outer boundaries of their grids agree.
    largest_kji
        As of `volumes_of`, in voxels of the thin one.

    Raises
    ------
    VolumeError
        The grids do not fit each other.
    """
    coarse, fine = _from_file(thick), _from_file(thin)
    ratios = [round(own / other) for own, other in zip(fine.array.shape, coarse.array.shape, strict=True)]
    is_whole = tuple(count * ratio for count, ratio in zip(coarse.array.shape, ratios, strict=True)) == fine.array.shape
    near = 0.1 * min(fine.grid.spacing_ijk_mm)
    is_same_place = np.allclose(np.ravel(coarse.grid.bounds_ras_mm), np.ravel(fine.grid.bounds_ras_mm), atol=near)
    if not (is_whole and is_same_place):
        raise VolumeError(
            f"{thick} ({coarse.grid.described()}) does not cover the same place as {thin} ({fine.grid.described()})"
            " with a whole number of thin slices in each thick one"
        )
    if largest_kji is not None:
        most = [max(1, count // ratio) for count, ratio in zip(largest_kji, ratios, strict=True)]
        starts = [max(0, (count - one) // 2) for count, one in zip(coarse.array.shape, most, strict=True)]
        counts = [min(count, one) for count, one in zip(coarse.array.shape, most, strict=True)]
        coarse = _part(coarse, starts, counts)
        fine = _part(fine, np.multiply(starts, ratios).tolist(), np.multiply(counts, ratios).tolist())
    return EvaluationVolume(thin.resolve().parent.name, lambda: fine, lambda: coarse)


def parse_crop(text: str) -> Shape:
    """Three counts from "KxJxI", slices first.

    Raises
    ------
    SettingsError
        The text has another form, or a count is below 1.
    """
    try:
        k, j, i = (int(part) for part in text.split("x"))
    except ValueError as problem:
        raise SettingsError(
            f"cannot read the crop {text!r}; write slices, rows and columns like 64x256x256"
        ) from problem
    if min(k, j, i) < 1:
        raise SettingsError(f"the crop {text!r} would leave nothing; write counts above 0")
    return k, j, i


def _names(sources: list[Path]) -> list[str]:
    """The name of each file; where two share one, all with their folders; where that is not enough, with suffixes."""
    stems = [_stem(path) for path in sources]
    with_folders = ["_".join([*path.parts[:-1], stem]) for path, stem in zip(sources, stems, strict=True)]
    whole = ["_".join(path.parts) for path in sources]
    return next((names for names in (stems, with_folders) if len(set(names)) == len(names)), whole)


def _stem(path: Path) -> str:
    return path.name.removesuffix(formats.suffix_of(path) or "")


def _from_file(path: Path) -> Volume:
    volume = files.read(path)
    named = path.name.partition("_")[0].lower()
    modality = named if named in MODALITIES else volume.modality or guess_modality(volume.array)
    return Volume(volume.array, volume.grid, volume.slice_thickness_mm, modality)


def _from_array(entry: Entry) -> Volume:
    array = mapped_array(entry.array)
    k, j, i = array.shape
    return Volume(array, Grid((k, j, i), np.diag([*entry.spacing_kji_mm[::-1], 1.0])), modality=entry.modality)


def _middle(volume: Volume, largest_kji: Shape) -> Volume:
    starts = [max(0, (count - most) // 2) for count, most in zip(volume.array.shape, largest_kji, strict=True)]
    counts = [min(count, most) for count, most in zip(volume.array.shape, largest_kji, strict=True)]
    return _part(volume, starts, counts)


def _part(volume: Volume, starts_kji: list[int], counts_kji: list[int]) -> Volume:
    where = tuple(slice(start, start + count) for start, count in zip(starts_kji, counts_kji, strict=True))
    array = volume.array[where]
    moved = volume.grid.ijk_to_ras.copy()
    moved[:3, 3] += moved[:3, :3] @ starts_kji[::-1]
    k, j, i = array.shape
    return Volume(array, Grid((k, j, i), moved), volume.slice_thickness_mm, volume.modality)
