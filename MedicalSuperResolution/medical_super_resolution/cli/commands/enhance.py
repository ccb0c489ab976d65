"""medsr enhance."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import SuperResolutionError
from ...settings import EnhanceSettings
from ...system.memory import keep_freed_blocks, peak_mb, return_freed_blocks
from ...system.parent_watchdog import end_with_parent
from ...system.temp_dirs import work_folder
from ..selection import add_selection, selection_of
from ..settings import add_settings, settings_of
from ..terminal import progress_of_kind
from .labels import enhance_labels, labels_of, write_labels

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ...report import Report
    from ...volumes.grid import Grid
    from ...volumes.io.writers import Destination
    from ...volumes.memmap import Allocator

HELP = "refine a volume"
DESCRIPTION = (
    "Refine a volume: NIfTI, NRRD, MetaImage, or a DICOM series given by its folder or any of its files.\n"
    "i, j, k are the index axes of the file, fastest first; through-plane is the axis of the largest spacing.\n"
    "With neither --factor nor --spacing the through-plane axis is refined to the in-plane spacing, at most 8x."
)
_OUTPUT_HELP = ".nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, or for a DICOM series a folder, new or empty"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Input, output, what is asked for, and what is written beside it."""
    parser.add_argument("input", type=Path, metavar="INPUT")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help=_OUTPUT_HELP)
    add_selection(parser)
    add_settings(parser)
    parser.add_argument(
        "--uncertainty",
        type=Path,
        metavar="FILE",
        help="also write a standard deviation of each voxel, over mirror images of the scan and the sharp twin if there"
        " is one; 8 to 10 times the time",
    )
    parser.add_argument(
        "--labels", type=Path, nargs=2, metavar=("SEG", "SEG_OUT"), help="bring a segmentation onto the refined grid"
    )
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write down what was done")
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT and the report where they exist")
    parser.add_argument(
        "--no-compression", action="store_true", help="write volume files uncompressed: larger, but without delay"
    )
    parser.add_argument("--progress", choices=("auto", "json", "none"), default="auto", help="how to show progress")
    parser.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)


def run(chosen: argparse.Namespace) -> int:
    """Read, enhance, write."""
    if chosen.end_with_parent:
        end_with_parent()
    settings = settings_of(chosen)

    if enhance_labels(chosen, settings):
        return 0

    from ...volumes.io import files
    from ...volumes.io import writers as destinations

    destination = destinations.destination_of(
        chosen.input, chosen.output, selection_of(chosen), overwrite=chosen.overwrite
    )
    check_report(chosen.report, chosen.output, chosen.overwrite)
    if chosen.uncertainty:
        files.check_output(chosen.uncertainty, overwrite=chosen.overwrite)
        if chosen.uncertainty.resolve() == chosen.output.resolve():
            raise SuperResolutionError(
                f"{chosen.output} cannot hold both the volume and its uncertainty; name two files"
            )
    labels = labels_of(chosen)
    keep_freed_blocks()
    with _allocator(chosen, settings) as allocator:
        grid = _enhance_in(allocator, chosen, settings, destination)
    if labels is not None:
        write_labels(
            labels.refined(grid), chosen.labels[1], overwrite=chosen.overwrite, quiet=chosen.progress == "none"
        )
    return 0


@contextmanager
def _allocator(chosen: argparse.Namespace, settings: EnhanceSettings) -> Iterator[Allocator | None]:
    """Allocator on the disk for a volume and its result, where they do not fit into memory."""
    from ...inference.planning import fits_memory, plan
    from ...volumes.io import files
    from ...volumes.memmap import disk_allocator

    known = files.header(chosen.input) if files.suffix_of(chosen.output) else None
    try:
        fits = known is None or fits_memory(plan(known[0], settings), known[1].itemsize, settings)
    except SuperResolutionError:
        fits = True  # the engine will say what is wrong
    if fits:
        yield None
        return
    if settings.uncertainty:
        raise SuperResolutionError(
            "the uncertainty of a volume that does not fit into memory cannot be computed; crop the volume,"
            " or allow more by --max-memory"
        )
    with disk_allocator(chosen.output.parent) as allocator:
        yield allocator


def _enhance_in(
    allocator: Allocator | None, chosen: argparse.Namespace, settings: EnhanceSettings, destination: Destination
) -> Grid:
    from ...volumes.io import files

    progress = progress_of_kind(chosen.progress)
    progress.stage("reading")
    started = time.monotonic()
    volume = files.read(chosen.input, selection_of(chosen), allocator=allocator)
    read_seconds = time.monotonic() - started
    if chosen.modality:
        volume = replace(volume, modality=chosen.modality)

    progress.stage("loading the model")
    from ...inference.enhance import enhance
    from ...models.weight_interpolation import load_model

    model = load_model(settings.model, settings.sharpness)
    progress.stage("refining")
    enhanced = enhance(volume, model, settings, progress, allocator=allocator)
    return_freed_blocks()
    progress.stage("writing")
    started = time.monotonic()
    compress = not chosen.no_compression
    done = destination.write(enhanced.volume, enhanced.report, compress=compress)
    write_seconds = time.monotonic() - started
    if enhanced.uncertainty:
        files.write(enhanced.uncertainty, chosen.uncertainty, overwrite=chosen.overwrite, compress=compress)
    report = done.as_dict()
    report["stages"] = {"read": round(read_seconds, 3), **report["stages"], "write": round(write_seconds, 3)}
    report["peak_memory_mb"] = peak_mb()
    if chosen.report:
        report["input_sha256"] = _voxels_sha256(volume.array)
        write_report(chosen.report, report)
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if chosen.progress != "none":
        _tell(done, f"{enhanced.volume.grid.described()}, {report['seconds']:.1f} s", chosen.output)
    return enhanced.volume.grid


def _tell(report: Report, made: str, output: Path) -> None:
    """What was done, for people."""
    kept = "done"
    print(f"slice profile: {report.profile_described}", file=sys.stderr)
    if report.settings.get("consistency", True):
        kept = f"measured slices reproduced to {report.consistency_error_rms:.3g} RMS"
        if other := report.other_consistency_error_rms:
            print(f"if the slices were {report.other_profile}: reproduced to {other:.3g} RMS", file=sys.stderr)
    print(f"{made}, {kept}: {output}", file=sys.stderr)


def check_report(path: Path | None, output: Path, overwrite: bool) -> None:
    """Refuse, before any work is done, a report that could not be written."""
    if path is None:
        return
    if path.resolve() == output.resolve():
        raise SuperResolutionError(
            f"{path} cannot hold both the volume and the report; name another file for the report"
        )
    if path.is_dir():
        raise SuperResolutionError(f"{path} is a folder; name a file")
    if path.exists() and not overwrite:
        raise SuperResolutionError(f"{path} exists already; add --overwrite to replace it, or choose another name")
    if not path.parent.is_dir():
        raise SuperResolutionError(f"the folder {path.parent} does not exist; make it first")


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON; the file appears only when it is complete."""
    try:
        with work_folder(path.parent) as folder:
            (folder / path.name).write_text(json.dumps(report, indent=1) + "\n")
            (folder / path.name).replace(path)
    except OSError as problem:
        raise SuperResolutionError(f"the report {path} could not be written: {problem.strerror}") from problem


def _voxels_sha256(array: Any) -> str:  # noqa: ANN401 - numpy is not imported at the start of the program
    import hashlib

    from ...volumes.memmap import slabs

    digest = hashlib.sha256()
    for part in slabs(array):
        digest.update(part.tobytes())
    return digest.hexdigest()
