"""What was done to a volume, ready to be kept with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """What was done, ready for JSON.

    factor_ijk, spacing_before_ijk_mm, spacing_after_ijk_mm, size_before_ijk, size_after_ijk : along i, j, k.
    slice_thickness_mm : tissue in one slice as it was taken. residual_rms : root mean square, in the units of the
    volume, of what the result, measured again as the scanner would, differs from the input; after rounding.
    """

    model: str
    model_sha256: str
    modality: str
    factor_ijk: tuple[float, float, float]
    spacing_before_ijk_mm: tuple[float, float, float]
    spacing_after_ijk_mm: tuple[float, float, float]
    size_before_ijk: tuple[int, int, int]
    size_after_ijk: tuple[int, int, int]
    slice_thickness_mm: float
    consistency: bool
    residual_rms: float
    device: str
    seconds: float
    warnings: tuple[str, ...]
    software: str
    notice: str = "For research. Not for diagnostic use."

    def as_dict(self) -> dict[str, Any]:
        """Plain types only."""
        return asdict(self)
