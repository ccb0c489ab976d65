"""Degradation of a volume before it is given to a method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.physics.acquisition import PROFILES, acquisition_matrix
from medical_super_resolution.settings import check_factor
from medical_super_resolution.volumes.grid import AXES_IJK, Grid, array_axis
from medical_super_resolution.volumes.volume import Volume

_WHOLE = 1e-6
_FEWEST_SLICES = 4  # thick ones, along each axis that is made coarser


@dataclass(frozen=True)
class Case:
    """One acquisition: ``axes`` (letters of "ijk") made ``factor`` times coarser.

    Parameters
    ----------
    profile
        Slice profile, see `acquisition.PROFILES`.
    thickness
        Slice thickness over the distance between slices.
    """

    axes: str
    factor: float
    profile: str = "gaussian"
    thickness: float = 1.0

    @property
    def name(self) -> str:
        """The case as on the command line, "k:4" or "k:5:box:0.8"."""
        parts = [self.axes, f"{self.factor:g}"]
        if self.profile != "gaussian" or self.thickness != 1:
            parts.append(self.profile)
        if self.thickness != 1:
            parts.append(f"{self.thickness:g}")
        return ":".join(parts)

    @property
    def file_name(self) -> str:
        """The name without colons, which some file systems refuse."""
        return self.name.replace(":", "_")


def parse_case(text: str) -> Case:
    """A case from "AXES:FACTOR", "AXES:FACTOR:PROFILE" or "AXES:FACTOR:PROFILE:THICKNESS".

    Raises
    ------
    SettingsError
        The text has another form, the factor lies outside (1, 8], or the thickness outside (0, 4] slice distances.
    """
    axes, *rest = text.split(":")
    numbers = rest[:1] + rest[2:]
    if not axes or set(axes) - set(AXES_IJK) or len(set(axes)) < len(axes) or not 1 <= len(rest) <= 3:
        raise SettingsError(f"cannot read the case {text!r}; write AXES:FACTOR, such as k:4, ij:2 or k:5:box")
    try:
        factor, thickness = (*map(float, numbers), 1.0)[:2]
    except ValueError as problem:
        raise SettingsError(
            f"the case {text!r} holds something that is not a number; write for example k:4"
        ) from problem
    profile = rest[1] if len(rest) > 1 else "gaussian"
    if profile not in PROFILES:
        raise SettingsError(f"the case {text!r} names no known slice profile; use one of: {', '.join(PROFILES)}")
    check_factor(factor, f"the factor of the case {text!r}")
    if not 0 < thickness <= 4:
        raise SettingsError(f"the thickness in the case {text!r} must be above 0 and at most 4 slice distances")
    return Case(axes, factor, profile, thickness)


def trimmed(volume: Volume, case: Case) -> Volume:
    """The volume without its last samples that do not fill a thick slice: the outer boundaries of both grids agree."""
    shape = list(volume.array.shape)
    for axis in case.axes:
        count = _coarse_count(shape[array_axis(axis)], case.factor)
        while count > 1 and abs(count * case.factor - round(count * case.factor)) > _WHOLE:
            count -= 1
        shape[array_axis(axis)] = round(count * case.factor)
    k, j, i = shape
    return Volume(volume.array[:k, :j, :i], Grid((k, j, i), volume.grid.ijk_to_ras), modality=volume.modality)


def is_large_enough(volume: Volume, case: Case) -> bool:
    """Whether enough thick slices would be left along every coarser axis."""
    return all(volume.grid.count(axis) >= _FEWEST_SLICES * case.factor for axis in case.axes)


def degraded(volume: Volume, case: Case) -> Volume:
    """A `trimmed` volume as the scanner of the case would measure it; whole numbers stay whole."""
    array = acquired_again(volume.array, case)
    grid = volume.grid
    for axis in case.axes:
        grid = grid.refined(axis, 1 / case.factor)
    is_whole = volume.array.dtype.kind in "iu"
    stored = np.rint(array).astype(volume.array.dtype) if is_whole else array.astype(np.float32)
    return Volume(stored, grid, _thickness_mm(grid, case), volume.modality)


def acquired_again(array: np.ndarray, case: Case) -> np.ndarray:
    """The acquisition model of a case on fine voxels (K, J, I), float64, not rounded."""
    for axis in case.axes:
        at = array_axis(axis)
        fine = array.shape[at]
        matrix = acquisition_matrix(
            _coarse_count(fine, case.factor), fine, case.factor, profile=case.profile, thickness=case.thickness
        )
        array = np.moveaxis(np.tensordot(matrix, array.astype(np.float64), axes=(1, at)), 0, at)
    return array


def _coarse_count(fine: int, factor: float) -> int:
    return int(fine / factor + _WHOLE)


def _thickness_mm(grid: Grid, case: Case) -> float | None:
    """The thickness in a header: tissue in one slice, where the slices are those that were made coarser."""
    if grid.through_plane_axis not in case.axes:
        return None
    return case.thickness * grid.through_plane_spacing_mm
