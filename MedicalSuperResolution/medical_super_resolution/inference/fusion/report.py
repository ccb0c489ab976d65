"""The result of a fusion: the volume and its report."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ...report import NOTICE, Report
from ...system.identity import __version__
from ...volumes.grid import Grid
from ...volumes.volume import Volume


@dataclass(frozen=True, kw_only=True)
class FusionReport:
    """The report of one fusion. All lists are in the order of the stacks.

    Parameters
    ----------
    size_ijk, spacing_mm
        Size of the fused volume along i, j and k, and its least spacing.
    slice_profile
        Shape of the slice profile of each stack: "gaussian" or "box".
    shift_mm, angle_degrees
        Shift and rotation that registration found.
    gain
        Factor that the values were multiplied with.
    slices_held_down
        Number of slices with less than half of their weight, because they contradict the other stacks.
    consistency_error_rms
        Root mean square difference between each stack and the fused volume acquired again, in the stack's units.
    warnings
        What the reader changed in the stacks (straightened, resampled, left out).
    device
        Where the model refined the stacks; the rest is computed on the processor.
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
    warnings: tuple[str, ...] = ()
    device: str = "cpu"
    software: str = f"MedicalSuperResolution {__version__}"
    notice: str = NOTICE

    def as_dict(self) -> dict[str, Any]:
        """Plain types only, ready for JSON."""
        return dataclasses.asdict(self)

    def as_refinement(self, stack: Grid, grid: Grid) -> Report:
        """The same as the report of a refinement of one stack, for the headers of a DICOM series.

        Parameters
        ----------
        stack
            Grid of the stack.
        grid
            Grid of the fused volume.
        """
        before, after = stack.spacing_ijk_mm, grid.spacing_ijk_mm
        i, j, k = (max(old / new, 1.0) for old, new in zip(before, after, strict=True))
        return Report(
            model=self.model,
            model_sha256=self.model_sha256,
            modality=self.modality,
            factor_ijk=(i, j, k),
            spacing_before_ijk_mm=before,
            spacing_after_ijk_mm=after,
            size_before_ijk=stack.shape_kji[::-1],
            size_after_ijk=self.size_ijk,
            slice_thickness_mm=stack.through_plane_spacing_mm,
            slice_profile=self.slice_profile[0],
            consistency_error_rms=max(self.consistency_error_rms),
            device=self.device,
            seconds=self.seconds,
            settings=self.settings,
            warnings=self.warnings,
            software=self.software,
        )


@dataclass(frozen=True)
class Fused:
    """The result of a fusion.

    Attributes
    ----------
    volume : Volume
        The fused volume.
    report : FusionReport
        How it was made.
    uncertainty : Volume or None
        Local root mean square difference between the stacks and the volume; None if it was not requested.
    """

    volume: Volume
    report: FusionReport
    uncertainty: Volume | None
