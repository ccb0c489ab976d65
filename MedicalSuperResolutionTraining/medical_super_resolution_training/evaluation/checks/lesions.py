"""Synthetic lesions of known size and contrast, to measure how much of a lesion a method preserves.

Lesions are inserted into a volume before it is made coarse. The response of a method is its result with lesions minus
its result without.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medical_super_resolution.volumes.intensity import in_type
from medical_super_resolution.volumes.volume import Volume

from ..measures.foreground import Foreground

DIAMETERS_MM = (2.0, 3.0, 4.0, 6.0, 8.0)
KINDS = ("sphere", "vessel")
_CONTRAST_SHARE = 0.1  # of the range: 200 HU in CT
_LEAST_LENGTH_MM, _LENGTH_OVER_DIAMETER = 8.0, 2.5
_EACH = 2  # lesions of a size, kind and sign
_TRIES = 200
_BODY_SHARE = 0.9  # of the voxels around a lesion
_PARTS = 4  # of a voxel along each axis, for its share in a lesion
_FEWEST_VOXELS = 4  # above half the contrast in the reference: below it a volume is not measured


@dataclass(frozen=True, eq=False)
class Lesion:
    """A sphere, or a vessel: a straight cylinder with flat ends.

    Parameters
    ----------
    center_kji_mm
        From the center of the first voxel, along the array axes.
    direction_kji
        Direction of a vessel, a unit vector.
    contrast
        What is added to the volume, in its units, below 0 for a dark one.
    """

    kind: str
    diameter_mm: float
    center_kji_mm: np.ndarray
    direction_kji: np.ndarray
    contrast: float

    @property
    def length_mm(self) -> float:
        """Length of a vessel; diameter of a sphere."""
        if self.kind == "sphere":
            return self.diameter_mm
        return max(_LEAST_LENGTH_MM, _LENGTH_OVER_DIAMETER * self.diameter_mm)

    @property
    def reach_mm(self) -> float:
        """Radius of the sphere that encloses the lesion."""
        return self.diameter_mm / 2 if self.kind == "sphere" else math.hypot(self.length_mm, self.diameter_mm) / 2

    def box(self, volume: Volume, margin_mm: float = 0.0) -> tuple[slice, ...]:
        """The voxels around it (K, J, I); they may begin below 0 where it does not fit into the volume."""
        spacing = np.array(volume.grid.spacing_ijk_mm[::-1])
        low = np.floor((self.center_kji_mm - self.reach_mm - margin_mm) / spacing - 0.5).astype(int)
        high = np.ceil((self.center_kji_mm + self.reach_mm + margin_mm) / spacing + 0.5).astype(int) + 1
        return tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))

    def share(self, volume: Volume) -> np.ndarray:
        """The share of every voxel of `box` that lies in the lesion, float64 in [0, 1]."""
        spacing = volume.grid.spacing_ijk_mm[::-1]
        steps = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
        places = [
            ((np.arange(one.start, one.stop)[:, None] + steps) * size).ravel() - center
            for one, size, center in zip(self.box(volume), spacing, self.center_kji_mm, strict=True)
        ]
        offset = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1)
        distance = np.square(offset).sum(axis=-1)
        radius = self.diameter_mm / 2
        if self.kind == "sphere":
            within = distance <= radius**2
        else:
            along = offset @ self.direction_kji
            within = (np.abs(along) <= self.length_mm / 2) & (distance - along**2 <= radius**2)
        k, j, i = (count // _PARTS for count in within.shape)
        return within.reshape(k, _PARTS, j, _PARTS, i, _PARTS).mean(axis=(1, 3, 5))


def lesions_for(volume: Volume, body: Foreground, subject: str, *, apart_mm: float) -> list[Lesion]:
    """Lesions of every kind, size and sign at places in the body that depend on the subject's name alone.

    None lies nearer than ``apart_mm`` to another or to the end of the volume. A lesion without a free place is left
    out.
    """
    random = np.random.default_rng(zlib.crc32(subject.encode(errors="backslashreplace")))
    spacing = np.array(volume.grid.spacing_ijk_mm[::-1])
    within = np.argwhere(body.inside)
    placed: list[Lesion] = []
    for kind, diameter, sign in _wanted():
        for _ in range(_TRIES if len(within) else 0):
            center = (within[random.integers(len(within))] + random.uniform(-0.5, 0.5, 3)) * spacing
            direction = random.normal(size=3)
            contrast = sign * _CONTRAST_SHARE * body.peak
            lesion = Lesion(kind, diameter, center, direction / np.linalg.norm(direction), contrast)
            if _fits(lesion, volume, body, apart_mm) and not any(_near(lesion, other, apart_mm) for other in placed):
                placed.append(lesion)
                break
    return placed


def _wanted() -> Iterator[tuple[str, float, int]]:
    """Kinds, diameters and signs, the largest first: they are harder to place."""
    for diameter in sorted(DIAMETERS_MM, reverse=True):
        for _ in range(_EACH):
            for kind in KINDS:
                for sign in (1, -1):
                    yield kind, diameter, sign


def _fits(lesion: Lesion, volume: Volume, body: Foreground, margin_mm: float) -> bool:
    outer = lesion.box(volume, margin_mm)
    if any(one.start < 0 or one.stop > count for one, count in zip(outer, volume.array.shape, strict=True)):
        return False
    return bool(body.inside[lesion.box(volume)].mean() >= _BODY_SHARE)


def _near(one: Lesion, other: Lesion, apart_mm: float) -> bool:
    distance = float(np.linalg.norm(one.center_kji_mm - other.center_kji_mm))
    return distance < one.reach_mm + other.reach_mm + apart_mm


def with_lesions(volume: Volume, lesions: list[Lesion]) -> Volume:
    """The volume with lesions added; values below 0 are raised to 0 where signals cannot be negative."""
    array = volume.array.astype(np.float64)
    for lesion in lesions:
        array[lesion.box(volume)] += lesion.contrast * lesion.share(volume)
    if volume.modality != "ct" and volume.array.min() >= 0:
        array = array.clip(min=0)
    return Volume(in_type(array, volume.array.dtype), volume.grid, volume.slice_thickness_mm, volume.modality)


def recovered(lesion: Lesion, response: np.ndarray, truth: np.ndarray, volume: Volume, margin_mm: float) -> dict:
    """Recovered part of one lesion.

    Parameters
    ----------
    response, truth
        Differences that the lesions make in a result and in the reference, (K, J, I).

    Returns
    -------
    "contrast": mean response inside the lesion over the mean true difference (1 is perfect). "volume": error of the
    volume above half the contrast, over the true one (0 is perfect); nan for lesions of a few voxels.
    """
    share = lesion.share(volume)
    box = lesion.box(volume)
    contrast = float((response[box] * share).sum() / (truth[box] * share).sum())
    wide = lesion.box(volume, margin_mm)
    half = abs(lesion.contrast) / 2
    sign = math.copysign(1, lesion.contrast)
    shown, true = (int((sign * array[wide] > half).sum()) for array in (response, truth))
    return {"contrast": contrast, "volume": shown / true - 1 if true >= _FEWEST_VOXELS else math.nan}
