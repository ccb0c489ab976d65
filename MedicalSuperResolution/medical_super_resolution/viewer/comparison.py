"""Slices of before, after and their difference, as lossless values for the browser."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import VolumeError
from ..volumes.intensity import check_magnitude, guess_modality, window_of
from ..volumes.planes import PLANES, index_axes, plane_of, revealing_planes
from ..volumes.resampling import resampled
from ..volumes.volume import Volume

_DIFFERENCE_PERCENTILE = 99.5
_TYPES = {"int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"}  # with typed arrays in browsers


class Comparison:
    """A volume, alone or with its result; immutable.

    If there is a result, the volume is shown on its grid, by cubic B-spline interpolation.

    Parameters
    ----------
    before : Volume
        The measured volume.
    after : Volume or None
        The result.

    Raises
    ------
    VolumeError
        The two do not lie in the same place, or their values cannot be computed with.

    Attributes
    ----------
    described : dict
        Plain types for the page: the planes, the window, and sizes in words.
    """

    def __init__(self, before: Volume, after: Volume | None = None) -> None:
        self.before = before
        self.after = after
        self._shown = after or before
        self._arrays = {"before": before.array}
        if after is not None:
            self._arrays = {"before": resampled(before, after.grid), "after": after.array}
        check_magnitude(self._shown.array)
        self.described = self._described()

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images."""
        return (*self._arrays, "difference") if self.after else tuple(self._arrays)

    def _described(self) -> dict[str, Any]:
        array = self._shown.array
        modality = self._shown.modality or guess_modality(array)
        low, high = window_of(array, modality)
        return {
            "images": self.images,
            "planes": {name: self._plane_described(name) for name in PLANES},
            "revealing": revealing_planes(self.before.grid),
            "window": [float(low), float(high)],
            "unit": "HU" if modality == "ct" else "",
            "is_ct": modality == "ct",
            "difference_limit": self._difference_limit(),
            "size_before": self.before.grid.described(),
            "size_after": self.after.grid.described() if self.after else None,
        }

    def pixels(self, image: str, plane: str, number: int) -> np.ndarray:
        """The values of one slice, (rows, columns), little endian, in a type that browsers support.

        Raises
        ------
        VolumeError
            There is no such slice.
        """
        if image not in self.images or plane not in PLANES:
            raise VolumeError(f"there is no {plane} slice of {image!r}; there are {', '.join(self.images)}")
        count = self._count(plane)
        if not 0 <= number < count:
            raise VolumeError(f"there is no {plane} slice {number}; the volume has 0 to {count - 1}")
        if image == "difference":
            return self.pixels("after", plane, number) - self.pixels("before", plane, number)
        return _for_browsers(plane_of(self._arrays[image], self._shown.grid, PLANES[plane], number).pixels)

    def _plane_described(self, name: str) -> dict[str, Any]:
        plane = plane_of(self._shown.array, self._shown.grid, PLANES[name])
        size = {"width_mm": plane.width_mm, "height_mm": plane.height_mm}
        return {"count": self._count(name), "left": plane.left, "top": plane.top, **size}

    def _count(self, plane: str) -> int:
        return self._shown.array.shape[2 - index_axes(self._shown.grid)[PLANES[plane]]]

    def _difference_limit(self) -> float | None:
        if self.after is None:
            return None
        before, after = (self._arrays[name][::2, ::2, ::2].astype(np.float32) for name in ("before", "after"))
        return float(np.percentile(np.abs(after - before), _DIFFERENCE_PERCENTILE)) or 1.0


def _for_browsers(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.name not in _TYPES:
        pixels = pixels.astype(np.float32 if pixels.dtype.itemsize <= 2 else np.float64)
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
