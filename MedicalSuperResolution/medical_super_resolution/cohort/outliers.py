"""Studies of a cohort that differ from the others of their modality."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from .table import Row

OUTLIER_ABOVE = 3.5  # robust standard deviations from the median
_FEWEST = 8  # studies of one modality, below which their spread is not meaningful
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_SMALLEST_SPREAD = 0.02  # of a logarithm: smaller differences do not count
_MEASURES: dict[str, Callable[[Row], float]] = {
    "consistency error": lambda row: float(row.consistency_error),
    "slice profile": lambda row: float(row.slice_width_mm) / float(row.slice_thickness_mm),
    "uncertainty": lambda row: float(row.uncertainty),
}


def outlier_distances(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Distance of each study from the others of its modality.

    Returns
    -------
    dict
        By output of a study and name of a measure: (logarithm - median) / robust standard deviation. The measures are
        consistency error, slice profile (width over thickness) and uncertainty. A measure that a study lacks is left
        out, as are modalities with too few studies.
    """
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, measure in _MEASURES.items():
        by_modality: dict[str, dict[str, float]] = defaultdict(dict)
        for row in rows:
            try:
                by_modality[row.modality][row.output] = math.log(measure(row))
            except (ValueError, ZeroDivisionError):  # empty, or zero
                continue
        for values in by_modality.values():
            if len(values) >= _FEWEST:
                for study, distance in zip(values, _distances(list(values.values())), strict=True):
                    found[study][name] = distance
    return dict(found)


def _distances(values: list[float]) -> list[float]:
    """Distances from the median, in robust standard deviations."""
    away = np.array(values) - np.median(values)
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(away)))
    return [float(distance) for distance in away / max(spread, _SMALLEST_SPREAD)]
