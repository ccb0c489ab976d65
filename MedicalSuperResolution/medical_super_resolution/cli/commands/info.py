"""medsr info."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...errors import SuperResolutionError
from ...settings import EnhanceSettings
from ..settings import add_selection, selection_of

HELP = "describe a volume, and what enhance would do with it; of a folder with several series, list them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the volume, and which one where there are several."""
    parser.add_argument("volume", type=Path, metavar="VOLUME")
    add_selection(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print a table."""
    from ...inference.cost import estimate
    from ...inference.planning import plan
    from ...volumes.intensity import guess_modality
    from ...volumes.io import files, formats
    from ...volumes.label_maps.detection import is_label_map
    from ...volumes.segmentations import files as segmentations
    from ...volumes.segmentations.dicom_seg import is_dicom_segmentation

    selection = selection_of(chosen, chosen.volume)
    if chosen.series is None and chosen.phase is None and _list_series(chosen.volume):
        return 0
    count = 1
    if chosen.volume.is_file() and formats.is_volume_file(chosen.volume):
        count = formats.header_of(chosen.volume).count
    if is_segmentation := is_dicom_segmentation(chosen.volume):
        volume = segmentations.read(chosen.volume).layers[0]
    else:
        volume = files.read(chosen.volume, selection, number=0 if count > 1 else None)
    grid = volume.grid
    if count > 1:
        print(f"volumes             {count}; the first is described")
    is_labels = is_segmentation or is_label_map(volume)
    note = "" if volume.modality else " (guessed from the values)"
    modality = "label map" if is_labels else (volume.modality or guess_modality(volume.array)).upper() + note
    print(f"size and spacing    {grid.described()}")
    print(f"values              {volume.array.dtype}, {volume.array.min():g} to {volume.array.max():g}")
    print(f"modality            {modality}")
    thickness = f"{volume.slice_thickness_mm:g} mm" if volume.slice_thickness_mm else "not stated; taken as no gap"
    for note in volume.notes:
        print(f"note                {note}")
    print(f"through-plane axis  {grid.through_plane_axis}, slice thickness {thickness}")
    try:
        planned = plan(grid, EnhanceSettings())
    except SuperResolutionError as problem:
        print(f"medsr enhance       {problem}")
        return 0
    finer = f"{planned.target.described()} ({planned.passes[0].factor:.3g} times finer)"
    print(f"medsr enhance       {finer}{', by the shapes of its labels, without the model' if is_labels else ''}")
    if is_labels:
        return 0
    cost = estimate(planned, volume.array.dtype.itemsize, EnhanceSettings())
    print(f"output              {cost.output_mb:.0f} MB uncompressed, {cost.memory_gb:.1f} GB of memory")
    print(f"time                about {cost.cpu_seconds:.0f} s on {cost.threads} CPU threads")
    return 0


def _list_series(path: Path) -> bool:
    """Print the series in a folder or a zipped one if they hold several volumes; whether they do."""
    from ...volumes.dicom.sorter import contents_of
    from ..series_table import table_of

    if not (path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")):
        return False
    contents = contents_of(path)
    if sum(len(series.parts) for series in contents.series if not series.problem) < 2:
        return False
    print("\n".join(table_of(contents)))
    return True
