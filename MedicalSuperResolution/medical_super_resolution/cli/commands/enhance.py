"""medsr enhance."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Cancelled, SettingsError, SuperResolutionError
from ...report import Report, check_report, write_report
from ...settings import EnhanceSettings
from ...system.memory import keep_freed_blocks, peak_mb, return_code_pages
from ...system.process import end_with_parent
from ...system.texts import on_one_line
from ..settings import add_output, add_selection, add_settings, selection_of, settings_of
from ..terminal import progress_of_kind, show_warnings
from .labels import images_of, labels_of, write_labels

if TYPE_CHECKING:  # numpy is not imported at startup
    from ...cohort.discovery import Item
    from ...models.file import Model
    from ...volumes.dicom.reader import Selection
    from ...volumes.grid import Grid
    from ...volumes.io.writers import Destination

HELP = "refine a volume"
DESCRIPTION = (
    "Refine a volume: NIfTI, NRRD, MetaImage, FreeSurfer, or a DICOM series by its folder or any of its files.\n"
    "Of a file with several volumes, each is refined. Two folders: all volumes in the first, but for the\n"
    "results of a cohort there, go into the second.\n"
    "i, j, k are the index axes of the file, fastest first; through-plane is the axis across\n"
    "the slices: the file names it, or its spacing is unlike the other two.\n"
    "With neither --factor nor --spacing the through-plane axis is refined to the in-plane spacing, at most 8x."
)
_OUTPUT_HELP = ".nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, or for a DICOM series a folder, new or empty"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add input, output, settings, and further outputs."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="a volume file, a DICOM series, or a folder of them")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help=_OUTPUT_HELP)
    add_selection(parser, takes_all=True)
    add_settings(parser)
    parser.add_argument(
        "--uncertainty",
        type=Path,
        metavar="FILE",
        help="also write the standard deviation of each voxel over mirror images of the scan, and over the detail model"
        " if there is one; up to 10 times the time",
    )
    parser.add_argument(
        "--labels", type=Path, nargs=2, metavar=("SEG", "SEG_OUT"), help="refine a segmentation onto the refined grid"
    )
    parser.add_argument("--snap", action="store_true", help="move boundaries of --labels to the edges of OUTPUT")
    parser.add_argument("--volume", type=int, metavar="N", help="only volume N from 0, for a file with several")
    parser.add_argument(
        "--keep-tilt", action="store_true", help="write slices of a tilted gantry on their original tilted grid"
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="for a folder: skip volumes that have a result already"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="for a folder: N volumes at a time; default: 1"
    )
    add_output(parser)
    parser.add_argument("--profile-of", type=Path, help=argparse.SUPPRESS)  # the report of another item of a sequence
    parser.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)


def run(chosen: argparse.Namespace) -> int:
    """Read, enhance, write."""
    if chosen.end_with_parent:
        end_with_parent()
    settings = settings_of(chosen)

    from ...volumes.dicom.reader import Selection
    from ...volumes.io import files, output_files, writers

    files.check_exists(chosen.input)
    if chosen.snap and not chosen.labels:
        raise SettingsError("--snap moves the boundaries of --labels SEG SEG_OUT; give both")
    selection = selection_of(chosen, chosen.input)
    if selection == Selection() and chosen.input.is_dir():
        from ...cohort.batch import batch_in

        if items := batch_in(chosen.input, chosen.output):
            return _run_batch(chosen, settings, items)
    if chosen.jobs != 1 or chosen.skip_existing:
        raise SettingsError(
            f"--jobs and --skip-existing are for a folder of several volumes that go into a second folder; leave them"
            f" out to enhance {chosen.input}"
        )
    segmentation, refined_segmentation = chosen.labels or (None, None)
    outputs = [chosen.output, chosen.uncertainty, chosen.report, refined_segmentation]
    writers.check_apart(outputs, [chosen.input, segmentation])
    destination = writers.destination_of(chosen.input, chosen.output, selection, overwrite=chosen.overwrite)
    check_report(chosen.report, overwrite=chosen.overwrite)
    if chosen.uncertainty:
        output_files.check_output(chosen.uncertainty, overwrite=chosen.overwrite)
    labels = labels_of(chosen) if chosen.labels else None
    keep_freed_blocks()
    grid = _enhance_in(chosen, settings, selection, destination)
    if labels is not None:
        write_labels(
            labels.refined(grid, image=files.read(chosen.output) if chosen.snap else None),
            chosen.labels[1],
            overwrite=chosen.overwrite,
            compress=not chosen.no_compression,
            quiet=chosen.progress == "none",
            images=images_of(chosen.output),
        )
    return 0


def _enhance_in(
    chosen: argparse.Namespace, settings: EnhanceSettings, selection: Selection, destination: Destination
) -> Grid:
    from ...models import store

    progress = progress_of_kind(chosen.progress)
    _check_input(chosen)
    config = store.read_header(store.find(settings.model))["config"]  # refuses a wrong model before PyTorch is loaded
    _check_plan(chosen.input, settings, config)
    progress.stage("starting")  # PyTorch takes more than a second
    from ...cohort.single import run_task
    from ...cohort.task import Task
    from ...models.weight_interpolation import load_model
    from ...volumes.segmentations.files import is_segmentation_file

    def load() -> Model:
        progress.stage("loading the model")
        return load_model(settings.model, settings.detail)

    return_code_pages()
    modalities: list[str | None] = []  # as stated, or None
    task = Task(
        chosen.input,
        destination,
        selection,
        number=chosen.volume,
        modality=chosen.modality,
        keep_tilt=chosen.keep_tilt,
        uncertainty=chosen.uncertainty,
        compress=not chosen.no_compression,
        hashed=chosen.report is not None,
        profile_of=chosen.profile_of and Report.from_dict(json.loads(chosen.profile_of.read_text(encoding="utf-8"))),
        inspect=lambda before, enhanced: modalities.append(before.modality),
    )
    done = run_task(task, settings, load, progress, progress.stage)
    report = done.report | {"peak_memory_mb": peak_mb()}
    if chosen.report:
        write_report(chosen.report, report)
    show_warnings(report["warnings"])
    if report["modality"] == "labels" and not is_segmentation_file(chosen.input):
        print("warning: if it is an image, state its --modality", file=sys.stderr)
    if chosen.progress != "none":
        made = f"{done.grid.described()}, {report['seconds']:.1f} s"
        _print_summary(Report.from_dict(report), made, chosen.output, is_guessed=modalities == [None])
    return done.grid


def _check_input(chosen: argparse.Namespace) -> None:
    """Refuse what the header alone shows, before PyTorch is loaded."""
    from ...volumes.dicom.reader import ALL_PHASES
    from ...volumes.io import formats
    from ...volumes.segmentations.files import is_segmentation_file

    source, number, are_several = chosen.input, chosen.volume, chosen.phase == ALL_PHASES
    is_segmentation = is_segmentation_file(source)  # whose layers are no volumes
    if formats.is_volume_file(source) and source.is_file() and not is_segmentation:
        count = formats.header_of(source).count
        if number is not None and not 0 <= number < count:
            raise SuperResolutionError(f"{source} has no volume {number}; its volumes are 0 to {count - 1}")
        are_several = number is None and count > 1
    if chosen.snap and is_segmentation:
        raise SettingsError(f"--snap follows the edges of an image, and {source} is a segmentation; leave it out")
    if is_segmentation and (chosen.modality or chosen.uncertainty):
        raise SettingsError(
            f"--modality and --uncertainty are for images, and {source} is a segmentation; leave them out, or rename a"
            " file that is none"
        )
    if chosen.snap and are_several:
        raise SettingsError("--snap follows the edges of one volume; name it by --volume N, or --phase N of DICOM")


def _check_plan(source: Path, settings: EnhanceSettings, config: object) -> None:
    """Refuse a volume file of which the settings refine nothing, before PyTorch is loaded."""
    from ...inference.planning import plan
    from ...volumes.io import formats
    from ...volumes.segmentations.files import is_segmentation_file

    has_own_factor = isinstance(config, dict) and "factor" in config  # which the settings need not state
    if not (settings.exact_spacing or has_own_factor or is_segmentation_file(source)):
        known = formats.grid_and_type_of(source)
        if known is not None:
            plan(known[0], settings)


def _run_batch(chosen: argparse.Namespace, settings: EnhanceSettings, items: list[Item]) -> int:
    """All volumes of a folder: a line for each as it is done, a table at the end."""
    from ...cohort.batch import run_batch
    from ...cohort.table import TABLE, Row
    from ...cohort.task import Batch

    for name in ("report", "uncertainty", "labels", "volume"):
        if getattr(chosen, name) is not None:
            raise SettingsError(f"--{name} is for a single volume, and {chosen.input} is a folder of several")
    if chosen.skip_existing and chosen.overwrite:
        raise SettingsError("--skip-existing keeps results, and --overwrite replaces them; give one")
    if chosen.jobs < 1:
        raise SettingsError(f"the number of jobs must be at least 1, got {chosen.jobs}")

    def announce(row: Row) -> None:
        if chosen.progress != "none":
            print(row.line, file=sys.stderr, flush=True)

    batch = Batch(
        chosen.input,
        chosen.output,
        settings,
        modality=chosen.modality,
        skip_existing=chosen.skip_existing,
        overwrite=chosen.overwrite,
        keep_tilt=chosen.keep_tilt,
        compress=not chosen.no_compression,
    )
    try:
        rows = run_batch(batch, items, jobs=chosen.jobs, announce=announce)
    except KeyboardInterrupt as stop:
        raise Cancelled(f"{chosen.output / TABLE} lists what is done; --skip-existing continues from there") from stop
    counts = {status: sum(row.status == status for row in rows) for status in ("done", "skipped", "failed")}
    width = max(len(row.name) for row in rows)
    for row in rows:
        facts = f"{row.name:{width}}  {row.status:8}  {row.size:14}  {row.spacing_mm:18}  {row.message[:100]}"
        print(on_one_line(facts).rstrip())
    print(f"{', '.join(f'{count} {status}' for status, count in counts.items())}: {chosen.output / TABLE}")
    return 1 if counts["failed"] else 0


def _print_summary(report: Report, made: str, output: Path, *, is_guessed: bool) -> None:
    """Print what was done on standard error; the modality may have been guessed from the values."""
    if report.modality == "labels":
        print(f"{made}: {output}", file=sys.stderr)
        return
    kept = "done"
    print(f"modality: {report.modality.upper()}{' (from the values)' if is_guessed else ''}", file=sys.stderr)
    if report.other_profile:
        print(f"slice profile: {report.profile_described}", file=sys.stderr)
    if report.settings.get("consistency", True):
        kept = f"measured slices reproduced to {report.consistency_error_rms:.3g} RMS"
        if other := report.other_consistency_error_rms:
            print(f"if the slices were {report.other_profile}: reproduced to {other:.3g} RMS", file=sys.stderr)
    print(f"{made}, {kept}: {output}", file=sys.stderr)
