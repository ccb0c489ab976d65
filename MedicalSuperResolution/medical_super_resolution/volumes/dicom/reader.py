"""One volume from the DICOM files of a folder, or a sentence that says why not."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ..grid import LPS_TO_RAS, Grid
from ..io.file_validation import check_size
from ..tilt import covering, windows
from ..volume import Volume
from .frames import Frame
from .header import DicomFile, number, quietly, whole
from .sorter import Contents, Series, contents_of
from .stack import Stack, resampled, stack_of
from .table import described, listed
from .values import FLOATING, has_table, looked_up, padding_of, rescale, stored_bytes, stored_numbers
from .volumes import Part

_MODALITIES = {"CT": "ct", "MR": "mr", "PT": "pet", "US": "us"}
_PADDING_GAP = 0.05  # of the range of all other values: padding lies further away, or else it is background
_LOWEST_HU = -1024.0  # nothing lets X-rays through better than nothing
_INTEGERS = tuple(np.dtype(name) for name in ("int16", "int32", "int64"))


@dataclass(frozen=True)
class Selection:
    """Which volume is wanted where a folder holds several.

    Parameters
    ----------
    series : str or None
        The number of a series, or its SeriesInstanceUID.
    phase : int or None
        Which of the volumes of a series that has several images at each place, from 1.
    """

    series: str | None = None
    phase: int | None = None


_ANY = Selection()


def read_series(path: Path, selection: Selection = _ANY) -> Volume:
    """Read the series in a folder, a zipped folder or a DICOMDIR, or the series that a file belongs to.

    Slices that are tilted, displaced or unevenly spaced are brought onto a straight and even grid; ``notes`` says so.

    Raises
    ------
    VolumeError
        There is no DICOM at ``path``; the folder holds several series or a series several volumes, and none is
        selected; or slices are missing.
    """
    where = f"the DICOM series in {path}"
    series, part, notes = _selected(path, selection)
    with quietly():
        stack = stack_of(part.frames, where)
        held = sum(file.path.stat().st_size for file in {frame.file.path: frame.file for frame in part.frames}.values())
        check_size(where, sum(map(stored_bytes, part.frames)), held)
        array, padding = _values(stack.frames)
    modality = _MODALITIES.get(series.modality)
    padding = padding if padding is not None and _is_far_away(array, padding, modality) else None
    array, padding = _on_even_grid(array, padding, stack, modality)
    grid = Grid(array.shape, LPS_TO_RAS @ stack.ijk_to_lps(), "k")
    said = (*series.notes, *stack.notes, *notes)
    return Volume(array, grid, _thickness_mm(part.frames), modality, padding, notes=said)


def files_of_series(path: Path, selection: Selection = _ANY) -> list[Path]:
    """The files of the volume that `read_series` reads."""
    _, part, _ = _selected(path, selection)
    return sorted({frame.file.path for frame in part.frames})


def _selected(path: Path, selection: Selection) -> tuple[Series, Part, list[str]]:
    contents = contents_of(path)
    series, notes = _series(contents, path, selection)
    if series.problem:
        raise VolumeError(f"the DICOM series in {path} {series.problem}")
    parts = series.parts
    if len(parts) == 1 and selection.phase in (None, 1):
        return series, parts[0], notes
    if selection.phase is None or not 1 <= selection.phase <= len(parts):
        raise VolumeError(
            f"the DICOM series in {path} holds {len(parts)} volume{'s' * (len(parts) > 1)}, as several images at one"
            " place or slices in several directions:"
            f" {listed([f'{place}: {part.label}' for place, part in enumerate(parts, 1)])}; choose one by --phase N"
        )
    part = parts[selection.phase - 1]
    return series, part, [*notes, f"volume {selection.phase} of {len(parts)} of the series was taken: {part.label}"]


def _series(contents: Contents, path: Path, selection: Selection) -> tuple[Series, list[str]]:
    """The one that is selected, or the only one that is a volume; and a sentence about what else there is."""
    notes = [f"what is no image was ignored: {listed(list(contents.ignored))}"] if contents.ignored else []
    series = contents.series
    if selection.series is not None:
        chosen = [one for one in series if selection.series in (one.uid, str(one.number))]
        if len(chosen) == 1:
            return chosen[0], notes
        why = "no series" if not chosen else f"{len(chosen)} series"
        raise VolumeError(
            f"{path} holds {why} with the number or UID {selection.series}:"
            f" {listed([described(one, with_uid=True) for one in series])}; choose one of them by --series N or UID"
        )
    if not series:
        if contents.ignored:
            raise VolumeError(f"{path} holds no DICOM images: {listed(list(contents.ignored))}; name the scan's folder")
        raise VolumeError(f"there is no DICOM series in the folder {path}")
    volumes = [one for one in series if not one.problem]
    if len(series) == 1:
        return series[0], notes
    if len(volumes) == 1:
        others = listed([described(one) for one in series if one is not volumes[0]])
        return volumes[0], [*notes, f"series that are no volumes were ignored: {others}"]
    folder = path if path.is_dir() else path.parent
    raise VolumeError(
        f"the folder {folder} holds {len(series)} series: {listed([described(one) for one in series])};"
        " choose one by --series N, or name any one file of the one you want"
    )


def _values(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of images, each rescaled by its own slope and intercept, and where they were padded.

    Returns
    -------
    tuple
        (K, J, I) of the smallest type that holds them, whole where all are whole; and (K, J, I) bool or None.
    """
    shape = (len(frames), *frames[0].shape_ji)
    stored = np.empty(shape, np.result_type(*{_stored_type(frame.file) for frame in frames}))
    padding, extremes = None, []
    by_file: dict[Path, list[int]] = defaultdict(list)
    for k, frame in enumerate(frames):
        by_file[frame.file.path].append(k)
    for places in by_file.values():
        planes = stored_numbers(frames[places[0]].file, [frames[k] for k in places])
        for k, plane in zip(places, planes, strict=True):
            stored[k] = plane
            extremes.append((k, float(plane.min()), float(plane.max())))
            padded = padding_of(frames[k], plane)
            if padded is not None and padded.any():
                padding = np.zeros(shape, bool) if padding is None else padding
                padding[k] = padded
    extremes.sort()
    return _rescaled(stored, frames, [(low, high) for _, low, high in extremes]), padding


