"""Detection of label maps, whose values denote structures and must not be interpolated."""

from __future__ import annotations

import re

import numpy as np

from ..memmap import sampled
from ..volume import Volume

_NAMES = re.compile(
    r"(^|[^a-z])(d?seg|segs?|segmentations?|labels?|labelmaps?|masks?|brainmask|aseg|aparc|parc|parcellations?|rois?"
    r"|annotations?|atlas)([^a-z]|$)"
)
_SEGMENT = re.compile(r"Segment\d+_(ID|LabelValue)$")
_MOST_NAMED_LABELS = 512  # of a volume that is named as labels
_MOST_LABELS = 32  # of one that is recognized by its values alone
_FEWEST_VOXELS = 500
_SAME_NEIGHBORS = 0.7  # share of pairs along a row: labels are patches, while images have noise
_SAME_IN_IMAGES = 0.5  # share of pairs beside the background, of an image at most
_FEWEST_PAIRS = 100


def named_like_labels(name: str) -> bool:
    """Whether a file name is that of a segmentation, such as sub-01_dseg.nii.gz or liver_mask.nrrd."""
    return name.lower().endswith(".seg.nrrd") or bool(_NAMES.search(name.lower().split(".")[0]))


def has_segments(fields: dict[str, str]) -> bool:
    """Whether the free fields of a NRRD file are those of a segmentation of 3D Slicer."""
    return any(_SEGMENT.match(key) for key in fields)


def is_label_map(volume: Volume) -> bool:
    """Whether the values of a volume are labels: few whole numbers in patches, or a file that is marked as such.

    A volume whose modality is known is none, nor are floating numbers without the background 0, nor gray values in a
    file that is named like labels, such as t2_roi.nii.gz.
    """
    if volume.modality is not None:
        return False
    if volume.header is not None and volume.header.is_labels:
        return _distinct(volume.array) is not None and not _is_gray(volume)
    if volume.array.size < _FEWEST_VOXELS:
        return False
    values = _distinct(volume.array)
    if values is None or len(values) < 2 or values[0] < 0 or (volume.array.dtype.kind == "f" and values[0] > 0):
        return False
    middle = np.asarray(volume.array[len(volume.array) // 2])
    pairs = middle[:, 1:] == middle[:, :-1]
    if not pairs.size or float(pairs.mean()) < _SAME_NEIGHBORS:
        return False
    return len(values) <= _MOST_LABELS or _denote_structures(middle, values)


def is_image(volume: Volume) -> bool:
    """Whether the values of a volume are clearly those of an image: many, and unlike those of their neighbors.

    What is marked as labels is none.
    """
    return _is_gray(volume) and not (volume.header is not None and volume.header.is_labels)


def _is_gray(volume: Volume) -> bool:
    """Whether the middle slice has many values, most of them unlike their neighbors."""
    middle = np.asarray(volume.array[len(volume.array) // 2])
    found, counts = np.unique(middle, return_counts=True)
    inside = middle != found[counts.argmax()]
    pairs = inside[:, 1:] & inside[:, :-1]
    is_alike = (middle[:, 1:] == middle[:, :-1])[pairs]
    return len(found) > _MOST_LABELS and is_alike.size >= _FEWEST_PAIRS and float(is_alike.mean()) < _SAME_IN_IMAGES


def _denote_structures(plane: np.ndarray, values: np.ndarray) -> bool:
    """Whether many values denote structures: adjacent patches then hold values that are not adjacent in size.

    Gray values of a smooth image change by the next value from patch to patch, along rows and columns.
    """
    found, counts = np.unique(plane, return_counts=True)
    background, steps = found[counts.argmax()], []
    for one, other in ((plane[:, :-1], plane[:, 1:]), (plane[:-1], plane[1:])):
        inside = (one != background) | (other != background)
        differ = inside & (one != other)
        if not differ.any() or (one == other)[inside].mean() < _SAME_NEIGHBORS:
            return False
        change = np.searchsorted(values, one[differ]) - np.searchsorted(values, other[differ])
        steps.append(float(np.median(np.abs(change))))
    return max(steps) > 1


def _distinct(array: np.ndarray) -> np.ndarray | None:
    """The values of an array, ascending, where they are whole and as few as labels; else None."""
    values = np.unique(sampled(array))
    is_whole = array.dtype.kind in "iu" or not np.any(values % 1)
    return values if is_whole and len(values) <= _MOST_NAMED_LABELS else None
