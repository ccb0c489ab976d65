"""Degradations from high to low resolution: the acquisition model, and simpler ones that papers use.

Volumes are (N, 1, K, J, I) float32. Every function keeps the outer boundary: low-resolution voxel n lies at
high-resolution index (n + 1/2) * factor - 1/2. Random numbers come from a `torch.Generator` that the caller seeds.
Slices whose rows or columns are no multiple of the factor are refused by a `SettingsError`, but for `measured` and
`measured_in_plane`, which drop what is left over.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import SettingsError
from .acquisition import acquisition_matrix
from .interpolation import apply_along_sequence
from .pictures import as_slices, as_volumes

_AXES = {"k": 2, "j": 3, "i": 4}


def measured(hr: Tensor, axis: str, factor: float, *, profile: str = "gaussian", thickness: float = 1.0) -> Tensor:
    """Acquire one axis ("k", "j" or "i") with a slice profile, see `acquisition.acquisition_matrix`.

    ``thickness`` is a fraction of the slice distance: 1 for contiguous slices, below 1 with a gap of 1 - thickness.
    Samples at the end that do not fill a slice are dropped.

    Raises
    ------
    SettingsError
        There are fewer voxels than one slice takes; or see `acquisition.acquisition_matrix`.
    """
    place = _AXES[axis]
    fine = hr.shape[place]
    matrix = acquisition_matrix(_count(fine, factor, axis), fine, factor, profile=profile, thickness=thickness)
    weights = torch.from_numpy(matrix).to(hr.device, torch.float32)
    return apply_along_sequence(weights, hr.movedim(place, -3)).movedim(-3, place)


def measured_in_plane(hr: Tensor, factor: int, *, profile: str = "gaussian", thickness: float = 1.0) -> Tensor:
    """`measured` along J and I, as by a detector of larger elements: (N, 1, K, J, I) -> (.., J//factor, I//factor)."""
    along_j = measured(hr, "j", factor, profile=profile, thickness=thickness)
    return measured(along_j, "i", factor, profile=profile, thickness=thickness)


def bicubic_decimated(hr: Tensor, factor: int) -> Tensor:
    """Shrink slices by cubic convolution with an antialiasing filter, the degradation that most papers use."""
    rows, columns = _plane(hr, factor)
    slices = functional.interpolate(
        as_slices(hr).float(), size=(rows, columns), mode="bicubic", align_corners=False, antialias=True
    )
    return as_volumes(slices, hr.shape[2])


def area_decimated(hr: Tensor, factor: int) -> Tensor:
    """Shrink slices by the mean over factor x factor voxels."""
    _plane(hr, factor)
    return as_volumes(functional.avg_pool2d(as_slices(hr).float(), factor), hr.shape[2])


def k_space_truncated(hr: Tensor, factor: int) -> Tensor:
    """Keep the center of k-space only, as a shorter MR acquisition does; edges ring as they do there.

    The low-resolution samples of a discrete Fourier transform lie on every factor-th sample; a linear phase moves
    them to the middle of the voxels they stand for. The real part is taken, not the magnitude, so that intensities
    around 0 stay as they are.
    """
    rows, columns = _plane(hr, factor)
    spectrum = torch.fft.fft2(hr.float())
    for axis, count in ((3, rows), (4, columns)):
        frequency = torch.fft.fftfreq(count, 1 / count, device=hr.device)  # whole waves across the slice
        kept = frequency.long().remainder(hr.shape[axis])
        phase = math.pi * (factor - 1) / hr.shape[axis] * frequency
        shift = torch.polar(torch.ones_like(phase), phase)
        spectrum = spectrum.index_select(axis, kept) * (shift[:, None] if axis == 3 else shift)
    return torch.fft.ifft2(spectrum).real / factor**2


WHOLE_SLICE = 1 << 20  # low-resolution voxels: more than any slice has


@dataclass(frozen=True, eq=False)
class PlaneDegradation:
    """A way to shrink slices.

    Parameters
    ----------
    function
        (N, 1, K, J, I) and the factor -> (N, 1, K, J / factor, I / factor).
    reach
        Margin around a patch that it needs, in low-resolution voxels.
    """

    function: Callable[..., Tensor]
    reach: int


PLANE_DEGRADATIONS = {
    "measured": PlaneDegradation(measured_in_plane, reach=4),
    "bicubic": PlaneDegradation(bicubic_decimated, reach=3),
    "area": PlaneDegradation(area_decimated, reach=0),
    "k-space": PlaneDegradation(k_space_truncated, reach=WHOLE_SLICE),  # a band limit affects the whole slice
}


def gaussian_noise(volume: Tensor, deviation: float, random: torch.Generator) -> Tensor:
    """Add noise with a standard ``deviation``, in the volume's units."""
    return volume + deviation * _normal(volume, random)


def rician_noise(volume: Tensor, deviation: float, random: torch.Generator) -> Tensor:
    """The magnitude of a complex MR signal with noise of a standard ``deviation`` in both parts; never negative.

    References
    ----------
    .. [1] Gudbjartsson and Patz (1995), The Rician distribution of noisy MRI data. DOI 10.1002/mrm.1910340618
    """
    real = volume + deviation * _normal(volume, random)
    return torch.hypot(real, deviation * _normal(volume, random))


def poisson_noise(volume: Tensor, counts: float, random: torch.Generator) -> Tensor:
    """Poisson noise (PET): ``counts`` is the expected number of events where the volume is 1; negatives count as 0."""
    return torch.poisson(counts * volume.clamp_min(0), generator=random) / counts


def _normal(volume: Tensor, random: torch.Generator) -> Tensor:
    return torch.randn(volume.shape, generator=random, device=random.device).to(volume)


def _plane(hr: Tensor, factor: int) -> tuple[int, int]:
    """Rows and columns of the low-resolution slices; whole numbers, or the boundaries would not coincide."""
    rows, columns = hr.shape[-2:]
    if rows % factor or columns % factor:
        raise SettingsError(f"slices of {rows} x {columns} voxels cannot be shrunk {factor} times; crop them first")
    return rows // factor, columns // factor


def _count(fine: int, factor: float, axis: str) -> int:
    count = math.floor(fine / factor + 1e-6)
    if not count:
        raise SettingsError(f"{fine} voxels along {axis} are too few for slices of {factor:g} voxels")
    return count
