"""What a fusion gives: the volume, and a report of what was done."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ... import __version__
from ...report import NOTICE
from ...volumes.volume import Volume


@dataclass(frozen=True, kw_only=True)
class FusionReport:
    """What was done. All lists are in the order of the stacks.

    Parameters
    ----------
    shift_mm, angle_degrees
        Shift and rotation that registration found.
    gain
        What the values were multiplied with.
    slices_held_down
        How many slices were given less than half of their weight, because they contradict the other stacks.
    consistency_error_rms
        Root mean square difference between each stack and the fused volume acquired again, in the stack's units.
    """

    model: str
    model_sha256: str
    modality: str
    size_ijk: tuple[int, int, int]
    spacing_mm: float
    slice_profile: tuple[str, ...]
    shift_mm: tuple[float, ...]
    angle_degrees: tuple[float, ...]
    gain: tuple[float, ...]
    slices_held_down: tuple[int, ...]
    consistency_error_rms: tuple[float, ...]
    seconds: float
    settings: dict[str, Any]
    software: str = field(default=f"MedicalSuperResolution {__version__}")
    notice: str = NOTICE

    def as_dict(self) -> dict[str, Any]:
        """Plain types only, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Fused:
    """A fused volume, what was done, and how far the stacks contradict each other around each voxel (a deviation)."""

    volume: Volume
    report: FusionReport
    uncertainty: Volume
