"""medsr fuse."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SettingsError, VolumeError
from ...inference.fusion.settings import REGISTRATIONS, FusionSettings
from ...report import check_report, write_report
from ...settings import EnhanceSettings, check_slice_thickness
from ..settings import add_computer, add_modality, add_model, add_output
from ..terminal import progress_of_kind, show_warnings

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ...inference.fusion.report import Fused, FusionReport
    from ...volumes.grid import Grid
    from ...volumes.volume import Volume

HELP = "fuse several thick stacks into one isotropic volume"
DESCRIPTION = (
    "Fuse 2 to 12 thick stacks of one contrast and one session, in any planes, into one volume with cubic voxels.\n"
    "Each stack is a volume file or a DICOM series given by its folder or any of its files."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add stacks, output, grid and registration."""
    parser.add_argument("stacks", type=Path, nargs="+", metavar="STACK", help="a volume file or a DICOM series")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="a volume file, or a folder for a DICOM series")
    parser.add_argument(
        "--spacing", type=float, metavar="MM", help="spacing of the result; default: the finest of the stacks"
    )
    parser.add_argument("--like", type=Path, metavar="VOLUME", help="give the result the grid of this volume")
    parser.add_argument(
        "--region", type=float, nargs=6, metavar=("R", "R", "A", "A", "S", "S"),
        help="fuse only this box: lowest and highest R, A and S in mm",
    )  # fmt: skip
    parser.add_argument(
        "--slice-thickness", type=float, nargs="+", metavar="MM",
        help="slice thickness, one for all stacks or one for each; default: from the files, or no gap",
    )  # fmt: skip
    add_modality(parser)
    parser.add_argument(
        "--register",
        choices=REGISTRATIONS,
        default=FusionSettings.register,
        help="motion of the stacks, or of each slice; default: rigid",
    )
    parser.add_argument(
        "--rounds", type=int, default=1, metavar="N", help="number of fusions, each refining the one before; default: 1"
    )
    parser.add_argument("--force-frame", action="store_true", help="accept other patients and frames of reference")
    add_model(parser)
    parser.add_argument("--uncertainty", type=Path, metavar="FILE", help="write where the stacks contradict each other")
    add_output(parser)
    add_computer(parser)


def run(chosen: argparse.Namespace) -> int:
    """Read, fuse, write."""
    from ...inference.fusion.stacks import check_count
    from ...volumes.io import files

    if chosen.like and chosen.spacing:
        raise SettingsError("give either --spacing or --like, whose grid has its own spacing")
    settings = FusionSettings(
        spacing_mm=chosen.spacing,
        region_ras_mm=tuple(chosen.region) if chosen.region else None,
        register=chosen.register,
        rounds=chosen.rounds,
        enhance=EnhanceSettings(model=chosen.model, device=chosen.device, threads=chosen.threads),
    )
    for thickness in chosen.slice_thickness or ():
        check_slice_thickness(thickness)
    series = _checked_series(chosen)
    check_count(len(chosen.stacks))
    progress = progress_of_kind(chosen.progress)
    progress.stage("reading")
    stacks = _read(chosen)
    like = files.read(chosen.like) if chosen.like else None
    progress.stage("loading the model")  # and PyTorch
    from ...inference.fusion.fuse import fuse_stacks
    from ...models.weight_interpolation import load_model

    model = load_model(chosen.model)
    progress.stage("fusing")
    fused = fuse_stacks(
        stacks, model, settings, like=like, uncertainty=chosen.uncertainty is not None, progress=progress
    )
    progress.stage("writing")
    report = _write(chosen, fused, stacks[0].grid, series)
    show_warnings(report.warnings)
    if chosen.progress != "none":
        print(f"{fused.volume.grid.described()}, {report.seconds:.1f} s: {chosen.output}", file=sys.stderr)
    return 0


def _write(chosen: argparse.Namespace, fused: Fused, first: Grid, series: list[list[Path]]) -> FusionReport:
    """Write volume, uncertainty and report; return the report, with warnings about the writing.

    Parameters
    ----------
    first
        Grid of the first stack.
    series
        See `_series_of`.
    """
    from ...volumes.io import files

    report = fused.report
    if series:
        from ...volumes.dicom.derived.writer import write_series

        derived = report.as_refinement(first, fused.volume.grid)
        derived = write_series(fused.volume, derived, series[0], chosen.output, further_sources=series[1:])
        report = replace(report, warnings=derived.warnings)
    for path, volume in ((None if series else chosen.output, fused.volume), (chosen.uncertainty, fused.uncertainty)):
        if path and volume:
            files.write(volume, path, overwrite=chosen.overwrite, compress=not chosen.no_compression)
    if chosen.report:
        write_report(chosen.report, report.as_dict())
    return report


def _checked_series(chosen: argparse.Namespace) -> list[list[Path]]:
    """As `_series_of`; stacks of several sessions and outputs that cannot be written are refused first."""
    from ...volumes.dicom.reader import check_one_session
    from ...volumes.io import output_files, writers

    writers.check_apart([chosen.output, chosen.uncertainty, chosen.report], [*chosen.stacks, chosen.like])
    if chosen.output.is_file() and not chosen.overwrite:  # most likely a stack, and the output was forgotten
        raise VolumeError(
            f"{chosen.output}, the last path, is the output, and exists already; name the output after all stacks, or"
            " add --overwrite to replace it"
        )
    series = _series_of(chosen)
    for path in filter(None, (None if series else chosen.output, chosen.uncertainty)):
        output_files.check_output(path, overwrite=chosen.overwrite)
    check_report(chosen.report, overwrite=chosen.overwrite)
    if series or not chosen.force_frame:
        check_one_session(chosen.stacks, is_forced=chosen.force_frame)
    return series


def _series_of(chosen: argparse.Namespace) -> list[list[Path]]:
    """The files of each stack where the output is to be a DICOM series; empty where it is a volume file.

    Raises
    ------
    VolumeError
        The output is no volume file, and a stack is no DICOM series.
    """
    from ...volumes.dicom.derived.writer import check_output
    from ...volumes.dicom.reader import files_of_series
    from ...volumes.io import formats

    if formats.suffix_of(chosen.output) is not None or not any(map(formats.is_series, chosen.stacks)):
        return []
    for stack in chosen.stacks:
        if not formats.is_series(stack):
            raise VolumeError(f"{stack} is no DICOM series, so no DICOM can name it as a source; end OUTPUT in .nii.gz")
    series = [files_of_series(stack) for stack in chosen.stacks]
    for one in series:
        check_output(one, chosen.output)
    return series


def _read(chosen: argparse.Namespace) -> list[Volume]:
    """The stacks, with the requested thickness and modality."""
    from ...volumes.io import files

    thickness = chosen.slice_thickness or [None]
    if len(thickness) not in (1, len(chosen.stacks)):
        raise SettingsError(
            f"{len(thickness)} slice thicknesses for {len(chosen.stacks)} stacks; give one, or one each"
        )
    stacks = []
    for path, value in zip(chosen.stacks, thickness * (len(chosen.stacks) // len(thickness)), strict=True):
        volume = files.read(path)
        stacks.append(
            replace(
                volume,
                modality=chosen.modality or volume.modality,
                slice_thickness_mm=value or volume.slice_thickness_mm,
            )
        )
    return stacks
