"""The calibration of the shipped slice-profile estimator, read from the header of its file without torch."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..physics.slice_profile import ProfileCalibration, ProfileEstimate, estimate_profile
from .store import read_description

SHIPPED = Path(__file__).parents[1] / "features" / "slice-profile.safetensors"  # not a model


@lru_cache  # a panel asks at every click
def expected_profile(thickness: float) -> ProfileEstimate:
    """The most likely slice profile before any slice is examined.

    Parameters
    ----------
    thickness
        Slice thickness, in slice distances.

    Raises
    ------
    ModelError
        The file of the estimator is missing or damaged.
    """
    try:
        return estimate_profile(None, thickness, calibration_from(read_description(SHIPPED)["calibration"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise ModelError(f"{SHIPPED.name} is damaged; install the extension again") from problem


def calibration_from(numbers: dict[str, Any]) -> ProfileCalibration:
    """The calibration that a header holds as plain types.

    Raises
    ------
    TypeError, ValueError, KeyError
        It is none.
    """
    low, high = (float(end) for end in numbers["width_range"])
    calibration = ProfileCalibration(**{**numbers, "width_range": (low, high)})
    positive = (low, high, calibration.spread, calibration.cost_of_excess)
    if not all(math.isfinite(number) and number > 0 for number in positive) or low > high:
        raise ValueError("widths, spread and cost of a calibration must be above 0")
    return calibration
