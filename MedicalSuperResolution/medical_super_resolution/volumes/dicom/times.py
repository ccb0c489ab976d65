"""The distance in time of the volumes of a series, where it is even."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from ..volume import NO_TIMES
from .images.frames import Frame
from .images.header import number, text
from .stack import height

_UNEVEN = 0.05  # of the distance
_DATES = {  # of times of the clock
    "AcquisitionTime": "AcquisitionDate",
    "FrameReferenceDateTime": "",
    "FrameAcquisitionDateTime": "",
}
_ANY_DATE = "20000101"
_SECONDS = {  # of the unit of other times
    "TemporalPositionTimeOffset": 1.0,
    "FrameReferenceTime": 1e-3,
    "TriggerTime": 1e-3,
    "NominalCardiacTriggerDelayTime": 1e-3,
}


def series_times(volumes: list[list[Frame]]) -> tuple[float, float]:
    """Distance in time and start of volumes in their order, in s; `NO_TIMES` where it is uneven or not known.

    Parameters
    ----------
    volumes
        The images of each volume; those at the lowest place are compared.
    """
    lowest = [min(frames, key=height) for frames in volumes]
    for name in (*_DATES, *_SECONDS):
        steps = np.diff([_seconds(frame, name) for frame in lowest])
        if np.isfinite(steps).all() and steps.any():
            distance = float(steps.mean())
            is_even = float(np.ptp(steps)) <= _UNEVEN * distance
            return (float(f"{distance:.4g}"), NO_TIMES[1]) if is_even else NO_TIMES
    return NO_TIMES


def _seconds(frame: Frame, name: str) -> float:
    """A moment in s from any start that is common to a series; NaN where it is not known."""
    if name in _SECONDS:
        found = number(frame.header, name)
        return np.nan if found is None else found * _SECONDS[name]
    date = _DATES[name] and (text(frame.header, _DATES[name]) or _ANY_DATE)
    whole, _, fraction = f"{date}{text(frame.header, name)}".partition(".")
    try:
        return datetime.strptime(f"{whole}+0000", "%Y%m%d%H%M%S%z").timestamp() + float(f"0.{fraction[:6] or 0}")
    except ValueError:
        return np.nan
