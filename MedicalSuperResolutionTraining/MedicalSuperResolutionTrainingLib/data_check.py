"""Description of a recipe and of the data before training starts."""

from __future__ import annotations

import os
from collections import Counter
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from medical_super_resolution.errors import SettingsError, SuperResolutionError
from medical_super_resolution.volumes.io.formats import SUFFIXES, grid_and_type_of
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import explanation_of, find_recipe
from medical_super_resolution_training.data.manifest import Entry, of_split, read_manifest
from medical_super_resolution_training.data.patch_size import too_small
from MedicalSuperResolutionLib.sentences import translated
from MedicalSuperResolutionTrainingLib.commands import Choices, manifest_of

_MOST_COUNTED = 10_000
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
    files = _files_in(choices.data, choices.data.stat().st_mtime_ns)
    return any(path.name.lower().endswith((".nii", ".nii.gz")) for path in files)


def data_line(choices: Choices, recipe: Recipe) -> str:
    """Number and kind of the volumes, and the number of those too small for the recipe."""
    manifest = manifest_of(choices)
    if manifest is not None:
        line, shapes = _of_manifest(manifest, manifest.stat().st_mtime_ns)
    else:
        files = _files_in(choices.data, choices.data.stat().st_mtime_ns)
        count = str(len(files)) if len(files) <= _MOST_COUNTED else _("more than {count}").format(count=_MOST_COUNTED)
        line = _("Files of volumes: {count}; they are checked and prepared first.").format(count=count)
        shapes = [shape for shape in map(_shape_of, files[:_MOST_OPENED]) if shape is not None]
    small = too_small(recipe, shapes)
    if small:
        line += " " + _(
            "Too small for a patch (patch_slices {slices}, patch_in_plane {plane}): {small} of {count}."
        ).format(slices=recipe.patch_slices, plane=recipe.patch_in_plane, small=small, count=len(shapes))
    return line


@lru_cache(maxsize=1)
def _files_in(folder: Path, changed: int) -> list[Path]:
    """Files of volumes in a folder; the list ends where there are very many. Slices of DICOM are files, too."""
    below = os.walk(folder)  # which passes over a folder that vanishes meanwhile
    files = (Path(place, name) for place, _folders, names in below for name in names)
    return list(islice((path for path in files if path.name.lower().endswith((*SUFFIXES, ".dcm"))), _MOST_COUNTED + 1))


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
