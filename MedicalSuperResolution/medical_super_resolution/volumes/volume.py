"""A scalar volume with its grid and its metadata."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from ..errors import VolumeError
from ..report import Report
from ..settings import check_modality
from .grid import Grid

NO_TIMES = (1.0, 0.0)  # spacing and origin of a series that has none
_KINDS = "iuf"  # signed, unsigned, floating
_HALF = 0.5 + 1e-3  # of a slice
_Image = TypeVar("_Image")


@dataclass(frozen=True, eq=False)
class FileHeader:
    """The parts of a file's header that the file of a result keeps.

    Parameters
    ----------
    ijk_to_ras : numpy.ndarray
        (4, 4) of the file's own grid.
    nifti : bytes
        The NIfTI header, little endian; empty for other formats.
    extensions : bytes
        What follows the NIfTI header, little endian, with sizes and codes as in the file: notes of other programs.
    fields : dict
        Free pairs of keys and values of a NRRD file, such as the names of segments.
    is_labels : bool
        The file is a segmentation, by its name or its header.
    measurement_frame : numpy.ndarray or None
        (3, 3) axes along which ``fields`` give directions, such as those of diffusion gradients, as columns in RAS.
    series_axis : tuple of float
        Spacing and origin of the volumes of a series, mostly times in seconds.
    """

    ijk_to_ras: np.ndarray
    nifti: bytes = b""
    extensions: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)
    is_labels: bool = False
    measurement_frame: np.ndarray | None = None
    series_axis: tuple[float, float] = NO_TIMES


@dataclass(frozen=True, eq=False)
class MeasuredSlices:
    """Measured slices that are not at the regular places of a volume.

    Parameters
    ----------
    array : numpy.ndarray
        (N, J, I), of the volume's type.
    places : numpy.ndarray
        (N,) ascending, places along k in units of the volume's slices.
    thickness : numpy.ndarray
        (N,) slice thickness relative to that of the volume.
    padding : numpy.ndarray or None
        (N, J, I) bool, as in `Volume`.
    """

    array: np.ndarray
    places: np.ndarray
    thickness: np.ndarray
    padding: np.ndarray | None = None

    def are_far_from(self, count: int) -> np.ndarray:
        """(K,) bool: which of ``count`` regular places lie further than half a slice from all measured slices."""
        return np.abs(self.places[:, None] - np.arange(count)).min(axis=0) > _HALF

    def flipped(self, axes: tuple[int, ...], count: int) -> MeasuredSlices:
        """The measured slices of the mirror image, along array axes, of a volume with ``count`` slices."""
        padding = None if self.padding is None else np.flip(self.padding, axes)
        if 0 not in axes:
            return replace(self, array=np.flip(self.array, axes), padding=padding)
        return MeasuredSlices(np.flip(self.array, axes), count - 1 - self.places[::-1], self.thickness[::-1], padding)


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar volume: values, grid and metadata.

    Parameters
    ----------
    array : numpy.ndarray
        (K, J, I), integer or floating, in the units of the scanner (HU for CT).
    grid : Grid
        Place of the voxels, of the same shape.
    slice_thickness_mm : float or None
        Slice thickness, if the file states it.
    modality : str or None
        "ct", "mr", "pet", "us", or None if it is not known.
    padding : numpy.ndarray or None
        (K, J, I) bool, true outside the field of view, such as around a round one or beside tilted slices.
    sheared_grid : Grid or None
        The original grid of a straightened volume, see `tilt.straightened`.
    measured : MeasuredSlices or None
        The original slices, if the reader interpolated them to regular places.
    header : FileHeader or None
        Further fields of the volume's file.
    notes : tuple of str
        What the reader changed (straightened, resampled, left out), for the report.

    Raises
    ------
    TypeError
        ``array`` is no NumPy array.
    VolumeError
        It has a mask, no voxels, other axes than the grid, or values that are no whole or real numbers; or the padding
        does not fit it.
    SettingsError
        The modality is unknown.
    """

    array: np.ndarray
    grid: Grid
    slice_thickness_mm: float | None = None
    modality: str | None = None
    padding: np.ndarray | None = None
    sheared_grid: Grid | None = None
    measured: MeasuredSlices | None = None
    header: FileHeader | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray):
            raise TypeError(f"a volume takes a numpy array, got {type(self.array).__name__}; use numpy.asarray")
        if isinstance(self.array, np.ma.MaskedArray):  # parts of numpy heed the mask, others compute with what it hides
            raise VolumeError("the array has a mask; fill it first by .filled(value)")
        if self.array.ndim != 3 or self.array.shape != self.grid.shape_kji:
            raise VolumeError(f"a volume needs three axes that fit its grid, got {self.array.shape}")
        if self.array.size == 0:
            raise VolumeError(f"the volume is empty: its size is {self.array.shape[::-1]}")
        if self.padding is not None and self.padding.shape != self.array.shape:
            raise VolumeError(f"the padding, {self.padding.shape}, does not fit the volume, {self.array.shape}")
        if self.array.dtype.kind not in _KINDS:
            raise VolumeError(f"the voxels are of type {self.array.dtype}; a volume needs whole or real numbers")
        check_modality(self.modality)  # "CT" would be normalized as MR

    @property
    def interpolated(self) -> np.ndarray | None:
        """(K,) bool, true for slices with no measured slice within half a slice distance; None if there are none."""
        if self.measured is None:
            return None
        is_far = self.measured.are_far_from(len(self.array))
        return is_far if is_far.any() else None

    def __eq__(self, other: object) -> bool:
        """Whether voxels, their type, padding, grid, thickness and modality are the same."""
        if not isinstance(other, Volume):
            return NotImplemented
        return (
            (
                (self.grid, self.slice_thickness_mm, self.modality, self.array.dtype)
                == (other.grid, other.slice_thickness_mm, other.modality, other.array.dtype)
            )
            and np.array_equal(self.array, other.array)
            and _same_padding(self.padding, other.padding)
        )

    def __hash__(self) -> int:
        raise TypeError("a Volume cannot be hashed: its voxels can change")

    def __repr__(self) -> str:
        return f"Volume({self.grid.described()}, {self.array.dtype}, {self.modality or 'modality unknown'})"

    def check_finite(self) -> None:
        """Refuse NaN and infinite values, slice by slice so that no copy of the volume is made."""
        if self.array.dtype.kind != "f":
            return
        for number, plane in enumerate(self.array):
            if not np.isfinite(plane).all():
                raise not_finite(number)


def _same_padding(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def not_finite(number: int, volume: int | None = None) -> VolumeError:
    """The refusal of a volume, which may be one of a series, for a value in one slice."""
    if volume is not None:
        return VolumeError(
            f"slice {number} of volume {volume} of the series holds values that are not finite (NaN or infinite);"
            " replace them, for example with the value of air, and try again"
        )
    return VolumeError(
        f"slice {number} of the volume holds values that are not finite (NaN or infinite);"
        " replace them, for example with the value of air, and try again"
    )


@dataclass(frozen=True)
class Enhanced(Generic[_Image]):
    """A result and its report; ``uncertainty`` is the standard deviation of each voxel, if it was requested.

    Both are a `Volume`, or images of the kind that was given to `api.enhance.enhance`.
    """

    volume: _Image
    report: Report
    uncertainty: _Image | None = None
