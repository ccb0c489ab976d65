"""Segmentations in files: label maps of any format, .seg.nrrd and DICOM SEG with the names and colors of segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ...progress import Progress, ignore
from ...system.temp_dirs import check_replaceable, folder_lock, put_in_place, work_folder
from ..grid import Grid
from ..io import files, formats, output_files
from ..io.stream import read_volume
from ..label_maps.detection import is_image
from ..label_maps.refinement import refine_labels
from ..label_maps.shapes import REACH
from ..volume import FileHeader, Volume
from .dicom_seg import check_highdicom, is_dicom_segmentation, read_segmentation, write_segmentation

SEGMENTATION_SUFFIX, DICOM_SUFFIX = ".seg.nrrd", ".dcm"
_OF_THE_OLD_GRID = ("ConversionParameters", "ReferenceImageExtentOffset", "_Extent")  # ends of keys


@dataclass(frozen=True)
class Segmentation:
    """Labels that may overlap.

    Parameters
    ----------
    layers
        Label maps on one grid; a voxel has one label in each.
    facts
        The header's entries about segments, such as "Segment0_Name"; empty for formats that have none.
    """

    layers: tuple[Volume, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Grid of all layers."""
        return self.layers[0].grid

    def refined(self, grid: Grid, progress: Progress = ignore, *, image: Volume | None = None) -> Segmentation:
        """The same segments on another grid; see `refinement.refine_labels`."""
        layers = self.layers
        if self.facts and self.grid.overlaps(grid):
            layers = tuple(_with_empty_borders(layer, grid) for layer in layers)
        return replace(self, layers=tuple(refine_labels(layer, grid, progress, image=image) for layer in layers))


def _with_empty_borders(layer: Volume, grid: Grid) -> Volume:
    """A layer with the empty voxels around it that files of segments leave out, as far as a grid goes on there."""
    corners = (np.linalg.inv(layer.grid.ijk_to_ras) @ grid.ijk_to_ras @ grid.corners_ijk)[2::-1]  # in the order k, j, i
    beyond = -0.5 - corners.min(axis=1), corners.max(axis=1) + 0.5 - layer.grid.shape_kji
    before, after = (voxels.round().clip(0, REACH).astype(int) for voxels in beyond)
    array = np.pad(layer.array, np.transpose((before, after)))
    shift = np.eye(4)
    shift[:3, 3] = -before[::-1]
    k, j, i = array.shape
    return replace(
        layer, array=array, grid=replace(layer.grid, shape_kji=(k, j, i), ijk_to_ras=layer.grid.ijk_to_ras @ shift)
    )


def read(path: Path) -> Segmentation:
    """Read a label map, or a .seg.nrrd with all its layers.

    Raises
    ------
    VolumeError
        See `files.read`; or it is an image.
    SettingsError
        It is a DICOM SEG, and highdicom is not installed.
    """
    if is_dicom_segmentation(path):
        return Segmentation(*read_segmentation(path))
    if not (is_segmentation(path) and path.is_file()):
        volume = files.read(path)
        if is_image(volume):
            raise VolumeError(
                f"{path.name} looks like an image, because its neighboring voxels differ; give the segmentation,"
                " or end its name in _seg if it is one"
            )
        return Segmentation((volume,))
    header = formats.header_of(path)
    try:
        arrays = [read_volume(header, number) for number in range(header.count)]
    except formats.DAMAGES as problem:
        raise formats.unreadable(path, problem) from problem
    facts = {key: value for key, value in header.kept.fields.items() if key.startswith("Segment")}
    return Segmentation(tuple(Volume(array, header.grid, notes=header.notes) for array in arrays), facts)


def check_output(
    segmentation: Segmentation, path: Path, *, overwrite: bool = False, images: Sequence[Path] = ()
) -> None:
    """Refuse an output that could not be written or could not hold the segments.

    Parameters
    ----------
    images
        Files of the DICOM series on whose grid the segmentation is to be; only a DICOM SEG (.dcm) needs them.

    Raises
    ------
    VolumeError
        See `output_files.check_output`; the segments overlap and the file is no .seg.nrrd; or a DICOM SEG lacks its
        series.
    SuperResolutionError
        Of a DICOM SEG: highdicom is not installed, or the file exists or is none.
    """
    if path.suffix.lower() == DICOM_SUFFIX:
        check_highdicom()
        if not images:
            raise VolumeError(
                f"{path.name} would be a DICOM segmentation, which names the images of a series; give a folder of DICOM"
                " as the refined volume, or end the output in .seg.nrrd"
            )
        check_replaceable(path, overwrite=overwrite)
        output_files.check_writable(path.parent, path.name)
        return
    output_files.check_output(path, overwrite=overwrite)
    if len(segmentation.layers) > 1 and not is_segmentation(path):
        raise VolumeError(f"the segments overlap, which {path.name} cannot hold; end its name in {SEGMENTATION_SUFFIX}")


def write(
    segmentation: Segmentation,
    path: Path,
    *,
    overwrite: bool = False,
    compress: bool = True,
    images: Sequence[Path] = (),
) -> None:
    """Write a label map, or a .seg.nrrd or a DICOM SEG with names and colors.

    Parameters
    ----------
    compress
        Compress the voxels, where the format allows it; a DICOM SEG decides that itself.

    Raises
    ------
    VolumeError, SuperResolutionError
        See `check_output`; or the disk is full.
    OSError
        The disk is full, of a DICOM SEG.
    """
    check_output(segmentation, path, overwrite=overwrite, images=images)
    if path.suffix.lower() == DICOM_SUFFIX:
        with work_folder(path.parent) as folder:
            write_segmentation(segmentation.layers, segmentation.facts, images, folder / path.name)
            with folder_lock(path.parent):
                check_replaceable(path, overwrite=overwrite)  # another program may have made it in the meantime
                put_in_place(folder / path.name, path)
        return
    layers = segmentation.layers
    if is_segmentation(path):
        kept = FileHeader(segmentation.grid.ijk_to_ras, fields=_facts_on(segmentation))
        layers = tuple(replace(layer, header=kept) for layer in layers)
    files.write_series(layers, path, overwrite=overwrite, compress=compress)


def is_segmentation(path: Path) -> bool:
    """Whether a file is a segmentation of 3D Slicer, by its name."""
    return path.name.lower().endswith(SEGMENTATION_SUFFIX)


def is_segmentation_file(path: Path) -> bool:
    """Whether a path is a file of segments: of 3D Slicer by its name, or a DICOM SEG by its header."""
    return is_segmentation(path) or (not formats.is_volume_file(path) and is_dicom_segmentation(path))


def _facts_on(segmentation: Segmentation) -> dict[str, str]:
    """The entries of the header, with the extent of each segment on the present grid."""
    facts = {key: value for key, value in segmentation.facts.items() if not key.endswith(_OF_THE_OLD_GRID)}
    k, j, i = segmentation.grid.shape_kji
    segments = [key.removesuffix("_ID") for key in facts if key.startswith("Segment") and key.endswith("_ID")]
    facts |= {f"{segment}_Extent": f"0 {i - 1} 0 {j - 1} 0 {k - 1}" for segment in segments}
    return facts | ({"Segmentation_ReferenceImageExtentOffset": "0 0 0"} if segments else {})
