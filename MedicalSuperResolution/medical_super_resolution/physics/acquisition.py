"""The acquisition model: how a scanner turns fine slices into thick ones.

Along one axis, the measured slice n is a weighted mean of the fine samples around its centre, which lies at fine index
(n + 1/2) * factor - 1/2: both grids share their outer boundary. The weights are the slice profile: its shape and its
thickness, the latter as a fraction of the distance between slices (1 means contiguous slices, below 1 leaves a gap,
above 1 overlaps).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import SettingsError

# Shapes of slices, and how wide the Gaussian that blurs like them is for their width. That of a box lies between 0.68
# (by variance) and 0.72 (at Nyquist).
PROFILES = {"gaussian": 1.0, "box": 0.7}
SIGMA_PER_FULL_WIDTH = 1 / math.sqrt(8 * math.log(2))  # of a Gaussian's full width at half maximum
_SUPPORT_IN_SIGMA = 4.0


@dataclass(frozen=True)
class SliceProfile:
    """How a slice weighs the tissue across it.

    Parameters
    ----------
    shape
        One of `PROFILES`.
    width
        In slice distances; full width at half maximum of a Gaussian, whole width of a box. Contiguous slices of
        an ideal scanner have the width 1, a gap makes it less, an overlap more.
    """

    shape: str = "gaussian"
    width: float = 1.0

    @property
    def gaussian_width(self) -> float:
        """Full width at half maximum, in slice distances, of the Gaussian that blurs like this profile."""
        return self.width * PROFILES[self.shape]

    def described(self, distance_mm: float) -> str:
        """For people: "Gaussian 4.5 mm", with the distance between slices in millimetres."""
        return (
            f"{self.shape.capitalize() if self.shape == 'gaussian' else self.shape} {self.width * distance_mm:.3g} mm"
        )


def gaussian_weights(count: int, centres: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Weights of ``count`` samples around ``centres``, (M, count) float64; each row sums to 1.

    ``width`` is the full width at half maximum, of all rows or of each, and never taken below one sample; all in
    samples.
    """
    sigma = np.maximum(width, 1.0)[..., None] * SIGMA_PER_FULL_WIDTH
    offset = np.arange(count)[None, :] - centres[:, None]
    weights = np.exp(-0.5 * (offset / sigma) ** 2)
    weights[np.abs(offset) > _SUPPORT_IN_SIGMA * sigma] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def fine_centres(n_hr: int, factor: float) -> np.ndarray:
    """Centres of the ``n_hr`` fine samples, (n_hr,) float64, in units of the coarse index.

    i_lr = (i_hr + 1/2) / factor - 1/2, the convention of every grid in this project.
    """
    return (np.arange(n_hr) + 0.5) / factor - 0.5


def acquisition_matrix(
    n_lr: int,
    n_hr: int,
    factor: float,
    *,
    profile: str = "gaussian",
    thickness: float | np.ndarray = 1.0,
    places: np.ndarray | None = None,
) -> np.ndarray:
    """The matrix A of one axis: measured slices = A @ fine samples.

    Parameters
    ----------
    n_lr, n_hr : int
        Numbers of coarse and fine samples; the fine ones should cover the coarse ones.
    factor : float
        Fine samples per coarse sample, at least 1, whole or not.
    profile
        "gaussian" (``thickness`` is the full width at half maximum) or "box" (the mean over ``thickness``).
    thickness
        Slice thickness divided by the distance between slices, above 0, of all slices or (n_lr,) of each. A profile is
        never taken thinner than one fine sample.
    places : ndarray or None
        (n_lr,) where the slices lie, in units of the coarse index; None is 0, 1, 2 and so on.

    Returns
    -------
    (n_lr, n_hr) float64; each row sums to 1.
    """
    if profile not in PROFILES:
        raise SettingsError(f"unknown slice profile {profile!r}; use one of: {', '.join(PROFILES)}")
    thickness = np.asarray(thickness, dtype=np.float64)
    if not (np.isfinite(thickness) & (thickness > 0)).all():
        raise SettingsError(f"the slice thickness must be above 0, got {thickness.min():g} times the slice distance")
    centres = ((np.arange(n_lr) if places is None else places) + 0.5) * factor - 0.5
    if profile == "gaussian":
        return gaussian_weights(n_hr, centres, thickness * factor)
    offset = np.arange(n_hr)[None, :] - centres[:, None]
    half = np.maximum(thickness * factor, 1.0)[..., None] / 2  # in fine samples
    weights = np.clip(np.minimum(offset + 0.5, half) - np.maximum(offset - 0.5, -half), 0, 1)
    return weights / weights.sum(axis=1, keepdims=True)


def consistency_matrix(acquisition: np.ndarray, *, floor: float = 0.05) -> np.ndarray:
    """The matrix G = A^T (A A^T)^-1 that projects a data-consistency error onto the fine samples.

    x + G (y - A x) is the volume nearest to x that reproduces the measured slices y (least change in the sense of
    least squares). Frequencies that the profile hardly passes are reproduced in part only: eigenvalues of A A^T below
    ``floor`` times the largest are raised to it, so that noise is never magnified more than 1 / sqrt(floor) times.

    Parameters
    ----------
    acquisition : ndarray
        (n_lr, n_hr) matrix A.
    floor : float
        Smallest eigenvalue of A A^T that is inverted as it is, as a fraction of the largest.

    Returns
    -------
    (n_hr, n_lr) float64.
    """
    values, vectors = np.linalg.eigh(acquisition @ acquisition.T)
    inverse = (vectors / np.maximum(values, floor * values[-1])) @ vectors.T
    return acquisition.T @ inverse
