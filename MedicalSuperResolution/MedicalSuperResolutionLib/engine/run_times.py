"""Duration of enhancements on this computer, learned from earlier runs."""

from __future__ import annotations

import json
import math
from typing import Protocol

from medical_super_resolution.inference.cost import START_SECONDS, estimate
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Volume

_KEY = "MedicalSuperResolution/SecondsLearned"
_START = "start"  # key of the seconds before the first voxel
_NEW = 0.5  # weight of the latest run
_SHORT_SECONDS = 3.0  # of work: a run this short has half the weight, as much of its time is overhead
_GPUS = ("cuda", "mps")  # whose speed is not known before the first run
_LEAST = 1e-3  # lower limit of measured values
_MILLION = 1e6


class Store(Protocol):
    """Settings of the application, as QSettings has them."""

    def value(self, key: str, default: str) -> str: ...

    def setValue(self, key: str, value: str) -> None: ...  # Qt's name


class RunTimes:
    """Durations of earlier runs, kept in the settings of the application; nothing about any volume is stored."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def seconds(self, volume: Volume, settings: EnhanceSettings, count: int = 1) -> float | None:
        """Expected seconds for ``count`` volumes like this one; None if nothing is known about this device.

        Raises
        ------
        SuperResolutionError
            See `planning.plan`.
        """
        known = self._known()
        ratio = _learned_ratio(known, settings)
        if ratio is None and settings.device in _GPUS:
            return None
        return known.get(_START, START_SECONDS) + count * _work_seconds(volume, settings) * (ratio or 1.0)

    def learn(
        self, volume: Volume, settings: EnhanceSettings, engine_seconds: float, start_seconds: float | None = None
    ) -> None:
        """Learn from a finished run.

        Parameters
        ----------
        engine_seconds
            Duration of the computation in the engine.
        start_seconds
            Seconds spent outside the computation, mostly on the start of the process; None if it was running already.
        """
        work, known = _work_seconds(volume, settings), self._known()
        share = work / (work + _SHORT_SECONDS) * (_NEW if _kind(settings) in known else 1)
        ratio = engine_seconds / work
        expected = _learned_ratio(known, settings) or (ratio if settings.device in _GPUS else 1.0)
        known[_kind(settings)] = _moved(ratio, expected, share)
        if start_seconds is not None:
            known[_START] = _moved(start_seconds, known.get(_START, start_seconds))
        self._keep(known)

    def fusion_seconds(self, voxels: int, settings: EnhanceSettings) -> float | None:
        """Expected seconds of a fusion; None before the first. ``voxels`` are those of the result times the stacks."""
        seconds_per_million = self._known().get(f"{_place(settings)} fusion")
        return None if seconds_per_million is None else seconds_per_million * voxels / _MILLION

    def learn_fusion(self, voxels: int, settings: EnhanceSettings, seconds: float) -> None:
        """Learn from a finished fusion; see `fusion_seconds`."""
        known, name = self._known(), f"{_place(settings)} fusion"
        seconds_per_million = seconds * _MILLION / max(voxels, 1)
        known[name] = _moved(seconds_per_million, known.get(name, seconds_per_million))
        self._keep(known)

    def _keep(self, known: dict[str, float]) -> None:
        self._store.setValue(_KEY, json.dumps({name: round(value, 4) for name, value in known.items()}))

    def _known(self) -> dict[str, float]:
        try:
            kept = json.loads(self._store.value(_KEY, "{}") or "{}")
            return {name: max(float(value), _LEAST) for name, value in kept.items()}
        except (ValueError, TypeError, AttributeError):  # not written by this module
            return {}


def _moved(measured: float, known: float, share: float = _NEW) -> float:
    """Geometric moving average: the effect of a single slow run fades quickly."""
    return max(known, _LEAST) ** (1 - share) * max(measured, _LEAST) ** share


def _learned_ratio(known: dict[str, float], settings: EnhanceSettings) -> float | None:
    """Ratio of measured to predicted time for runs of this kind, or else for all runs on this device."""
    on_device = [
        ratio
        for name, ratio in known.items()
        if name.startswith(f"{_device(settings)} ") and not name.endswith(" fusion")
    ]
    return known.get(_kind(settings), math.prod(on_device) ** (1 / len(on_device)) if on_device else None)


def _work_seconds(volume: Volume, settings: EnhanceSettings) -> float:
    cost = estimate(plan(volume.grid, settings), volume.array.dtype.itemsize, settings)
    return max(cost.cpu_seconds - START_SECONDS, _LEAST)


def _kind(settings: EnhanceSettings) -> str:
    """Runs of one kind take a time proportional to their voxels."""
    return f"{_place(settings)} {'mirrored' if settings.refines_mirrors else 'plain'}"


def _place(settings: EnhanceSettings) -> str:
    return f"{_device(settings)} {settings.model.rpartition('/')[2]}"


def _device(settings: EnhanceSettings) -> str:
    return f"{settings.device} {settings.threads or 'all'}"
