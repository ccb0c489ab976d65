"""Label maps enhanced like volumes: shapes are refined, and the labels stay the same."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

from ..errors import SettingsError
from ..progress import Progress, ignore
from ..report import Report
from ..settings import EnhanceSettings
from ..system.identity import __version__
from ..volumes.grid import Grid
from ..volumes.label_maps.refinement import refine_labels
from ..volumes.tilt import straight_grid
from ..volumes.volume import Enhanced, Volume
from .planning import finer_axes, plan

METHOD = "labels (shape-based interpolation)"


def enhance_labels(volume: Volume, settings: EnhanceSettings, progress: Progress = ignore) -> Enhanced[Volume]:
    """Refine a label map as the settings ask, without a network; no label is new.

    Raises
    ------
    SettingsError, VolumeError
        See `planning.plan` and `refinement.refine_labels`; or an uncertainty is asked for.
    """
    if settings.uncertainty:
        raise SettingsError("the volume is a label map, which has no uncertainty; ask for none")
    started = time.monotonic()
    planned = plan(_averaged_grid(volume.grid, settings), settings)
    fine = refine_labels(volume, planned.target, progress)
    note = "the volume is a label map: its shapes were interpolated and its labels kept, without the model"
    report = Report(
        model=METHOD,
        model_sha256="",
        modality="labels",
        factor_ijk=planned.factor_ijk,
        spacing_before_ijk_mm=planned.source.spacing_ijk_mm,
        spacing_after_ijk_mm=planned.target.spacing_ijk_mm,
        size_before_ijk=planned.source.shape_kji[::-1],
        size_after_ijk=planned.target.shape_kji[::-1],
        slice_thickness_mm=planned.source.through_plane_spacing_mm,
        slice_profile="none",
        consistency_error_rms=0.0,
        device="cpu",
        seconds=round(time.monotonic() - started, 4),
        settings=asdict(replace(settings, model=METHOD)),
        warnings=(*volume.notes, note),
        software=f"MedicalSuperResolution {__version__}",
    )
    return Enhanced(fine, report)


def _averaged_grid(grid: Grid, settings: EnhanceSettings) -> Grid:
    """The straight grid, coarser along the axes that an image would be averaged along: those of an exact spacing."""
    grid = straight_grid(grid)
    for axis, factor in finer_axes(grid, settings).items() if settings.exact_spacing else ():
        grid = grid.refined(axis, 1 / factor)
    return grid
