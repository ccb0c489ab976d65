"""The uncertainty of a result: the spread of the results over mirror images of the scan.

A mirror image shows the same anatomy. Where the data determine the result, the results agree; where the network
hallucinates detail, they differ. So do those of a model and its detail model, if there is one: half their difference is
the standard deviation of the two. Where a slice is missing, half the difference of its neighbors is the standard
deviation of the interpolated slice. All three are taken as independent, so their squares are added. The result is no
confidence interval, but it grows with the true error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..volumes.grid import Grid
from ..volumes.volume import Volume
from .planning import Plan
from .refiners.padding import Padding, nearest_measured, padding_of_slices


def mirror_statistics(
    first: np.ndarray, refine: Callable[[tuple[int, ...]], np.ndarray], planned: Plan
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of the refined mirror images, turned back.

    Parameters
    ----------
    first : ndarray
        The refined volume, (K, J, I), floating, not rounded: of the same precision as what ``refine`` returns.
    refine : callable
        Returns the refined volume of the mirror image along array axes.
    planned : Plan
        The passes.

    Returns
    -------
    mean : ndarray
        The mean, with the shape and type of ``first``. It reproduces the measured slices as each of the images does.
    deviation : ndarray
        float32, of the shape of ``first``, in the units of the volume.

    References
    ----------
    .. [1] Welford (1962), Note on a method for calculating corrected sums of squares and products.
       DOI 10.1080/00401706.1962.10490022
    .. [2] Timofte, Rothe and Van Gool (2016), Seven ways to improve example-based single image super resolution:
       the mean as the better result ("enhanced prediction", self-ensemble). arXiv:1511.02228
    """
    mean = first.copy()
    squares = np.zeros_like(mean)
    for number, axes in enumerate(planned.mirrors, start=1):
        if not axes:
            continue
        values = np.flip(refine(axes), axes)
        change = values - mean
        mean += change / number
        squares += change * (values - mean)
    return mean, np.sqrt(squares / number).astype(np.float32, copy=False)


def widened(deviation: np.ndarray, fidelity: np.ndarray, detailed: np.ndarray) -> np.ndarray:
    """Combine ``deviation`` with half the difference of two results: root of the sum of squares, float32."""
    exact = np.promote_types(fidelity.dtype, np.float32)
    half = (np.subtract(fidelity, detailed, dtype=exact) / 2).astype(np.float32, copy=False)
    return np.hypot(deviation, half)


def raise_in_gaps(deviation: np.ndarray, volume: Volume, grid: Grid, padding: Padding | None = None) -> None:
    """Add, in place, half the difference of the neighboring slices where slices are missing.

    Nothing is added where a neighbor is padding: what it differs from tissue by says nothing of the slice between.

    Parameters
    ----------
    deviation : ndarray
        (M, J, I), of the fine volume.
    volume : Volume
        The measured volume, whose ``interpolated`` names the places where nothing was measured.
    grid : Grid
        Grid of the fine volume.
    padding : Padding, optional
        Padding of the measured volume.
    """
    measured, is_gap = volume.measured, volume.interpolated
    assert measured is not None  # the caller has checked that slices are missing
    assert is_gap is not None
    padded = padding_of_slices(padding, measured)
    slices, rows, columns = (nearest_measured(volume.grid, grid, axis) for axis in "kji")
    for number in np.flatnonzero(is_gap):
        above = int(np.searchsorted(measured.places, number).clip(1, len(measured.places) - 1))
        before, after = (measured.array[place].astype(np.float64) for place in (above - 1, above))
        half = np.abs(after - before) / 2
        if padded is not None:
            half[padded.at(slice(above - 1, above + 1), slice(None), slice(None))[0].any(axis=0)] = 0
        half = half[np.ix_(rows, columns)]
        for fine in np.flatnonzero(slices == number):
            np.hypot(deviation[fine], half, out=deviation[fine])


def described(planned: Plan, *, with_detail_models: bool, with_gaps: bool = False) -> str:
    """Description of the uncertainty, as the end of a sentence."""
    text = f"the standard deviation over {len(planned.mirrors)} mirror images of the scan"
    if with_detail_models:
        text += ", joined with half the difference between the model and its detail model"
    if with_gaps:
        text += ", and where a slice is missing with half the difference between its neighbors"
    return text
