"""DICOM segmentations (SEG) through highdicom, with the names, colors and codes of their segments."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import VolumeError, optional
from ...system.identity import __version__
from ..dicom.images.header import UNREADABLE, quietly, text
from ..grid import LPS_TO_RAS, Grid
from ..volume import Volume
from .stacking import state_distance
from .terminology import add_from_tags, codes_in, tags_of

if TYPE_CHECKING:
    from highdicom.color import CIELabColor
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom import Dataset

_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # of bits or fractions, and of label maps
_KJI = [2, 1, 0, 3]  # columns of (i, j, k, 1) in the order of the array
_ANYWHERE = math.inf  # highdicom need not check the places of the slices again
_HALF = 0.5  # of a voxel that belongs to a segment, or of its probability
_SERIES_NUMBER = 9101
_UTF_8 = "ISO_IR 192"  # the source's character set may lack the names of segments, or be none that highdicom knows
_NAME = "MedicalSuperResolution"


def is_dicom_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM SEG, by its header."""
    from pydicom import dcmread
    from pydicom.misc import is_dicom

    if not (path.is_file() and is_dicom(path)):
        return False
    try:
        with quietly():
            header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
            return str(header.get("SOPClassUID", "")) in _STORAGE
    except UNREADABLE:
        return False


def share_frame_of_reference(*paths: Path) -> bool:
    """Whether no two DICOM files name different frames of reference, the systems in which their positions are given."""
    from pydicom import dcmread

    tag = "FrameOfReferenceUID"
    with quietly():
        headers = [dcmread(path, stop_before_pixels=True, force=True, specific_tags=[tag]) for path in paths]
    return len({text(header, tag) for header in headers} - {""}) <= 1


def check_highdicom() -> None:
    """Refuse DICOM segmentations where highdicom is not installed.

    Raises
    ------
    SettingsError
        It is not installed.
    """
    optional("highdicom", "DICOM segmentations", extra="seg", instead="give the segmentation as .seg.nrrd")


def read_segmentation(path: Path) -> tuple[tuple[Volume, ...], dict[str, str]]:
    """The layers of a DICOM SEG, one unless segments overlap, and its segments as header fields of .seg.nrrd.

    Raises
    ------
    VolumeError
        The file is damaged, not made of parallel slices, or a part of a concatenation.
    SettingsError
        highdicom is not installed.
    """
    check_highdicom()
    import highdicom
    from pydicom import dcmread

    try:
        with quietly():
            dataset = dcmread(path)
            _check_whole(dataset, path)
            step = state_distance(dataset)
            found = highdicom.seg.Segmentation.from_dataset(dataset, copy=False)
            layers, place = _layers(found)
            place[:3, 0] = step * np.sign(step @ place[:3, 0])  # tilted slices are not along their normal
            facts = _facts(found, layers)
    except (*UNREADABLE, RuntimeError, sqlite3.Error) as problem:  # highdicom keeps a table of the frames
        raise VolumeError(f"{path} cannot be read as a DICOM segmentation; it is damaged or not a volume") from problem
    grid = Grid((layers[0].shape[0], layers[0].shape[1], layers[0].shape[2]), LPS_TO_RAS @ place[:, _KJI], "k")
    return tuple(Volume(layer, grid) for layer in layers), facts


def _check_whole(dataset: Dataset, path: Path) -> None:
    """Refuse a file with some of the frames of a segmentation."""
    if "ConcatenationUID" in dataset and dataset.get("InConcatenationTotalNumber") != 1:
        number, total = (dataset.get(f"InConcatenation{key}", "?") for key in ("Number", "TotalNumber"))
        raise VolumeError(
            f"{path} holds only some slices of a DICOM segmentation: it is part {number} of {total} of a concatenation;"
            " export the segmentation in one file, or merge its parts first"
        )


def _layers(found: Segmentation) -> tuple[list[np.ndarray], np.ndarray]:
    """Label maps of segment numbers, (K, J, I) uint16 each, and (4, 4) from their indices (k, j, i) to LPS."""
    layers: list[np.ndarray] = []
    groups = found.get("PerFrameFunctionalGroupsSequence", ())
    named = {one.ReferencedSegmentNumber for frame in groups for one in frame.get("SegmentIdentificationSequence", ())}
    if not _numbers_of(found) or not named <= set(found.segment_numbers):
        raise ValueError("no segments, or frames of one that is not described, which would be left out")
    if found.SegmentationType == "LABELMAP":
        return _label_map(found)
    if found.SegmentationType == "BINARY":
        with suppress(RuntimeError):  # they overlap
            return _label_map(found)  # each segment alone takes time for the frames of all
    for number in found.segment_numbers:  # one at a time, because a thousand masks do not fit into memory
        volume = found.get_volume(segment_numbers=[number], atol=_ANYWHERE, perpendicular_tol=_ANYWHERE)
        mask = volume.array[..., 0] >= _HALF
        for layer in layers:
            if not layer[mask].any():
                break
        else:
            layer = np.zeros(mask.shape, np.uint16)
            layers.append(layer)
        layer[mask] = number
    return layers, volume.affine


