"""medsr info."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SuperResolutionError
from ...settings import EnhanceSettings
from ...system.texts import on_one_line
from ..settings import add_selection, selection_of

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ...volumes.dicom.reader import Selection
    from ...volumes.volume import Volume

HELP = "describe a volume, and what enhance would do with it; of a folder with several series, list them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the volume, and which one where there are several."""
    parser.add_argument("volume", type=Path, metavar="VOLUME", help="a volume file, or a folder or file of DICOM")
    add_selection(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print a table."""
    from ...volumes.intensity import guess_modality
    from ...volumes.label_maps.detection import is_label_map
    from ...volumes.segmentations.files import is_segmentation_file

    selection = selection_of(chosen, chosen.volume)
    if chosen.series is None and chosen.phase is None and _list_series(chosen.volume):
        return 0
    is_segmentation = is_segmentation_file(chosen.volume)
    volume, among = _first_layer(chosen.volume) if is_segmentation else _first_volume(chosen.volume, selection)
    is_labels = is_segmentation or is_label_map(volume)
    guessed = "" if volume.modality else " (guessed from the values)"
    modality = "label map" if is_labels else (volume.modality or guess_modality(volume.array)).upper() + guessed
    thickness = f"{volume.slice_thickness_mm:g} mm" if volume.slice_thickness_mm else "not stated; taken as no gap"
    print(f"{among}size and spacing    {volume.grid.described()}")
    print(f"values              {volume.array.dtype}, {volume.array.min():g} to {volume.array.max():g}")
    print(f"modality            {modality}")
    for note in volume.notes:
        print(on_one_line(f"note                {note}"))
    print(f"through-plane axis  {volume.grid.through_plane_axis}, slice thickness {thickness}")
    _print_plan(volume, is_labels=is_labels)
    return 0


def _first_volume(path: Path, selection: Selection) -> tuple[Volume, str]:
    """The volume, the first of a file with several, and then a line that says so."""
    from ...volumes.io import files, formats

    count = formats.header_of(path).count if path.is_file() and formats.is_volume_file(path) else 1
    among = f"volumes             {count}; the first is described\n" if count > 1 else ""
    return files.read(path, selection, number=0 if count > 1 else None), among


def _first_layer(path: Path) -> tuple[Volume, str]:
    """The labels of a segmentation, the first layer where segments may overlap, and then a line that says so."""
    from ...volumes.label_maps.refinement import check_labels
    from ...volumes.segmentations import files as segmentations

    layers = segmentations.read(path).layers
    for layer in layers:
        check_labels(layer)
    among = f"layers              {len(layers)}, as segments may overlap; the first is described\n"
    return layers[0], among if len(layers) > 1 else ""


def _print_plan(volume: Volume, *, is_labels: bool) -> None:
    """Print what `medsr enhance` would make of a volume, and what it costs."""
    from ...inference.cost import estimate
    from ...inference.planning import plan

    try:
        planned = plan(volume.grid, EnhanceSettings())
    except SuperResolutionError as problem:
        print(f"medsr enhance       {problem}")
        return
    finer = f"{planned.target.described()} ({planned.passes[0].factor:.3g} times finer)"
    print(f"medsr enhance       {finer}{', by the shapes of its labels, without the model' if is_labels else ''}")
    if is_labels:
        return
    cost = estimate(planned, volume.array.dtype.itemsize, EnhanceSettings())
    print(f"output              {cost.output_mb:.0f} MB uncompressed, {cost.memory_gb:.1f} GB of memory")
    threads = f"{cost.threads} CPU thread{'s' if cost.threads != 1 else ''}"
    print(f"time                about {cost.cpu_seconds:.0f} s on {threads}")


def _list_series(path: Path) -> bool:
    """Print the series in a folder, a zipped one or a DICOMDIR if they hold several volumes; whether they do."""
    from ...volumes.dicom.sorter import contents_of, stands_for_folder
    from ..series_table import table_of

    if not stands_for_folder(path):
        return False
    contents = contents_of(path)
    if sum(len(series.parts) for series in contents.series if not series.problem) < 2:
        return False
    print("\n".join(table_of(contents)))
    return True
