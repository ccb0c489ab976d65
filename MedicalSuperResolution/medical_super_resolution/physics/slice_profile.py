"""Bayesian estimate of the slice profile from the observed width, a prior over scanners, and the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .acquisition import PROFILES, SliceProfile
from .shared_noise import DEVIATION_OVER_MEDIAN, SharedNoise

_WIDTHS = np.linspace(math.log(0.25), math.log(4.0), 701)  # natural logarithms of slice distances
_FARTHEST = 3.5  # logarithms beyond them up to which a width is expected: further away, all densities would be 0
_NOISE_FREQUENCY = 0.45  # cycles per slice distance at which the narrower profile matches; Nyquist is 0.5
_NARROWEST = 0.55  # least width after narrowing, over the estimated width
_MOST_NOISE = 0.95
_LIKELY_ENOUGH = 0.75  # probability from which another shape than a Gaussian is taken
NOISE_IGNORED = 0.1  # share of noise up to which slices are reproduced as they are


@dataclass(frozen=True)
class ProfileEstimate:
    """A slice profile and its uncertainty.

    Parameters
    ----------
    profile : SliceProfile
        The profile to use.
    error : float
        Standard error of its width, in slice distances; 0 where it was given.
    source : str
        "given" by the user, "estimated" from the slices, or "assumed" where the slices do not determine it.
    noise : float
        Share of noise in the differences between slices, which makes an estimated profile narrower; else 0.
    """

    profile: SliceProfile
    error: float = 0.0
    source: str = "given"
    noise: float = 0.0

    def alternative(self, thickness: float) -> SliceProfile:
        """The next most likely profile.

        Of the Gaussian and the box as wide as the slice is thick (in slice distances), the one other than the profile
        used whose blur is closest to it.
        """
        whole = [SliceProfile(shape, thickness) for shape in PROFILES]
        others = [one for one in whole if one != self.profile]
        return min(others, key=lambda one: abs(one.gaussian_width - self.profile.gaussian_width))


@dataclass(frozen=True)
class PriorComponent:
    """One component of the prior distribution of slice widths.

    Parameters
    ----------
    share : float
        Share of all scans.
    width : float
        Width of the Gaussian of equal blur, over the slice thickness.
    spread : float
        Standard deviation of the natural logarithm of the width.
    shape
        One of `PROFILES`.
    """

    share: float
    width: float
    spread: float
    shape: str = "gaussian"


PRIOR = (
    PriorComponent(0.15, PROFILES["box"], 0.03, "box"),  # means over the slice
    PriorComponent(0.55, 1.00, 0.02),  # Gaussians whose full width at half maximum is the thickness
    PriorComponent(0.30, 0.88, 0.10),  # other profiles of scanners
)


@dataclass(frozen=True)
class ProfileCalibration:
    """Calibration of the output of the slice-profile estimator.

    Parameters
    ----------
    spread : float
        Standard deviation of its error beyond the error that it predicts, of the natural logarithm of the width.
    width_range : tuple of float
        Widths within which it was trained, in slice distances.
    cost_of_excess : float
        Cost of a width that is too large, relative to one that is too small by the same factor.
    """

    spread: float = 0.05
    width_range: tuple[float, float] = (0.5, 1.4)
    cost_of_excess: float = 2.5


@dataclass(frozen=True)
class WidthObservation:
    """The observed width: natural logarithm of the width in slice distances, and its standard error."""

    log_width: float
    error: float


def estimate_profile(
    observed: WidthObservation | None,
    thickness: float,
    calibration: ProfileCalibration,
    *,
    fine_width: float = 0.0,
    noise: SharedNoise | None = None,
) -> ProfileEstimate:
    """The profile of least expected cost, given the observed width and the prior.

    It is a Gaussian, unless another shape, as wide as the slices are thick, is likely enough. A Gaussian that is too
    wide sharpens structures that do not exist, so it costs more than one that is too narrow. The cost is the squared
    error of the logarithm of the width.

    Parameters
    ----------
    observed : WidthObservation or None
        The observed width; None if it could not be observed.
    thickness : float
        Slice thickness in slice distances, as the file states it; 1 for contiguous slices.
    calibration : ProfileCalibration
        Calibration of the estimator.
    fine_width : float
        Width of the fine slices, in slice distances. The observed width contains it, as the variances of profiles add
        up.
    noise : SharedNoise or None
        The noise that neighboring slices share; None where it does not depend on their profile.
    """
    source = "assumed" if observed is None and noise is None else "estimated"
    least, most = _WIDTHS[0] - _FARTHEST, _WIDTHS[-1] + _FARTHEST
    expected = [min(max(math.log(thickness * likely.width), least), most) for likely in PRIOR]
    densities = np.stack(
        [
            likely.share / likely.spread * _bell((_WIDTHS - width) / likely.spread)
            for likely, width in zip(PRIOR, expected, strict=True)
        ]
    )
    if observed is not None:
        low, high = (math.log(end) for end in calibration.width_range)
        seen, error = min(max(observed.log_width, low), high), math.hypot(observed.error, calibration.spread)
        shown = np.log(np.hypot(np.exp(_WIDTHS), fine_width))
        densities *= _bell((shown - seen) / error) + 1e-6  # so that an improbable observation falls back to the prior
    if noise is not None:
        densities *= noise.likelihood(np.exp(_WIDTHS))
    densities /= densities.sum()
    density = densities.sum(axis=0)
    excess = np.subtract.outer(_WIDTHS, _WIDTHS)  # of the width used over the true one
    cost = np.square(excess) * np.where(excess > 0, calibration.cost_of_excess, 1.0)
    log_width = float(_WIDTHS[np.argmin(cost @ density)])
    error = math.sqrt(float(density @ np.square(_WIDTHS - log_width)))
    profile = SliceProfile("gaussian", math.exp(log_width))
    for likely, probability in zip(PRIOR, densities.sum(axis=1), strict=True):
        if likely.shape != "gaussian" and probability > _LIKELY_ENOUGH:
            profile = SliceProfile(likely.shape, thickness)
    return ProfileEstimate(profile, profile.width * error, source)


def _bell(deviations: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * np.square(deviations))


def narrowed_for_noise(estimate: ProfileEstimate, share: float) -> ProfileEstimate:
    """Narrow a profile so that its inverse is the Wiener filter of the estimated one, and noise is not sharpened.

    Where noise has the share ``share`` of the power at a frequency, the best filter is (1 - share) times the inverse of
    the profile; the Gaussian with that inverse at `_NOISE_FREQUENCY` is narrower. Only what exceeds `NOISE_IGNORED`
    counts: below, reproducing the slices is worth more.
    """
    if share <= NOISE_IGNORED:
        return replace(estimate, noise=share)
    width = estimate.profile.gaussian_width
    beyond = min((share - NOISE_IGNORED) / (1 - NOISE_IGNORED), _MOST_NOISE)
    sharpness = (math.pi * _NOISE_FREQUENCY) ** 2 / (4 * math.log(2))  # of a Gaussian: its inverse is exp(this width^2)
    narrower = math.sqrt(max(width**2 + math.log(1 - beyond) / sharpness, (_NARROWEST * width) ** 2))
    error = estimate.error * narrower / estimate.profile.width
    return replace(estimate, profile=SliceProfile("gaussian", narrower), error=error, noise=share)


def noise_share(slices: np.ndarray) -> float:
    """The share of noise in the power of second differences from slice to slice, 0 to 1.

    The deviation of the noise is that of differences along both axes of the plane (the finest diagonal detail of
    wavelets), by their median [1]_; noise is taken as independent between slices. Where nothing changes (clipped air)
    or was measured, nothing is counted.

    Parameters
    ----------
    slices : ndarray
        (K, J, I) floating, in any units; NaN where nothing was measured.

    References
    ----------
    .. [1] Donoho and Johnstone (1994), Ideal spatial adaptation by wavelet shrinkage. DOI 10.1093/biomet/81.3.425
    """
    diagonal = np.abs(np.diff(np.diff(slices, axis=1), axis=2)) / 2
    across = np.square(np.diff(slices, n=2, axis=0), dtype=np.float64)  # values may be 64-bit integers
    diagonal, across = diagonal[diagonal > 0], across[across > 0]
    if not (diagonal.size and across.size):
        return 0.0
    deviation = DEVIATION_OVER_MEDIAN * float(np.median(diagonal))
    return min(1.0, 6 * deviation**2 / float(across.mean()))