def _label_map(found: Segmentation) -> tuple[list[np.ndarray], np.ndarray]:
    """The same of segments that do not overlap; highdicom takes numbers above 255 modulo 256 one at a time."""
    volume = found.get_volume(combine_segments=True, dtype=np.uint16, atol=_ANYWHERE, perpendicular_tol=_ANYWHERE)
    described = {0, found.get("PixelPaddingValue", 0), *found.segment_numbers}
    if not set(np.unique(volume.array)) <= described:
        raise ValueError("voxels of a segment that is not described, which would be left out")
    volume.array[~np.isin(volume.array, _numbers_of(found))] = 0
    return [volume.array], volume.affine


def _numbers_of(found: Segmentation) -> list[int]:
    """The numbers of the segments; of a label map, the background can be described as one."""
    from pydicom.sr.codedict import codes

    if found.SegmentationType != "LABELMAP":
        return found.segment_numbers
    background = found.get_segment_numbers(segmented_property_type=codes.DCM.Background)
    return [number for number in found.segment_numbers if number and number not in background]


def _facts(found: Segmentation, layers: list[np.ndarray]) -> dict[str, str]:
    """Fields of a .seg.nrrd header for all segments."""
    layer_of = {int(value): number for number, layer in enumerate(layers) for value in np.unique(layer) if value}
    facts: dict[str, str] = {}
    for place, number in enumerate(_numbers_of(found)):  # 3D Slicer reads no further than the first gap
        segment = found.get_segment_description(number)
        facts |= _facts_of(f"Segment{place}", segment, layer_of.get(number, 0))
        color = _color_in(found, segment)
        if color is not None:
            facts[f"Segment{place}_Color"] = " ".join(f"{value:.4g}" for value in color)
    return facts


def _color_in(found: Segmentation, segment: SegmentDescription) -> np.ndarray | None:
    """Red, green and blue of a segment, 0 to 1 each: its own, or those of its number in the palette of a label map."""
    color = segment.get("RecommendedDisplayCIELabValue")
    if color is not None:
        from highdicom.color import CIELabColor

        return np.array(CIELabColor.from_dicom_value(tuple(color)).to_rgb()) / 255
    if "RedPaletteColorLookupTableDescriptor" not in found:
        return None
    from pydicom.pixels.processing import apply_color_lut

    bits = found.RedPaletteColorLookupTableDescriptor[2]
    red_green_blue: np.ndarray = apply_color_lut(np.array([segment.segment_number], np.uint16), found)[0]
    return red_green_blue / (2**bits - 1)


def _facts_of(key: str, segment: SegmentDescription, layer: int) -> dict[str, str]:
    number = segment.segment_number
    return {
        f"{key}_ID": f"Segment_{number}",
        f"{key}_Name": str(segment.segment_label),
        f"{key}_LabelValue": str(number),
        f"{key}_Layer": str(layer),
        f"{key}_Extent": "",
        f"{key}_Tags": tags_of(segment),
    }


