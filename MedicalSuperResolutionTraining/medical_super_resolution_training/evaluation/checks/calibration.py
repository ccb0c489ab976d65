"""Whether uncertainty predicts the error: error against uncertainty in ten bins of equal count."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from ..measures.foreground import Foreground

BINS = 10
_MOST_VOXELS = 200_000  # of one volume


@dataclass(frozen=True, eq=False)
class Sample:
    """Uncertainty and true error of some voxels of the body, both over the intensity range, (N,) float32 each."""

    uncertainty: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ten bins from the least to the most uncertainty.

    Parameters
    ----------
    uncertainty
        Mean of each bin.
    error
        Root mean square of each bin.
    rank_correlation
        Spearman's, of the bins.
    of_voxels
        Rank correlation of single voxels.
    covered
        Share of voxels whose error is at most twice the uncertainty.
    """

    uncertainty: np.ndarray
    error: np.ndarray
    rank_correlation: float
    of_voxels: float
    covered: float


def sample(
    uncertainty: np.ndarray, result: np.ndarray, reference: np.ndarray, body: Foreground, subject: str
) -> Sample:
    """Voxels of the body, at most 200,000, drawn by the subject's name alone."""
    error = np.abs(body.clipped(result) - body.clipped(reference))[body.inside] / body.peak
    uncertainty = uncertainty[body.inside] / body.peak
    random = np.random.default_rng(zlib.crc32(subject.encode(errors="backslashreplace")))
    chosen = random.permutation(len(error))[:_MOST_VOXELS]
    return Sample(uncertainty[chosen].astype(np.float32), error[chosen].astype(np.float32))


def calibrated(samples: list[Sample]) -> Calibration:
    """The bins of all samples together."""
    uncertainty = np.concatenate([one.uncertainty for one in samples])
    error = np.concatenate([one.error for one in samples])
    bins = np.array_split(np.argsort(uncertainty, kind="stable"), BINS)
    means = np.array([uncertainty[members].mean(dtype=np.float64) for members in bins])
    errors = np.array([np.sqrt(np.square(error[members], dtype=np.float64).mean()) for members in bins])
    return Calibration(
        means,
        errors,
        rank_correlation(means, errors),
        rank_correlation(uncertainty, error),
        float((error <= 2 * uncertainty).mean()),
    )


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two (N,) arrays; equal values share their mean rank."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
