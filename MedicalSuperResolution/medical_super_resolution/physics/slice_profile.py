"""The slice profile as an estimated number: what is looked at, and how sight and knowledge are weighed.

Cuts across the slices are compared by a network with the resolution inside the slices, as SMORE [1]_ and ESPRESO [2]_
do. The third axis of a cut is blurred by about a slice, so that a cut of an isotropic scan looks the same whichever
way the slices lie.

References
----------
.. [1] Zhao et al. (2021), SMORE: a self-supervised anti-aliasing and super-resolution algorithm for MRI.
   doi:10.1109/TMI.2020.3037187
.. [2] Han et al. (2023), ESPRESO: an algorithm to estimate the slice profile of a single magnetic resonance image.
   doi:10.1016/j.mri.2023.01.012
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .acquisition import PROFILES, SliceProfile, gaussian_weights

FINE_SAMPLES = 4  # of a cut, to one distance between slices
_FINE_WIDTH = 0.35  # slice distances: smooths the fine axis of a cut, against noise and aliasing
_THIRD_WIDTH = 0.9  # slice distances: blurs across a cut as much as a slice does
_MOST_SLICES = 32
_MOST_FINE_SAMPLES = 256
_CUTS_A_WAY = 16
_LEAST_SLICES = 4
_LEAST_RATIO = 1.4  # slice distance over in-plane spacing, below which the plane has nothing finer to compare with
_GROUPS = 8  # of cuts, for the jackknife


@dataclass(frozen=True)
class ProfileEstimate:
    """A slice profile and how sure it is.

    Parameters
    ----------
    profile
        As it is taken.
    error
        Standard error of its width, in slice distances; 0 where it was given.
    source
        "given" by the user, "estimated" from the slices, or "assumed" where the slices do not determine it.
    """

    profile: SliceProfile
    error: float = 0.0
    source: str = "given"

    def next_likely(self, thickness: float) -> SliceProfile:
        """The profile that the slices may have instead.

        Of the Gaussian and the box as wide as the slice is thick (in slice distances), the one that blurs most like
        the profile taken, and is another.
        """
        whole = [SliceProfile(shape, thickness) for shape in PROFILES]
        others = [one for one in whole if one != self.profile]
        return min(others, key=lambda one: abs(one.gaussian_width - self.profile.gaussian_width))


@dataclass(frozen=True)
class ProfileCalibration:
    """What the estimator knows of itself and of scanners; all spreads are of the natural logarithm of the width.

    Parameters
    ----------
    gain, bias
        It sees gain times the truth plus bias, because it was trained to lose least.
    spread
        Of the truth that is worked out from it, beyond what its own cuts disagree about.
    disagreement
        How much more they do than the jackknife says.
    width_range
        Slice distances within which it was trained.
    prior_width, prior_spread
        Of the Gaussian that scanners make, over the slice thickness.
    caution
        The width taken lies so many variances below the mean, because too wide costs more than too narrow.
    """

    gain: float = 1.0
    bias: float = 0.0
    spread: float = 0.1
    disagreement: float = 1.0
    width_range: tuple[float, float] = (0.5, 1.5)
    prior_width: float = 0.9
    prior_spread: float = 0.15
    caution: float = 0.0


@dataclass(frozen=True)
class Sight:
    """Result of the cuts: the natural logarithm of the width in slice distances, and its standard error."""

    log_width: float
    error: float


def sight_of(votes: Sequence[np.ndarray]) -> Sight | None:
    """Estimates of cuts combined; None where none is certain enough.

    Parameters
    ----------
    votes
        For each way to cut, (P, 2) sums of weighted opinions and of weights, cut by cut.
    """
    joined = np.concatenate([one.astype(np.float64) for one in votes])
    total = joined.sum(axis=0)
    if not (np.isfinite(total).all() and total[1] > 0):
        return None
    groups = [joined[number::_GROUPS].sum(axis=0) for number in range(min(_GROUPS, len(joined)))]
    without = [(total - group)[0] / (total - group)[1] for group in groups if total[1] > group[1]]
    count = len(without)
    if count < 2:
        return None
    error = math.sqrt((count - 1) / count * float(np.square(np.subtract(without, np.mean(without))).sum()))
    return Sight(float(total[0] / total[1]), error)


def weighed(sight: Sight | None, thickness: float, calibration: ProfileCalibration) -> ProfileEstimate:
    """The Gaussian that sight and prior knowledge make likely together, each weighed by its precision.

    Parameters
    ----------
    thickness
        Of the slices as the file says, in slice distances; contiguous slices have 1.
    """
    prior, precision = math.log(calibration.prior_width * thickness), calibration.prior_spread**-2
    mean, source = prior, "assumed"
    if sight is not None:
        seen = (sight.log_width - calibration.bias) / calibration.gain
        low, high = calibration.width_range
        seen = min(max(seen, math.log(low)), math.log(high))
        own = calibration.disagreement * sight.error / calibration.gain
        trust = 1 / (calibration.spread**2 + own**2)
        mean, source = (precision * prior + trust * seen) / (precision + trust), "estimated"
        precision += trust
    width = math.exp(mean - calibration.caution / precision)
    return ProfileEstimate(SliceProfile("gaussian", width), width / math.sqrt(precision), source)


def against_own_width(estimate: ProfileEstimate, own: float) -> ProfileEstimate:
    """The profile that leads to the slices from fine ones which are themselves ``own`` slice distances wide.

    Variances of profiles add up; at least a third of the width is left.
    """
    width = estimate.profile.width
    left = math.sqrt(max(width**2 - own**2, (width / 3) ** 2))
    return replace(estimate, profile=replace(estimate.profile, width=left), error=estimate.error * left / width)


def has_finer_plane(shape: tuple[int, ...], ratios: tuple[float, float]) -> bool:
    """Whether slices can tell their profile: some slices, and a plane that is finer than they are apart.

    Parameters
    ----------
    shape
        (K, J, I), slices first.
    ratios
        Slice distance over the spacing along J and I.
    """
    extents = (shape[1] / ratios[0], shape[2] / ratios[1])
    return shape[0] >= _LEAST_SLICES and min(ratios) >= _LEAST_RATIO and min(extents) >= 5


def cuts(
    slices: np.ndarray, ratios: tuple[float, float], normalised: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    """Cuts across the slices, both ways, evenly over the plane and from the middle slices.

    Parameters
    ----------
    slices
        (K, J, I), in the units of the volume.
    ratios
        Slice distance over the spacing along J and I.
    normalised
        Brings parts of them to float32, mostly in [0, 1].

    Returns
    -------
    Two arrays (P, K, T), float32, with `FINE_SAMPLES` samples a slice distance along T; with slopes of common scale.
    """
    slices = _middle(slices, 0, _MOST_SLICES)
    return [_scaled(_cut(slices, ratios, fine, normalised)) for fine in (2, 1)]


def _cut(
    slices: np.ndarray, ratios: tuple[float, float], fine: int, normalised: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Cuts along K and the axis ``fine`` (1 or 2), at places along the other."""
    third, (ratio_fine, ratio_third) = 3 - fine, (ratios[fine - 1], ratios[2 - fine])
    part = _middle(slices, fine, math.ceil(_MOST_FINE_SAMPLES * ratio_fine / FINE_SAMPLES))
    count = part.shape[third]
    margin = min(_THIRD_WIDTH * ratio_third / 2, (count - 1) / 2)
    places = np.linspace(margin, count - 1 - margin, min(_CUTS_A_WAY, count))
    across = np.moveaxis(part, third, 0)
    width = _THIRD_WIDTH * ratio_third
    planes = np.stack([_blurred_there(across, place, width, normalised) for place in places])  # (P, K, fine)
    centres = np.arange(0, planes.shape[2] - 1 + 1e-6, ratio_fine / FINE_SAMPLES)
    sampling = gaussian_weights(planes.shape[2], centres, _FINE_WIDTH * ratio_fine)
    return planes @ sampling.T.astype(np.float32)


def _blurred_there(
    across: np.ndarray, place: float, width: float, normalised: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The Gaussian mean of planes (N, K, T) around one place; only those that count are read."""
    reach = math.ceil(1.5 * width) + 1
    first, stop = max(0, round(place) - reach), min(len(across), round(place) + reach + 1)
    weights = gaussian_weights(stop - first, np.array([place - first]), width)[0].astype(np.float32)
    return np.tensordot(weights, normalised(across[first:stop]), axes=1)


def _middle(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    """The middle ``count`` entries along an axis."""
    start = max(0, (array.shape[axis] - count) // 2)
    return np.moveaxis(np.moveaxis(array, axis, 0)[start : start + count], 0, axis)


def _scaled(planes: np.ndarray) -> np.ndarray:
    """Planes whose mean square difference between slices is a ninth: the scale the network was trained at."""
    scale = 3 * math.sqrt(float(np.square(np.diff(planes, axis=1), dtype=np.float64).mean())) + 1e-4
    return (planes / scale).astype(np.float32)
