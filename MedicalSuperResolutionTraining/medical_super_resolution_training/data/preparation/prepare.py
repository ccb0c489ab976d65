"""Preparation of a dataset: scans are found, checked, cleaned, assigned to a split, and written as arrays."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.progress import Progress, ignore
from medical_super_resolution.system.checksum import digest_of
from medical_super_resolution.system.temp_dirs import folder_lock, put_in_place, work_folder
from medical_super_resolution.system.texts import on_one_line
from medical_super_resolution.volumes.intensity import guess_modality
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.label_maps.detection import is_label_map, named_like_labels
from medical_super_resolution.volumes.volume import Volume

from ..manifest import Entry, write_manifest
from .cleaning import Cleaning, cleaned
from .layouts import Scan, scans_of
from .splitting import shares_from, split_by_patient

_FEWEST_VOXELS = 4  # along each axis
_SPACING_MM = (0.02, 25.0)  # what a scanner of people makes
_THICKNESS = (0.2, 4.0)  # over the distance of the slices: wide gaps to strong overlap


@dataclass(frozen=True)
class Preparation:
    """Settings of the preparation of a dataset.

    Parameters
    ----------
    layout, modality
        See `layouts.scans_of`.
    split
        Shares of patients to train, validate and test with.
    patient_pattern
        Regular expression; what it finds in the path of a scan below the dataset, or its first group, is the
        patient.
    thickest_mm
        Slices farther apart are refused.
    """

    layout: str = "volumes"
    modality: str = ""
    split: str = "70/20/10"
    patient_pattern: str = ""
    thickest_mm: float | None = None
    cleaning: Cleaning = field(default_factory=Cleaning)


def prepare(
    dataset: Path,
    manifest: Path,
    settings: Preparation | None = None,
    *,
    log: Callable[[str], object] = lambda line: None,
    progress: Progress = ignore,
) -> list[Entry]:
    """Write the manifest of a dataset, and the values of its scans as array files in a folder beside it.

    What cannot be used is left out; the manifest lists it with the reason, and ``log`` gets a line.

    Raises
    ------
    SettingsError
        The settings are contradictory, or the manifest lies in the folder of a run that is under way.
    VolumeError
        The dataset has no scans of the layout, or none that can be used.
    """
    settings = settings or Preparation()
    if manifest.suffix != ".json":
        raise SettingsError(
            f"{manifest} does not end in .json; change its name, of which the rest names a folder of arrays"
        )
    shares, pattern = shares_from(settings.split), _compiled(settings.patient_pattern)
    arrays = manifest.with_suffix("")
    if arrays.resolve() == dataset.resolve():
        raise SettingsError(f"{manifest} would put its arrays among the scans in {dataset}; give it another name")
    with folder_lock(manifest.parent) as is_free:  # only looked at: others may be prepared in the same folder
        if not is_free:
            raise SettingsError(
                f"a training is under way in {manifest.parent}, whose volumes would be replaced; choose another folder"
            )
    license_of = _licenses(dataset)
    entries: list[Entry] = []
    refused: list[dict[str, str]] = []
    first_of: dict[str, str] = {}
    scans = scans_of(dataset, settings.layout, settings.modality)
    if pattern and not any(pattern.search(scan.source) for scan in scans):
        raise SettingsError(
            f"the pattern {settings.patient_pattern!r} finds no patient in any path; the first is {scans[0].source}"
        )
    for number, scan in enumerate(scans):
        progress(number, len(scans))
        try:
            entry = _prepared(scan, arrays / f"{scan.source}.npy", settings)
            _check_new(entry, first_of)
        except VolumeError as problem:
            why = str(problem).replace(f"{dataset}/", "")
            refused.append({"source": scan.source, "why": why})
            log(on_one_line(f"refused {scan.source}: {why}"))
            continue
        entries.append(replace(entry, licence=license_of(scan.source), patient=_patient(scan, pattern)))
    progress(len(scans), len(scans))
    if not entries:
        raise VolumeError(f"none of the {len(refused)} scans can be used; the first: {refused[0]['why']}")
    splits = split_by_patient((entry.patient for entry in entries), shares)
    entries = [replace(entry, split=splits[entry.patient]) for entry in entries]
    write_manifest(entries, manifest, refused)
    return entries


def _prepared(scan: Scan, file: Path, settings: Preparation) -> Entry:
    """Read, check and clean a scan, and write its array file."""
    if scan.missing:
        raise VolumeError(scan.missing)
    volume = files.read(scan.path)
    if is_label_map(volume) and (not scan.modality or named_like_labels(scan.path.name)):
        raise VolumeError("it is a label map; if it is a scan, state its modality, and name it otherwise than labels")
    modality = volume.modality or scan.modality or guess_modality(volume.array)
    if scan.modality and modality != scan.modality:
        raise VolumeError(f"{scan.path} is {modality.upper()} and not {scan.modality.upper()}; it was left out")
    check(volume, settings.thickest_mm)
    array, measured = cleaned(volume.array, modality, settings.cleaning)
    file.parent.mkdir(parents=True, exist_ok=True)
    with work_folder(file.parent) as folder:
        with (folder / file.name).open("w+b") as opened:  # in "wb", numpy hides why a full disk takes no more
            np.save(opened, array)
        put_in_place(folder / file.name, file)
    i, j, k = volume.grid.spacing_ijk_mm
    return Entry(scan.source, str(file.resolve()), modality, (k, j, i), measured.low, measured.high)


def _check_new(entry: Entry, first_of: dict[str, str]) -> None:
    """Refuse a copy, which could be validated on under another name; ``first_of`` gives the scan of a checksum."""
    first = first_of.setdefault(digest_of(Path(entry.array)), entry.source)
    if first != entry.source:
        Path(entry.array).unlink()
        raise VolumeError(f"it has the same values as {first}; a copy could be trained and validated on at once")


def check(volume: Volume, thickest_mm: float | None = None) -> None:
    """Refuse a scan that cannot be trained on; that its values are finite was seen when it was read.

    Raises
    ------
    VolumeError
        Few voxels, a damaged spacing or thickness, axes that are not at right angles, slices that were interpolated,
        one value everywhere.
    """
    grid = volume.grid
    if min(grid.shape_kji) < _FEWEST_VOXELS:
        raise VolumeError(
            f"its grid is {grid.described()}; at least {_FEWEST_VOXELS} voxels along each axis are needed"
        )
    lowest, highest = _SPACING_MM
    if not all(lowest <= spacing <= highest for spacing in grid.spacing_ijk_mm):
        raise VolumeError(f"its grid is {grid.described()}; such a spacing is damaged, or no scan of a person")
    if grid.is_sheared:
        raise VolumeError("its axes are not at right angles (a scan with tilted gantry?); resample it first")
    distance, thickness = grid.through_plane_spacing_mm, volume.slice_thickness_mm
    if thickest_mm is not None and distance > thickest_mm:
        raise VolumeError(f"its slices lie {distance:g} mm apart; at most {thickest_mm:g} mm are wanted")
    thinnest, thickest = _THICKNESS
    if thickness is not None and not thinnest <= thickness / distance <= thickest:
        raise VolumeError(
            f"its slices are {thickness:g} mm thick and lie {distance:g} mm apart; one of both is damaged"
        )
    if volume.measured is not None:
        raise VolumeError("slices are missing or unevenly spaced; what was interpolated there is no truth to train on")
    if volume.array.min() == volume.array.max():
        raise VolumeError(f"it has the value {volume.array.flat[0]:g} everywhere")


def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as problem:
        raise SettingsError(f"the pattern {pattern!r} is no regular expression: {problem}") from problem


def _patient(scan: Scan, pattern: re.Pattern[str] | None) -> str:
    if pattern is None or not (found := pattern.search(scan.source)):
        return scan.patient
    return found[1 if pattern.groups else 0] or scan.patient


def _licenses(folder: Path) -> Callable[[str], str]:
    """The license of a scan by its source, from the columns "file" and "licence" of an INDEX.tsv.

    It lies in the folder or above it; files are named by their path from there, or by their name alone.
    """
    for index, above in ((folder / "INDEX.tsv", ""), (folder.parent / "INDEX.tsv", f"{folder.resolve().name}/")):
        if index.is_file():
            with index.open(newline="", encoding="utf-8", errors="replace") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))
            known = {
                Path(row["file"]).as_posix(): row["licence"] for row in rows if row.get("file") and row.get("licence")
            }
            return lambda source: known.get(f"{above}{source}") or known.get(Path(source).name, "")
    return lambda source: ""