def write_segmentation(layers: Sequence[Volume], facts: dict[str, str], images: Sequence[Path], path: Path) -> None:
    """Write a DICOM SEG of the study that some images belong to; slices without a label are left out.

    Parameters
    ----------
    layers
        Label maps on one grid.
    facts
        Entries of a .seg.nrrd header: names and colors by the labels' values.
    images
        Files of the series that was segmented, of the same frame of reference.

    Raises
    ------
    VolumeError
        The series lacks what a segmentation must name.
    OSError
        The disk is full, or an image is gone.
    """
    import highdicom
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    drawn = {(int(value), place) for place, layer in enumerate(layers) for value in np.unique(layer.array) if value}
    if not drawn:
        raise VolumeError("the segmentation holds no label; a DICOM segmentation needs at least one")
    # in this order, and with those that are empty, the segments of a DICOM SEG keep their numbers
    values = [(place, value) for value, place in sorted(drawn | _named(facts, len(layers)))]
    segments = [_description(number, *value, facts) for number, value in enumerate(values, start=1)]
    try:
        with quietly():
            headers = [dcmread(image, stop_before_pixels=True) for image in images]
            made = highdicom.seg.Segmentation(
                source_images=headers,
                pixel_array=_volume_of(layers, values, headers[0].FrameOfReferenceUID),
                segmentation_type="BINARY",
                segment_descriptions=segments,
                series_instance_uid=generate_uid(prefix=None),
                series_number=_SERIES_NUMBER,
                sop_instance_uid=generate_uid(prefix=None),
                instance_number=1,
                manufacturer=f"{_NAME} project",
                manufacturer_model_name=_NAME,
                software_versions=__version__,
                device_serial_number="0",
                series_description="Segmentation on the refined grid",
                specific_character_set=_UTF_8,
            )
            made.save_as(path)
    except OSError:  # a full disk, or a file that is gone, is no fault of the headers
        raise
    except UNREADABLE as problem:
        raise VolumeError(
            f"the series in {images[0].parent} lacks what a DICOM segmentation must name; end the output in .seg.nrrd"
        ) from problem


def _volume_of(layers: Sequence[Volume], values: Sequence[tuple[int, int]], frame_of_reference: str) -> Any:  # noqa: ANN401
    """The segments as highdicom takes them: numbered in one volume, or stacked where they may overlap."""
    import highdicom

    one_layer = len(layers) == 1
    return highdicom.Volume(
        _numbered(layers[0], values) if one_layer else _stacked(layers, values),
        layers[0].grid.ijk_to_lps[:, _KJI],
        "PATIENT",
        frame_of_reference_uid=frame_of_reference,
        channels=None if one_layer else {"SegmentNumber": list(range(1, len(values) + 1))},
    )


def _named(facts: dict[str, str], layers: int) -> set[tuple[int, int]]:
    """Value and layer of each segment in the entries of a .seg.nrrd header, which can be empty."""
    texts = _keys_by_value(facts)
    named = {(int(value), int(layer)) for value, layer in texts if value.isdecimal() and layer.isdecimal()}
    return {(value, layer) for value, layer in named if value and layer < layers}


def _keys_by_value(facts: dict[str, str]) -> dict[tuple[str, str], str]:
    """The key, such as Segment0, of each value and layer; where several have the same, the first."""
    keys = [name.removesuffix("_LabelValue") for name in facts if name.endswith("_LabelValue")]
    return {(facts[f"{key}_LabelValue"], facts.get(f"{key}_Layer", "0")): key for key in reversed(keys)}


def _numbered(layer: Volume, values: Sequence[tuple[int, int]]) -> np.ndarray:
    """(K, J, I) uint16, the number of the segment in place of each label."""
    numbers = {value: number for number, (_, value) in enumerate(values, start=1)}
    found = np.unique(layer.array)
    numbered: np.ndarray = np.array([numbers.get(int(value), 0) for value in found], np.uint16)
    return numbered[np.searchsorted(found, layer.array)]


def _stacked(layers: Sequence[Volume], values: Sequence[tuple[int, int]]) -> np.ndarray:
    """(K, J, I, segments) uint8 masks."""
    masks = np.zeros((*layers[0].grid.shape_kji, len(values)), np.uint8)
    for number, (place, value) in enumerate(values):
        masks[..., number] = layers[place].array == value
    return masks


def _color_of(text: str) -> CIELabColor | None:
    """A color from its red, green and blue in a .seg.nrrd header, each 0 to 1; None where that is none."""
    from highdicom.color import CIELabColor

    try:
        red, green, blue = (round(float(part) * 255) for part in text.split())
        return CIELabColor.from_rgb(red, green, blue)
    except (ValueError, OverflowError):
        return None


def _description(number: int, place: int, value: int, facts: dict[str, str]) -> SegmentDescription:
    """The segment of a label in one of the layers, each of which may count its labels from 1."""
    from highdicom.seg import SegmentDescription

    key = _keys_by_value(facts).get((str(value), str(place)), "")
    name = facts.get(f"{key}_Name", "").replace("\\", "/")
    tags = facts.get(f"{key}_Tags", "")
    category, kind = codes_in(tags)
    made = SegmentDescription(
        segment_number=number,
        segment_label=name[:64] or f"label {value}",  # a backslash would make it several names
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="MANUAL",
        display_color=_color_of(facts.get(f"{key}_Color", "")),
    )
    add_from_tags(made, tags)
    return made
