"""The result of an enhancement."""

from __future__ import annotations

from dataclasses import dataclass

from ..report import Report
from ..volumes.volume import Volume


@dataclass(frozen=True)
class Enhanced:
    """A result and what was done; ``uncertainty`` is the standard deviation of each voxel, where it was asked for."""

    volume: Volume
    report: Report
    uncertainty: Volume | None = None
