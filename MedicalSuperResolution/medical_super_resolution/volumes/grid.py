"""Geometry of a regular voxel grid. All grid arithmetic is in this module."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..errors import VolumeError

AXES_IJK = "ijk"  # index axes of a file, fastest first; arrays are the other way round, (K, J, I)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # the axes of DICOM and ITK point to the left and to posterior
LARGEST_SPACING_MM = 1e4  # beyond what any scanner measures, and any mistaken unit of a length
SAME_SPACING = 1e-3  # relative
_CLEARLY = 2.0  # ratio of differences of log spacings, above which one axis stands out
_FARTHEST_MM = 1e9
_NEEDS_DIGITS_MM = 0.1
SHEARED = 1e-3  # cosine between two axes: 0.06 degrees


def array_axis(axis: str) -> int:
    """The array axis of an index axis: "k" is 0, "j" is 1, "i" is 2."""
    return 2 - AXES_IJK.index(axis)


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels.

    Parameters
    ----------
    shape_kji : tuple of int
        Voxel counts, slowest axis first (the order of the array).
    ijk_to_ras : numpy.ndarray
        (4, 4) float64, voxel-center index (i, j, k) to millimeters in RAS; any orientation, also left-handed.
    slice_axis : str or None
        The axis ("i", "j" or "k") along which slices were acquired, if the file names it; always k for DICOM.

    Raises
    ------
    VolumeError
        ``ijk_to_ras`` is no such matrix, holds values that are not finite, or voxels that lie 0 or over 10 m apart.
    """

    shape_kji: tuple[int, int, int]
    ijk_to_ras: np.ndarray
    slice_axis: str | None = None

    def __post_init__(self) -> None:
        matrix = np.asarray(self.ijk_to_ras, dtype=np.float64)
        if (
            matrix.shape != (4, 4)
            or not (np.abs(matrix) < _FARTHEST_MM).all()  # nor not a number
            or not (np.linalg.norm(matrix[:3, :3], axis=0) > 0).all()
        ):
            raise VolumeError("the position of the volume in space is not defined: its spacing or direction is damaged")
        if (farthest := float(np.linalg.norm(matrix[:3, :3], axis=0).max())) > LARGEST_SPACING_MM:
            raise VolumeError(f"the voxels lie {farthest / 1000:.6g} m apart by the header, so the spacing is damaged")
        matrix = matrix.copy()
        matrix.setflags(write=False)  # two equal grids stay equal
        object.__setattr__(self, "ijk_to_ras", matrix)
        k, j, i = map(int, self.shape_kji)
        object.__setattr__(self, "shape_kji", (k, j, i))

    def __eq__(self, other: object) -> bool:
        """Whether both have the same size and exactly the same place, and agree on the slice axis."""
        if not isinstance(other, Grid):
            return NotImplemented
        same = (self.shape_kji, self.slice_axis) == (other.shape_kji, other.slice_axis)
        return same and np.array_equal(self.ijk_to_ras, other.ijk_to_ras)

    def __hash__(self) -> int:
        return hash((self.shape_kji, *self.ijk_to_ras.ravel().tolist()))

    def __reduce__(self) -> tuple[type[Grid], tuple[tuple[int, int, int], np.ndarray, str | None]]:
        return Grid, (self.shape_kji, self.ijk_to_ras, self.slice_axis)  # else the matrix of a copy could be changed

    def __repr__(self) -> str:
        return f"Grid({self.described()})"

    @property
    def ijk_to_lps(self) -> np.ndarray:
        """(4, 4) voxel-center index to millimeters in LPS, as DICOM and ITK count."""
        return LPS_TO_RAS @ self.ijk_to_ras

    @property
    def spacing_ijk_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centers along i, j and k, in mm."""
        i, j, k = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def direction(self) -> np.ndarray:
        """(3, 3) unit vectors of i, j and k as columns, in RAS."""
        return self.ijk_to_ras[:3, :3] / np.array(self.spacing_ijk_mm)

    @property
    def through_plane_axis(self) -> str:
        """The slice axis as named by the file, or else the one whose spacing differs from the others.

        Pixels are mostly square, whether slices are thicker or thinner. If no spacing stands out, it is the axis of the
        largest spacing, and k if all are equal.
        """
        spacing = self.spacing_ijk_mm
        is_cubic = max(spacing) <= min(spacing) * (1 + SAME_SPACING)
        return self.slice_axis or self.odd_axis or ("k" if is_cubic else AXES_IJK[int(np.argmax(spacing))])

    @property
    def odd_axis(self) -> str | None:
        """The axis whose spacing differs from the other two clearly more than they do from each other, or None."""
        by_spacing = sorted("kji", key=self.spacing_mm)
        low, middle, high = (math.log(self.spacing_mm(axis)) for axis in by_spacing)
        if max(middle - low, high - middle) <= max(SAME_SPACING, _CLEARLY * min(middle - low, high - middle)):
            return None
        return by_spacing[0 if middle - low > high - middle else 2]

    @property
    def through_plane_spacing_mm(self) -> float:
        """Distance between slice centers, in mm."""
        return self.spacing_mm(self.through_plane_axis)

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not at right angles, as after a scan with tilted gantry."""
        return self.shear > SHEARED

    @property
    def shear(self) -> float:
        """The largest cosine between two axes; 0 where all are at right angles."""
        return float(np.abs(self.direction.T @ self.direction - np.eye(3)).max())

    @property
    def bounds_ras_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest R, A and S of the outer corners, (3,) and (3,) in mm."""
        places = (self.ijk_to_ras @ self.corners_ijk)[:3]
        return places.min(axis=1), places.max(axis=1)

    @property
    def corners_ijk(self) -> np.ndarray:
        """Indices (i, j, k, 1) of the outer corners, (4, 8)."""
        k, j, i = self.shape_kji
        return np.array(np.meshgrid((-0.5, i - 0.5), (-0.5, j - 0.5), (-0.5, k - 0.5), [1.0])).reshape(4, -1)

    def overlaps(self, other: Grid) -> bool:
        """Whether the bounds of both grids in space overlap."""
        (low, high), (other_low, other_high) = self.bounds_ras_mm, other.bounds_ras_mm
        return bool((np.minimum(high, other_high) > np.maximum(low, other_low)).all())

    def count(self, axis: str) -> int:
        """Number of voxels along an index axis."""
        return self.shape_kji[array_axis(axis)]

    def spacing_mm(self, axis: str) -> float:
        """Distance between voxel centers along an index axis, in mm."""
        return self.spacing_ijk_mm[AXES_IJK.index(axis)]

    def refined(self, axis: str, factor: float) -> Grid:
        """The grid with ``factor`` times finer voxels along one axis; a factor below 1 makes it coarser.

        The spacing is divided exactly by the factor and the first outer corner is kept, so the first center moves by
        (1/factor - 1)/2 voxels. If count times factor is not whole it is rounded, and the far end moves by up to half a
        fine voxel.
        """
        column = AXES_IJK.index(axis)
        new_to_old = np.eye(4)
        new_to_old[column, column] = 1 / factor
        new_to_old[column, 3] = (1 / factor - 1) / 2
        shape = list(self.shape_kji)
        shape[array_axis(axis)] = max(1, round(self.count(axis) * factor))
        return replace(self, shape_kji=(shape[0], shape[1], shape[2]), ijk_to_ras=self.ijk_to_ras @ new_to_old)

    def described(self) -> str:
        """Text such as "512x512x40 at 0.70x0.70x5.00 mm", along i, j and k."""
        counts = "x".join(str(self.count(axis)) for axis in AXES_IJK)
        return f"{counts} at " + "x".join(map(two_places, self.spacing_ijk_mm)) + " mm"


def two_places(millimeters: float) -> str:
    """Two places behind the point, or three digits where that is too few, as for micro-CT."""
    return f"{round(millimeters, 5):.2f}" if millimeters >= _NEEDS_DIGITS_MM else in_digits(millimeters, 3)


def in_digits(value: float, digits: int) -> str:
    """A length as people write it, with this many digits or all those before the point: 0.7, 1.25, 120, 0.00012."""
    places = max(0, digits - 1 - math.floor(math.log10(value))) if value > 0 else 0
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text
