"""Segmentations in files: label maps of any format, and .seg.nrrd with the names and colours of its segments."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import VolumeError
from ...progress import Progress, ignore
from ...system.temp_dirs import work_folder
from ..grid import Grid
from ..labels import refine_labels
from ..volume import Volume
from . import files
from .file_validation import silent

SEGMENTATION_SUFFIX = ".seg.nrrd"
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
        """Of all layers."""
        return self.layers[0].grid

    def refined(self, grid: Grid, progress: Progress = ignore, *, image: Volume | None = None) -> Segmentation:
        """The same segments on another grid; see `labels.refine_labels`."""
        return replace(self, layers=tuple(refine_labels(layer, grid, progress, image=image) for layer in self.layers))


def read(path: Path) -> Segmentation:
    """Read a label map, or a .seg.nrrd with all its layers.

    Raises
    ------
    VolumeError
        See `files.read`.
    """
    if not (is_segmentation(path) and path.is_file()):
        return Segmentation((files.read(path),))
    try:
        with silent():
            image = sitk.ReadImage(str(path), imageIO="NrrdImageIO")
    except RuntimeError as problem:
        raise VolumeError(f"{path} cannot be read as a segmentation; it is damaged or of another format") from problem
    if image.GetDimension() != 3:
        raise VolumeError(f"{path} has {image.GetDimension()} dimensions; a segmentation has three")
    grid = files.grid_of(image)
    array = sitk.GetArrayFromImage(image)
    layers = [array] if image.GetNumberOfComponentsPerPixel() == 1 else list(np.moveaxis(array, -1, 0))
    facts = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment")}
    return Segmentation(tuple(Volume(np.ascontiguousarray(layer), grid) for layer in layers), facts)


def check_output(segmentation: Segmentation, path: Path, *, overwrite: bool = False) -> None:
    """Refuse an output that could not be written or could not hold the segments.

    Raises
    ------
    VolumeError
        See `files.check_output`; or the segments overlap and the file is no .seg.nrrd.
    """
    files.check_output(path, overwrite=overwrite)
    if len(segmentation.layers) > 1 and not is_segmentation(path):
        raise VolumeError(f"the segments overlap, which {path.name} cannot hold; end its name in {SEGMENTATION_SUFFIX}")


def write(segmentation: Segmentation, path: Path, *, overwrite: bool = False) -> None:
    """Write a label map, or a .seg.nrrd with names and colours.

    Raises
    ------
    VolumeError
        See `check_output`; or the disk is full.
    """
    check_output(segmentation, path, overwrite=overwrite)
    if not is_segmentation(path):
        files.write(segmentation.layers[0], path, overwrite=overwrite)
        return
    images = [files.to_image(layer) for layer in segmentation.layers]
    image = images[0] if len(images) == 1 else sitk.Compose(images)
    for key, value in _facts_on(segmentation).items():
        image.SetMetaData(key, value)
    try:
        with work_folder(path.parent) as folder, silent():
            sitk.WriteImage(image, str(folder / path.name), useCompression=True)
            _name_the_layers(folder / path.name)
            (folder / path.name).replace(path)
    except (RuntimeError, OSError) as problem:
        raise VolumeError(f"{path} could not be written; free some space or choose another folder") from problem


def is_segmentation(path: Path) -> bool:
    """Whether a file is a segmentation of 3D Slicer, by its name."""
    return path.name.lower().endswith(SEGMENTATION_SUFFIX)


def _facts_on(segmentation: Segmentation) -> dict[str, str]:
    """The entries of the header, with the extent of each segment on the present grid."""
    facts = {key: value for key, value in segmentation.facts.items() if not key.endswith(_OF_THE_OLD_GRID)}
    k, j, i = segmentation.grid.shape_kji
    segments = [key.removesuffix("_ID") for key in facts if key.startswith("Segment") and key.endswith("_ID")]
    facts |= {f"{segment}_Extent": f"0 {i - 1} 0 {j - 1} 0 {k - 1}" for segment in segments}
    return facts | ({"Segmentation_ReferenceImageExtentOffset": "0 0 0"} if segments else {})


def _name_the_layers(path: Path) -> None:
    """Call the first axis of several layers a list, as 3D Slicer does; ITK calls it a vector."""
    content = path.read_bytes()
    head, blank, voxels = content.partition(b"\n\n")
    path.write_bytes(head.replace(b"kinds: vector", b"kinds: list") + blank + voxels)
