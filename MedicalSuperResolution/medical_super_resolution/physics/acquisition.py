"""The acquisition model: how a scanner turns fine slices into thick ones.

Along one axis, the measured slice n is a weighted mean of the fine samples around its center, which lies at the fine
index (n + 1/2) * factor - 1/2: both grids share their outer boundary. The weights are the slice profile, given by its
shape and its width. The width is a fraction of the distance between slices: 1 for contiguous slices, below 1 for gaps,
above 1 for overlaps. This is the only definition of a thick slice in the project.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import SettingsError

# Shapes of slice profiles, each with the width of the Gaussian of equal blur, relative to its own width. For a box it
# lies between 0.68 (by variance) and 0.71 (at the Nyquist frequency).
PROFILES = {"gaussian": 1.0, "box": 0.7}
SIGMA_PER_FULL_WIDTH = 1 / math.sqrt(8 * math.log(2))  # of a Gaussian's full width at half maximum
_SUPPORT_IN_SIGMA = 4.0


@dataclass(frozen=True)
class SliceProfile:
    """Weight of the tissue across a slice.

    Parameters
    ----------
    shape : {"gaussian", "box"}
        Shape of the profile.
    width : float
        Full width at half maximum of a Gaussian, whole width of a box, in slice distances. Contiguous slices of an
        ideal scanner have the width 1; it is smaller with gaps, and larger with overlaps.
    """

    shape: str = "gaussian"
    width: float = 1.0

    @property
    def gaussian_width(self) -> float:
        """Full width at half maximum, in slice distances, of the Gaussian of equal blur."""
        return self.width * PROFILES[self.shape]

    def described(self, distance_mm: float) -> str:
        """Text such as "Gaussian 4.5 mm"; ``distance_mm`` is the distance between slices."""
        name = "Gaussian" if self.shape == "gaussian" else self.shape
        return f"{name} {self.width * distance_mm:.3g} mm"


def gaussian_weights(count: int, centers: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Gaussian weights of samples around some centers.

    Parameters
    ----------
    count : int
        Number of samples, at 0, 1, ..., count - 1.
    centers : ndarray of shape (M,)
        Places of the Gaussians, in samples.
    width : float or ndarray of shape (M,)
        Full width at half maximum in samples; values below 1 are raised to 1.

    Returns
    -------
    ndarray of shape (M, count)
        float64; each row sums to 1.
    """
    sigma = np.maximum(width, 1.0)[..., None] * SIGMA_PER_FULL_WIDTH
    offset = np.arange(count)[None, :] - centers[:, None]
    weights = np.exp(-0.5 * (offset / sigma) ** 2)
    weights[np.abs(offset) > _SUPPORT_IN_SIGMA * sigma] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def fine_centers(n_hr: int, factor: float) -> np.ndarray:
    """Centers of fine samples in units of the coarse index: (i_hr + 1/2) / factor - 1/2.

    Parameters
    ----------
    n_hr : int
        Number of fine samples.
    factor : float
        Fine samples per coarse sample.

    Returns
    -------
    ndarray of shape (n_hr,)
        float64, ascending.
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
        Numbers of coarse and fine samples. The fine ones must reach the places of all coarse ones; a row beyond them is
        not a number.
    factor : float
        Fine samples per coarse sample, at least 1, whole or not.
    profile : {"gaussian", "box"}
        Shape of the slice profile: a Gaussian with the full width at half maximum ``thickness``, or the mean over
        ``thickness``.
    thickness : float or ndarray of shape (n_lr,)
        Width of the slice profile in slice distances, above 0, of all slices or of each. Profiles thinner than one fine
        sample are widened to it.
    places : ndarray of shape (n_lr,), optional
        Places of the slices in units of the coarse index. Without it: 0, 1, ..., n_lr - 1.

    Returns
    -------
    ndarray of shape (n_lr, n_hr)
        float64; each row sums to 1.

    Raises
    ------
    SettingsError
        The profile is unknown, or a thickness is not above 0.
    """
    if profile not in PROFILES:
        raise SettingsError(f"unknown slice profile {profile!r}; use one of: {', '.join(PROFILES)}")
    thickness = np.asarray(thickness, dtype=np.float64)
    if not (np.isfinite(thickness) & (thickness > 0)).all():
        raise SettingsError(f"the slice thickness must be above 0, got {thickness.min():g} times the slice distance")
    centers = ((np.arange(n_lr) if places is None else places) + 0.5) * factor - 0.5
    if profile == "gaussian":
        return gaussian_weights(n_hr, centers, thickness * factor)
    offset = np.arange(n_hr)[None, :] - centers[:, None]
    half = np.maximum(thickness * factor, 1.0)[..., None] / 2  # in fine samples
    weights = np.clip(np.minimum(offset + 0.5, half) - np.maximum(offset - 0.5, -half), 0, 1)
    return weights / weights.sum(axis=1, keepdims=True)


def consistency_matrix(acquisition: np.ndarray, *, floor: float = 0.05) -> np.ndarray:
    """The matrix G = A^T (A A^T)^-1, which corrects fine samples by the data-consistency error of measured slices.

    Parameters
    ----------
    acquisition : ndarray of shape (n_lr, n_hr)
        The matrix A, see `acquisition_matrix`.
    floor : float
        Lower limit of the eigenvalues of A A^T, as a fraction of the largest.

    Returns
    -------
    ndarray of shape (n_hr, n_lr)
        float64.

    Notes
    -----
    x + G (y - A x) is the nearest volume to x, in the sense of least squares, that reproduces the measured slices y.
    Frequencies that the profile hardly passes are only partly reproduced: eigenvalues below the limit are raised to it,
    so that noise is amplified at most 1 / sqrt(floor) times.
    """
    values, vectors = np.linalg.eigh(acquisition @ acquisition.T)
    inverse = (vectors / np.maximum(values, floor * values[-1])) @ vectors.T
    return acquisition.T @ inverse
