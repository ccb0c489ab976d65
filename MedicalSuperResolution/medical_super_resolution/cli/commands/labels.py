"""medsr labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings import add_progress, selection_of
from ..terminal import progress_of_kind, show_warnings

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ...volumes.dicom.reader import Selection
    from ...volumes.grid import Grid
    from ...volumes.segmentations.files import Segmentation
    from ...volumes.volume import Volume

HELP = "refine a segmentation onto the grid of a refined volume"
DESCRIPTION = (
    "Refine a segmentation onto the grid of a refined volume: NIfTI, NRRD, MetaImage, .seg.nrrd or DICOM SEG (.dcm)\n"
    "with names and colors. Shapes are interpolated between slices; labels keep their values, and none are added."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add segmentation, output, and the volume whose grid it takes."""
    parser.add_argument("segmentation", type=Path, metavar="SEG", help="the segmentation of the thick slices")
    parser.add_argument("output", type=Path, metavar="OUT", help="the refined segmentation")
    parser.add_argument(
        "--like", type=Path, required=True, metavar="VOLUME", help="the volume whose grid OUT will have"
    )
    parser.add_argument("--snap", action="store_true", help="also move boundaries to the edges of VOLUME")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    add_progress(parser)


def run(chosen: argparse.Namespace) -> int:
    """Read, refine, write."""
    from ...volumes.dicom.reader import Selection
    from ...volumes.io import files, writers
    from ...volumes.segmentations import files as segmentations

    writers.check_apart([chosen.output], [chosen.segmentation, chosen.like])
    segmentation = segmentations.read(chosen.segmentation)
    images = images_of(chosen.like)
    segmentations.check_output(segmentation, chosen.output, overwrite=chosen.overwrite, images=images)
    _warn_of_another_frame(chosen.segmentation, chosen.like, Selection())
    image = files.read(chosen.like) if chosen.snap else None
    refined = segmentation.refined(_grid_of(chosen.like, image), progress_of_kind(chosen.progress), image=image)
    write_labels(refined, chosen.output, overwrite=chosen.overwrite, quiet=chosen.progress == "none", images=images)
    return 0


def images_of(path: Path) -> list[Path]:
    """The files of a DICOM series given by its folder; empty for a volume file."""
    if not path.is_dir():
        return []
    from ...volumes.dicom.reader import files_of_series

    return files_of_series(path)


def _grid_of(path: Path, image: Volume | None) -> Grid:
    from ...volumes.io import files, formats

    described = formats.grid_and_type_of(path)  # of tilted slices, the tilted one
    return described[0] if described else (image or files.read(path)).grid


def labels_of(chosen: argparse.Namespace) -> Segmentation:
    """Read the segmentation of ``--labels`` of `enhance`, and check its output before any work."""
    from ...volumes.io import formats
    from ...volumes.segmentations import files as segmentations

    source, output = chosen.labels
    segmentation = segmentations.read(source)
    to_be_a_series = [chosen.output] if formats.suffix_of(chosen.output) is None else []
    segmentations.check_output(segmentation, output, overwrite=chosen.overwrite, images=to_be_a_series)
    _warn_of_another_frame(source, chosen.input, selection_of(chosen, chosen.input))
    return segmentation


def _warn_of_another_frame(segmentation: Path, scan: Path, selection: Selection) -> None:
    """Say that a DICOM SEG and a DICOM series are not known to lie over each other."""
    from ...volumes.dicom.reader import files_of_series
    from ...volumes.io.formats import is_series
    from ...volumes.segmentations.dicom_seg import is_dicom_segmentation, share_frame_of_reference

    if not is_dicom_segmentation(segmentation) or not is_series(scan) or is_dicom_segmentation(scan):
        return
    if not share_frame_of_reference(segmentation, files_of_series(scan, selection)[0]):
        warning = (
            "the segmentation and the scan are of different frames of reference, so they may lie in different places;"
            " check that it fits, or take one that was drawn on this scan"
        )
        show_warnings([warning])


def write_labels(
    segmentation: Segmentation,
    output: Path,
    *,
    overwrite: bool,
    compress: bool = True,
    quiet: bool = False,
    images: Sequence[Path] = (),
) -> None:
    """Write a refined segmentation and report how many labels it has."""
    from ...volumes.label_maps.refinement import label_values
    from ...volumes.segmentations import files as segmentations

    segmentations.write(segmentation, output, overwrite=overwrite, compress=compress, images=images)
    if not quiet:
        count = sum(len(label_values(layer)) for layer in segmentation.layers)
        labels = f"{count} label{'s' if count != 1 else ''}"
        print(f"{segmentation.grid.described()}, {labels}: {output}", file=sys.stderr)
