"""Reads one volume from the DICOM files of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ...settings import MODALITY_OF_DICOM
from ..grid import LPS_TO_RAS, Grid
from ..intensity import in_type
from ..io.formats import is_series
from ..io.header import check_size
from ..volume import FileHeader, MeasuredSlices, Volume
from ..windows import continued, covering, windows
from .images.frames import Frame
from .images.header import quietly, text
from .images.stored import stored_bytes
from .images.values import about_phase, about_rescaling, is_in_hounsfield_units
from .places import resampled
from .sorter import Contents, Series, contents_of
from .stack import Stack, stack_of
from .times import series_times
from .volumes import Part
from .voxels import LOWEST_HU, is_far_away, voxels_of

ALL_PHASES = "all"
_MOST_LISTED = 8
_SAME_IN_SESSION = {"PatientID": "patients", "FrameOfReferenceUID": "frames of reference"}


@dataclass(frozen=True)
class Selection:
    """Selects a volume of a folder that holds several.

    Parameters
    ----------
    series : str or None
        The number of a series, or its SeriesInstanceUID.
    phase : int, str or None
        Which of the volumes of a series that has several images at each place, from 1; or `ALL_PHASES`.
    """

    series: str | None = None
    phase: int | str | None = None


_ANY = Selection()


def read_series(path: Path, selection: Selection) -> Volume:
    """Read the series in a folder, a zipped folder or a DICOMDIR, or the series that a file belongs to.

    Slices that are tilted, displaced or unevenly spaced are brought onto a straight and even grid; see ``notes``.

    Raises
    ------
    VolumeError
        There is no DICOM at ``path``; the folder holds several series or a series several volumes, and none is
        selected; or slices are missing.
    """
    series, parts, notes = _selected(path, selection)
    if len(parts) > 1:
        raise VolumeError(f"the DICOM series in {path} holds {_named(parts)}; choose one by --phase N")
    return _volume_of(path, series, parts[0], notes)


def read_all_phases(path: Path, selection: Selection) -> tuple[int, Iterator[Volume]]:
    """The number of volumes in a series, and an iterator that reads them one by one; see `read_series`."""
    series, parts, notes = _selected(path, selection)
    note = [f"the series holds {_named(parts)}"] if len(parts) > 1 else []
    with quietly():
        times = series_times([part.frames for part in parts])
    volumes = (_volume_of(path, series, part, [*notes, *note]) for part in parts)
    return len(parts), (replace(one, header=FileHeader(one.grid.ijk_to_ras, series_axis=times)) for one in volumes)


def _named(parts: list[Part]) -> str:
    """Several volumes of a series in words."""
    labels = _listed([f"{place}: {part.label}" for place, part in enumerate(parts, 1)])
    return f"{len(parts)} volumes, as several images at one place or slices in several directions: {labels}"


def _volume_of(path: Path, series: Series, part: Part, notes: list[str]) -> Volume:
    where = f"the DICOM series in {path}"
    with quietly():
        stack = stack_of(part.frames, where)
        held = sum(path.stat().st_size for path in {frame.file.path for frame in part.frames})
        check_size(where, sum(map(stored_bytes, part.frames)), held)
        array, padding = voxels_of(stack.frames)
        thickness_mm = _thickness_mm(part.frames)
        modality = MODALITY_OF_DICOM.get(series.modality)
        if modality == "ct" and not is_in_hounsfield_units(part.frames[0]):
            modality = None
        padding = padding if padding is not None and is_far_away(array, padding, modality) else None
        array, padding = _straightened(array, padding, stack, modality)
        measured = None
        if stack.targets is not None:
            thickness = _relative_thickness(stack.frames, thickness_mm)
            measured = MeasuredSlices(array, stack.places_mm / stack.spacing_mm, thickness, padding)
            array, padding = _evenly_spaced(measured, stack)
    return Volume(
        array,
        Grid(array.shape, LPS_TO_RAS @ stack.ijk_to_lps(), "k"),
        thickness_mm,
        modality,
        padding,
        sheared_grid=_tilted_grid(stack, len(array)),
        measured=measured,
        notes=(
            *series.notes,
            *_about_modality(series.modality),
            *stack.notes,
            *about_rescaling(stack.frames),
            *about_phase(stack.frames[0]),
            *notes,
        ),
    )


def _about_modality(name: str) -> list[str]:
    """A note about a modality of DICOM that settings do not know, and so no model either."""
    if not name or name in MODALITY_OF_DICOM:
        return []
    return [f"the series has the modality {name}, which is neither CT nor MR; look at the result with care"]


def files_of_series(path: Path, selection: Selection = _ANY) -> list[Path]:
    """The files of the volume that `read_series` reads."""
    _, parts, _ = _selected(path, selection)
    return sorted({frame.file.path for part in parts for frame in part.frames})


def _selected(path: Path, selection: Selection) -> tuple[Series, list[Part], list[str]]:
    """The series that is meant, the volumes of it that are meant, and sentences about the others."""
    contents = contents_of(path)
    series, notes = _series(contents, path, selection)
    if series.problem:
        raise VolumeError(f"the DICOM series in {path} {series.problem}")
    parts, phase = list(series.parts), selection.phase
    if phase == ALL_PHASES or (len(parts) == 1 and phase in (None, 1)):
        return series, parts, notes
    if not isinstance(phase, int) or not 1 <= phase <= len(parts):
        held = _named(parts) if len(parts) > 1 else "1 volume"
        raise VolumeError(
            f"the DICOM series in {path} holds {held}; `medsr enhance` takes one of them by --phase N, or all"
            " by --phase all"
        )
    part = parts[phase - 1]
    return series, [part], [*notes, f"volume {phase} of {len(parts)} of the series was taken: {part.label}"]


def _series(contents: Contents, path: Path, selection: Selection) -> tuple[Series, list[str]]:
    """The one that is selected, or the only one that is a volume; and a sentence about what else there is."""
    kinds = Counter(one.kind or one.name for one in contents.ignored)
    listed = _listed([kind if count == 1 else f"{count} times {kind}" for kind, count in kinds.items()])
    notes = [f"files that add no image were ignored: {listed}"] if kinds else []
    series = contents.series
    if selection.series is not None:
        chosen = [one for one in series if selection.series in (one.uid, str(one.number))]
        if len(chosen) == 1:
            return chosen[0], notes
        why = "no series" if not chosen else f"{len(chosen)} series"
        listed = _listed([one.described(with_uid=True) for one in chosen or series])
        raise VolumeError(
            f"{path} holds {why} with the number or UID {selection.series}: {listed};"
            " choose one of them by --series N or UID"
        )
    if not series:
        if contents.ignored:
            ignored = _listed(list(map(str, contents.ignored)))
            labels = "; `medsr labels` takes a segmentation by its file" if "Segmentation Storage" in ignored else ""
            raise VolumeError(f"{path} holds no DICOM images: {ignored}; name the scan's folder{labels}")
        raise VolumeError(f"there is no DICOM series in the folder {path}; name another, or a volume file")
    volumes = [one for one in series if not one.problem]
    if len(series) == 1:
        return series[0], notes
    if len(volumes) == 1:
        others = _listed([one.described(with_file=False) for one in series if one is not volumes[0]])
        return volumes[0], [*notes, f"series that are no volumes were ignored: {others}"]
    folder = path if path.is_dir() else path.parent
    raise VolumeError(
        f"the folder {folder} holds {len(series)} series: {_listed([one.described() for one in series])};"
        " choose one by --series N, or name any one file of the one you want"
    )


def _listed(items: list[str]) -> str:
    """Some items in one sentence, the first of them if they are many."""
    more = f"; and {len(items) - _MOST_LISTED} more" if len(items) > _MOST_LISTED else ""
    return "; ".join(items[:_MOST_LISTED]) + more


def _straightened(
    array: np.ndarray, padding: np.ndarray | None, stack: Stack, modality: str | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Move what is tilted or displaced to its place in the plane."""
    if stack.shifts_ji is not None:
        fill = float(array.min()) if padding is None else float(array[padding].min())
        if modality == "ct" and padding is None and array.dtype.kind in "if":
            fill = min(fill, float(in_type(np.array(LOWEST_HU), array.dtype)))
        starts, shape, _ = covering(stack.shifts_ji, stack.frames[0].shape_ji)
        array, padding = windows(array, starts, shape, fill, padding)
    return array, padding


