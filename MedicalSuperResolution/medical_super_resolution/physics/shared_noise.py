"""The noise that neighboring slices of a CT share, from which the width of their profile follows.

The noise of CT comes from photons, and slices share it as far as their profiles overlap: that of Gaussian slices of the
full width *w* (in slice distances) correlates by exp(-2 ln 2 / w^2) from one slice to the next, that of slices that are
means over the width *b* by 1 - 1/b, and not at all up to 1. Contents hardly matter, since noise is measured in the
finest detail of the plane. In MR, each slice has noise of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .acquisition import PROFILES

FEWEST_SLICES = 4
_FEWEST_PAIRS = 2000
_LEAST_NOISE = 3.0  # standard deviation in HU; below, rounding to whole numbers adds independent noise
DEVIATION_OVER_MEDIAN = 1.4826  # of the absolute value, where values are Gaussian
_CLIPPED_AT = 2.5  # medians of the absolute value, beyond which values are edges and are clipped
# In-plane correlation of the finest detail: -0.5 for noise that is independent from voxel to voxel, which was added
# after the reconstruction, and more than _SMOOTHED for the noise of scanners. In between, it counts in part.
_INDEPENDENT, _SMOOTHED = -0.42, -0.30
# Fitted to simulated slices of eight CT volumes:
_OWN_WIDTH = 0.87  # correlation width of the noise of fine slices, in fine slice distances
_CONTENTS = 1.5  # contribution of the contents, over the correlation with the slice after the next
_ERROR, _PART_ERROR, _CONTENTS_ERROR = 0.02, 0.12, 0.35  # alone, of the correlation, of that with the slice after next
_MISTAKEN = 0.01  # least likelihood of any width, over the best: contents and reconstruction may mislead


@dataclass(frozen=True)
class SharedNoise:
    """Correlation of the noise of neighboring slices.

    Parameters
    ----------
    correlation : float
        From one slice to the next.
    contents : float
        The same of slices that are two distances apart, which share hardly any noise.
    in_plane : float
        From one place of the plane to the next; -0.5 where noise is independent from voxel to voxel.
    fine_distance : float
        Between the fine slices that the profile leads from, in slice distances; they share noise, too.
    """

    correlation: float
    contents: float
    in_plane: float
    fine_distance: float = 0.0

    def likelihood(self, widths: np.ndarray) -> np.ndarray:
        """Likelihood of each width given the correlation, relative to the best.

        Parameters
        ----------
        widths : ndarray
            Full widths at half maximum, in slice distances, of Gaussians that blur like the profile.

        Returns
        -------
        Of the shape of ``widths``, float64, above 0 and at most about 1.
        """
        contents = min(max(self.contents, 0.0), 0.5)
        found = (self.correlation - _CONTENTS * contents) / (1 - _CONTENTS * contents)
        gaussian = np.exp(-2 * math.log(2) / (np.square(widths) + (_OWN_WIDTH * self.fine_distance) ** 2))
        box = np.maximum(0, 1 - PROFILES["box"] / widths)
        deviation = found - np.clip(found, np.minimum(gaussian, box), np.maximum(gaussian, box))
        error = np.sqrt(_ERROR**2 + np.square(_PART_ERROR * gaussian) + (_CONTENTS_ERROR * contents) ** 2)
        trust = min(max((self.in_plane - _INDEPENDENT) / (_SMOOTHED - _INDEPENDENT), 0.0), 1.0)
        return (np.exp(-0.5 * np.square(deviation / error)) + _MISTAKEN) ** trust


def shared_noise(slices: np.ndarray, fine_distance: float) -> SharedNoise | None:
    """The correlation of the noise of neighboring slices; None where it holds no information on the profile.

    It holds none where there is too little noise, or where noise was added to the slices. The noise is measured in the
    finest diagonal detail of each slice; where that is exactly 0 (clipped air), nothing is counted.

    Parameters
    ----------
    slices : ndarray
        (K, J, I) floating, in HU.
    fine_distance : float
        See `SharedNoise`.
    """
    if len(slices) < FEWEST_SLICES or min(slices.shape[1:]) < 3:
        return None
    detail = np.diff(np.diff(slices, axis=1), axis=2) / 2  # of independent noise, as large as the noise itself
    size = np.abs(detail[detail != 0])
    if size.size < _FEWEST_PAIRS or DEVIATION_OVER_MEDIAN * float(np.median(size)) < _LEAST_NOISE:
        return None
    correlation, contents = (_correlation(detail[:-distance], detail[distance:]) for distance in (1, 2))
    down = _correlation(detail[:, :-1], detail[:, 1:])
    right = _correlation(detail[:, :, :-1], detail[:, :, 1:])
    in_plane = (down + right) / 2
    if not math.isfinite(correlation + contents + in_plane) or in_plane <= _INDEPENDENT:
        return None
    return SharedNoise(correlation, contents, in_plane, fine_distance)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation where both are known, by the spread of sum and difference; NaN where there are too few values."""
    both = (first != 0) & (second != 0)
    if np.count_nonzero(both) < _FEWEST_PAIRS:
        return math.nan
    first, second = first[both], second[both]
    together, apart = _clipped_power(first + second), _clipped_power(first - second)
    return (together - apart) / (together + apart) if together + apart > 0 else math.nan


def _clipped_power(values: np.ndarray) -> float:
    """Mean square of values, those far above their median clipped; of all as they are, where half of them are 0."""
    size = np.abs(values)
    if (most := _CLIPPED_AT * float(np.median(size))) > 0:
        size = np.minimum(size, most)
    return float(np.square(size, dtype=np.float64).mean())