def _stored_type(file: DicomFile) -> np.dtype:
    if file.pixel_tag in FLOATING:
        return np.dtype(FLOATING[file.pixel_tag])
    size = {8: 1, 32: 4}.get(whole(file.header, "BitsAllocated", 16), 2)
    return np.dtype(f"{'i' if whole(file.header, 'PixelRepresentation') == 1 else 'u'}{size}")


def _rescaled(stored: np.ndarray, frames: list[Frame], extremes: list[tuple[float, float]]) -> np.ndarray:
    """Stored numbers as values; in place where their type allows it."""
    if any(map(has_table, frames)):
        return np.stack([looked_up(frame, plane) for frame, plane in zip(frames, stored, strict=True)])
    scales = [rescale(frame) for frame in frames]
    if all(scale == (1, 0) for scale in scales):
        return stored
    ends = [slope * end + intercept for (slope, intercept), pair in zip(scales, extremes, strict=True) for end in pair]
    if stored.dtype.kind == "f" or any(value != int(value) for scale in scales for value in scale):
        values = np.empty(stored.shape, np.float32 if stored.itemsize <= 2 else np.float64)
    else:
        dtype = next(one for one in _INTEGERS if np.iinfo(one).min <= min(ends) and max(ends) <= np.iinfo(one).max)
        values = stored.view(dtype) if dtype.itemsize == stored.itemsize else np.empty(stored.shape, dtype)
    exact = np.float64 if values.dtype.kind == "f" else np.int64 if stored.itemsize > 2 else np.int32
    for plane, target, (slope, intercept) in zip(stored, values, scales, strict=True):
        if exact == np.float64:
            target[:] = plane * slope + intercept
        elif slope == 1:
            target[:] = np.add(plane, exact(intercept), dtype=exact)
        else:
            target[:] = np.multiply(plane, exact(slope), dtype=exact) + exact(intercept)
    return values


def _is_far_away(array: np.ndarray, padding: np.ndarray, modality: str | None) -> bool:
    """Whether values identify padding; otherwise it is treated as background."""
    padded = array[padding]
    low, high, lowest, highest = np.inf, -np.inf, float(padded.min()), float(padded.max())
    for plane, mask in zip(array, padding, strict=True):
        if not mask.all():
            measured = plane[~mask]
            low, high = min(low, float(measured.min())), max(high, float(measured.max()))
    if low > high:
        return False
    if modality == "ct" and highest < _LOWEST_HU:
        return True
    gap = _PADDING_GAP * (high - low)
    return highest < low - gap or lowest > high + gap


def _on_even_grid(
    array: np.ndarray, padding: np.ndarray | None, stack: Stack, modality: str | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Move what is tilted or displaced to its place, then fill the even places along the slices."""
    if stack.shifts_ji is not None:
        lowest = float(array.min()) if padding is None else float(array[padding].min())
        fill = lowest
        if modality == "ct" and padding is None and array.dtype.kind in "if":
            fill = min(lowest, _LOWEST_HU)
        starts, shape, _ = covering(stack.shifts_ji, stack.frames[0].shape_ji)
        array, padding = windows(array, starts, shape, fill, padding)
    if stack.targets is not None:
        nearest = np.abs(stack.places_mm[:, None] - stack.targets).argmin(axis=0)
        padded = None if padding is None else padding[nearest]
        even = resampled(array, stack.places_mm, stack.targets)
        if padded is not None:
            even[padded] = array[padding].min()
        array, padding = even, padded
    return array, padding


def _thickness_mm(frames: list[Frame]) -> float | None:
    """The most frequent value among the slices."""
    said = Counter(frame.thickness_mm for frame in frames if number(frame.header, "SliceThickness"))
    return said.most_common(1)[0][0] if said else None
