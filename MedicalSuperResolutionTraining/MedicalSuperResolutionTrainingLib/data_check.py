"""Description of a recipe and of the data before training starts."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from medical_super_resolution.errors import SettingsError, SuperResolutionError
from medical_super_resolution.volumes.io.formats import SUFFIXES, grid_and_type_of
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import explanation_of, find_recipe
from medical_super_resolution_training.data.manifest import Entry, of_split, read_manifest
from medical_super_resolution_training.data.patch_size import too_small
from MedicalSuperResolutionLib.translation import translated
from MedicalSuperResolutionTrainingLib.commands import Choices, manifest_of

_MOST_COUNTED = 10_000
_MOST_SECONDS = 0.5  # of looking into folders: a path that is typed passes by the root of the disk, and Slicer waits
_MOST_OPENED = 100  # files whose headers are read


def explained(recipe: str) -> str:
    """The explanation of a recipe, given by name or path, in a sentence; empty if it has none."""
    try:
        return translated(explanation_of(find_recipe(recipe))) if recipe else ""
    except (OSError, UnicodeDecodeError, SuperResolutionError):
        return ""


def holds_nifti(choices: Choices) -> bool:
    """Whether NIfTI files are to be prepared."""
    if manifest_of(choices) is not None:
        return False
    files = islice(chain.from_iterable(_by_folder(choices.data)), _MOST_COUNTED)
    return any(path.name.lower().endswith((".nii", ".nii.gz")) for path in files)


def data_line(choices: Choices, recipe: Recipe) -> str:
    """Number and kind of the volumes, and the number of those too small for the recipe."""
    manifest = manifest_of(choices)
    if manifest is not None:
        line, shapes = _of_manifest(manifest, manifest.stat().st_mtime_ns)
    else:
        files, are_all = _files_in(choices.data, choices.data.stat().st_mtime_ns)
        count = str(len(files)) if are_all else _("at least {count}").format(count=len(files))
        line = _("Files of volumes: {count}; they are checked and prepared first.").format(count=count)
        shapes = [shape for shape in map(_shape_of, files[:_MOST_OPENED]) if shape is not None]
    small = too_small(recipe, shapes)
    if small:
        line += " " + _(
            "Too small for a patch (patch_slices {slices}, patch_in_plane {plane}): {small} of {count}."
        ).format(slices=recipe.patch_slices, plane=recipe.patch_in_plane, small=small, count=len(shapes))
    return line


@lru_cache(maxsize=1)
def _files_in(folder: Path, changed: int) -> tuple[list[Path], bool]:
    """Files of volumes in a folder, and whether these are all: the list ends where there is very much in the folder."""
    found, end = [], time.monotonic() + _MOST_SECONDS
    for files in _by_folder(folder):
        if len(found) >= _MOST_COUNTED or time.monotonic() > end:
            return found[:_MOST_COUNTED], False
        found += files
    return found[:_MOST_COUNTED], len(found) <= _MOST_COUNTED


def _by_folder(folder: Path) -> Iterator[list[Path]]:
    """The files of volumes in a folder, then those in each folder below. Slices of DICOM are files, too."""
    for place, _folders, names in os.walk(folder):  # which passes over a folder that vanishes meanwhile
        yield [Path(place, name) for name in names if name.lower().endswith((*SUFFIXES, ".dcm"))]


@lru_cache(maxsize=_MOST_OPENED)
def _shape_of(path: Path) -> tuple[int, ...] | None:
    """Voxels along the axes of a volume file, by its header; None where they are not known, as of one DICOM slice."""
    try:
        found = grid_and_type_of(path)
    except SettingsError:  # Slicer has no nibabel before the first training
        return None
    return None if found is None else found[0].shape_kji


@lru_cache(maxsize=1)
def _of_manifest(path: Path, changed: int) -> tuple[str, list[tuple[int, ...]]]:
    """Description of a manifest, and the shapes of its training volumes."""
    entries = read_manifest(path)
    training, validation = of_split(entries, "train"), of_split(entries, "validation")
    kinds = ", ".join(
        f"{count} {kind.upper()}" for kind, count in sorted(Counter(e.modality for e in training).items())
    )
    line = _("Volumes: {count} to train on ({kinds}), {validation} to validate.").format(
        count=len(training), kinds=kinds, validation=len(validation)
    )
    return line, [_stored_shape(entry) for entry in training]


def _stored_shape(entry: Entry) -> tuple[int, ...]:
    try:
        return np.load(Path(entry.array), mmap_mode="r").shape
    except (OSError, ValueError):
        return (0, 0, 0)
