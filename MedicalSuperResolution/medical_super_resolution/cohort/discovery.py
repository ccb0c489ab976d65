"""The volumes and series in a folder, and the names of their results."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from ..errors import VolumeError
from ..system.paths import is_folder
from ..volumes.dicom.derived.headers import storage_class_of
from ..volumes.dicom.images.header import quietly
from ..volumes.dicom.reader import ALL_PHASES, Selection
from ..volumes.dicom.sorter import Contents, LeavesOut, Series, contents_of, searched
from ..volumes.io import formats

STATE = "medsr-cohort"  # folder of records and thumbnails in the output folder of a cohort
_ENTITIES_BEFORE = ("sub", "ses", "sample", "task", "tracksys", "acq", "ce", "trc", "stain")  # in the order of BIDS
_FIELD_MAPS = ("phasediff", "phase1", "phase2", "fieldmap", "magnitude", "magnitude1", "magnitude2")  # have no rec
_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """One volume to enhance.

    Parameters
    ----------
    source : Path
        A volume file, or the folder of a DICOM series.
    name : str
        Name of the result, relative to the output folder: a file, or a folder for a DICOM series.
    selection : Selection or None
        Which series of the folder.
    problem : str
        Why it cannot be enhanced; empty if it can.
    files : tuple of Path
        The files of a DICOM series; empty for a volume file.
    """

    source: Path
    name: str
    selection: Selection | None = None
    problem: str = ""
    files: tuple[Path, ...] = ()


def items_in(folder: Path, output: Path | None = None) -> list[Item]:
    """The volume files and DICOM series in a folder and below it, in the order of their names.

    Parameters
    ----------
    folder : Path
        Folder to search; hidden folders, and those below that hold the results of a cohort, are left out.
    output : Path or None
        A folder below that is or will be one of results, resolved.
    """
    of_cohorts: set[Path] = set()

    def holds_results(path: Path) -> bool:
        if path.resolve() == output:
            return True
        if not is_folder(path / STATE):
            return False
        if path not in of_cohorts:  # the folders are searched twice where there may be DICOM
            of_cohorts.add(path)
            logger.warning("%s is left out: it holds the results of a cohort (%s)", path, STATE)
        return True

    found: list[Item] = []
    has_others = False
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = searched(here, folders, holds_results)
        for name in sorted(names):
            path = here / name
            if name.startswith("."):
                continue
            if formats.is_volume_file(path):
                found += _item_of_file(path, folder)
            elif path.suffix.lower() in ("", ".dcm", ".ima", ".img", ".dicom") or path.stem.isdigit():
                has_others = True
    return _with_unique_names(found + (_series_in(folder, found, holds_results) if has_others else []))


def _with_unique_names(items: list[Item]) -> list[Item]:
    """The items with unique names: of scan.mgz and Scan.nii.gz, the later one is named after its whole source.

    Upper and lower case are the same, as on the disks of Windows and macOS: there, one result would replace the other.
    """
    taken: set[str] = set()
    named = []
    for item in items:
        name = next(name for name in _names_for(item) if name.casefold() not in taken)
        taken.add(name.casefold())
        named.append(replace(item, name=name))
    return named


def _names_for(item: Item) -> Iterator[str]:
    """The names that an item may get, the preferred ones first."""
    yield item.name
    path = Path(item.name)
    stem, suffix = item.source.name.replace(".", "_"), formats.suffix_of(path) or ""
    yield str(path.with_name(stem + suffix))
    yield from (str(path.with_name(f"{stem}_{number}{suffix}")) for number in count(2))


def _item_of_file(path: Path, folder: Path) -> list[Item]:
    suffix, stem = formats.readable_suffix_of(path) or "", formats.stem_of(path).name
    if suffix.startswith(".img") and any(formats.stem_of(path, other).is_file() for other in (".hdr", ".hdr.gz")):
        return []  # an image of a pair
    ending = suffix if suffix in formats.SUFFIXES else ".nii.gz"
    if path.name.lower().endswith(".seg.nrrd"):
        stem, ending = stem[: -len(".seg")], ".seg.nrrd"
    return [Item(path, str(path.parent.relative_to(folder) / (result_stem(stem) + ending)))]


def result_stem(stem: str) -> str:
    """The name of a result: of BIDS with the entity ``rec-medsr`` at its place, other names as they are.

    Field maps get ``desc-medsr``, as BIDS knows no reconstructions of them.
    """
    parts = stem.split("_")
    if not parts[0].startswith("sub-") or len(parts) < 2:
        return stem
    entity = "desc-" if parts[-1] in _FIELD_MAPS else "rec-"
    for number, part in enumerate(parts):
        if part.startswith(entity):
            return "_".join([*parts[:number], part + "medsr", *parts[number + 1 :]])
    if entity == "desc-":  # the last of all
        place = len(parts) - 1
    else:
        place = sum(part.partition("-")[0] in _ENTITIES_BEFORE and "-" in part for part in parts)
    return "_".join([*parts[:place], f"{entity}medsr", *parts[place:]])


def _series_in(folder: Path, files: list[Item], leave_out: LeavesOut) -> list[Item]:
    """The series below a folder; where others or volume files lie in or below the folder of one, it gets one in it."""
    contents = contents_of(folder, pass_over_damaged=True, leave_out=leave_out)
    homes = [_home(series, folder) for series in contents.series]
    occupied = Counter(place for path in (*homes, *(file.source for file in files)) for place in (path, *path.parents))
    names: Counter[str] = Counter()  # in lower case, as in `_with_unique_names`
    items = _unreadable(contents, homes, folder)
    for series, home in zip(contents.series, homes, strict=True):
        is_alone = home != folder and occupied[home] == 1
        name = str(home.relative_to(folder) / ("" if is_alone else _label(series)))
        names[name.casefold()] += 1
        number = names[name.casefold()]
        items += _items_of_series(series, home, name if number == 1 else f"{name}_{number}")
    return items


def _items_of_series(series: Series, home: Path, name: str) -> list[Item]:
    """One item, or one for each volume where a series that can be derived holds several."""
    count = len(series.parts)
    whole = Item(home, name, Selection(series.uid), series.problem, tuple(_files_of(series)))
    if series.problem:
        return [whole]
    if not _is_derivable(series):
        return [
            replace(whole, name=f"{name}.nii.gz", selection=Selection(series.uid, ALL_PHASES if count > 1 else None))
        ]
    if count == 1:
        return [whole]
    return [
        replace(whole, name=f"{name}_{place}", selection=Selection(series.uid, place)) for place in range(1, count + 1)
    ]


def _unreadable(contents: Contents, homes: list[Path], folder: Path) -> list[Item]:
    """Folders with damaged files and no series; a series beside or above such a file fails when it is read."""
    problems = {path.parent: problem for path, problem in reversed(contents.damaged)}
    return [
        Item(place, str(place.relative_to(folder)), problem=_sentence(problem))
        for place, problem in problems.items()
        if not any(place.is_relative_to(home) for home in homes)
    ]


def _sentence(problem: VolumeError | OSError) -> str:
    return f"{problem.filename} cannot be read: {problem.strerror}" if isinstance(problem, OSError) else str(problem)


def _is_derivable(series: Series) -> bool:
    """Whether a DICOM series can be derived from a series: not from multi-frame files and mosaics."""
    try:
        with quietly():
            storage_class_of([series.parts[0].frames[0].file.path])
    except VolumeError:
        return False
    return True


def _home(series: Series, folder: Path) -> Path:
    """The folder that holds all files of a series."""
    parents = {path.parent for path in _files_of(series)}
    return Path(os.path.commonpath(parents)) if parents else folder


def _files_of(series: Series) -> list[Path]:
    return sorted({frame.file.path for part in series.parts for frame in part.frames})


def _label(series: Series) -> str:
    words = [str(series.number) if series.number is not None else "", series.description or series.modality]
    return _NOT_IN_A_NAME.sub("_", "_".join(word for word in words if word)).strip("._") or "series"