def _evenly_spaced(slices: MeasuredSlices, stack: Stack) -> tuple[np.ndarray, np.ndarray | None]:
    """The volume for the network: slices interpolated along k to regular positions, and its padding."""
    assert stack.targets is not None  # the slices are uneven
    if slices.padding is None:
        return resampled(slices.array, stack.places_mm, stack.targets), None
    rows = zip(*(np.moveaxis(one, 1, 0) for one in (slices.array, slices.padding)), strict=True)
    known = np.stack([continued(row, padded) for row, padded in rows], axis=1)  # nothing is blended with padding
    even = resampled(known, stack.places_mm, stack.targets)
    padding = slices.padding[np.abs(stack.places_mm[:, None] - stack.targets).argmin(axis=0)]
    even[padding] = slices.array[slices.padding].min()
    return even, padding


def _relative_thickness(frames: list[Frame], usual_mm: float | None) -> np.ndarray:
    """(N,) slice thickness of each image over the usual one; 1 where it is not known."""
    return np.array([(frame.thickness_mm or usual_mm) / usual_mm if usual_mm else 1.0 for frame in frames])


def _tilted_grid(stack: Stack, count: int) -> Grid | None:
    """The grid on which tilted slices lie; None where they are not tilted."""
    matrix = stack.tilted_ijk_to_lps()
    rows, columns = stack.frames[0].shape_ji
    return None if matrix is None else Grid((count, rows, columns), LPS_TO_RAS @ matrix, "k")


def _thickness_mm(frames: list[Frame]) -> float | None:
    """The most frequent value among the slices."""
    thicknesses = Counter(found for frame in frames if (found := frame.thickness_mm) is not None)
    return thicknesses.most_common(1)[0][0] if thicknesses else None


def check_one_session(paths: Sequence[Path], *, is_forced: bool) -> None:
    """Refuse series of different patients or frames of reference; volume files name neither and are not checked.

    Parameters
    ----------
    is_forced
        Refuse only what cannot be the source of one DICOM series: different patients.

    Raises
    ------
    VolumeError
        Two series differ.
    """
    import pydicom

    first = [files_of_series(path)[0] for path in paths if is_series(path)]
    with quietly():
        headers = [
            pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(_SAME_IN_SESSION))
            for file in first
        ]
    instead = "fuse stacks of one session, or add --force-frame if they are"
    if is_forced:
        instead = "a DICOM series is of one patient: end OUTPUT in .nii.gz"
    for tag, what in _SAME_IN_SESSION.items():
        found = {text(header, tag) for header in headers} - {""}
        if len(found) > 1 and (tag == "PatientID" or not is_forced):
            raise VolumeError(f"the series are of different {what}; {instead}")
