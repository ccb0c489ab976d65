"""What is known of a recipe and of the data before a training starts."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import find_recipe
from medical_super_resolution_training.data.manifest import Entry, of_split, read_manifest
from MedicalSuperResolutionTrainingLib.commands import Choices

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
_MOST_COUNTED = 10_000
_SENTENCE = re.compile(r".*?[.](?=\s+[A-Z]|$)")  # "et al. 2016" does not end one


def explained(recipe: str) -> str:
    """The first sentence of the comment at the head of a recipe, given by its name or path; empty where none is."""
    try:
        lines = find_recipe(recipe).read_text(encoding="utf-8").splitlines() if recipe else []
    except (OSError, UnicodeDecodeError, SuperResolutionError):
        return ""
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    found = _SENTENCE.match(" ".join(comment))
    return found.group().replace("`", "") if found else ""


def data_line(choices: Choices, recipe: Recipe) -> str:
    """How many volumes there are, of which kind, and which are too small for the recipe."""
    if choices.layout is not None:
        count = _files_in(choices.data, choices.data.stat().st_mtime_ns)
        found = _("more than {count}") if count > _MOST_COUNTED else "{count}"
        return _("{count} files of volumes; they are checked and prepared first.").format(
            count=found.format(count=min(count, _MOST_COUNTED))
        )
    return _of_manifest(choices.data, choices.data.stat().st_mtime_ns, recipe.patch_slices, recipe.patch_in_plane)


@lru_cache(maxsize=1)
def _files_in(folder: Path, changed: int) -> int:
    """Files of volumes in a folder; the count ends where there are very many. Slices of DICOM are files, too."""
    files = (path for path in folder.rglob("*") if path.name.lower().endswith(_SUFFIXES))
    return sum(1 for path in islice(files, _MOST_COUNTED + 1))


@lru_cache(maxsize=1)
def _of_manifest(path: Path, changed: int, slices: int, plane: int) -> str:
    entries = read_manifest(path)
    training, validation = of_split(entries, "train"), of_split(entries, "validation")
    kinds = ", ".join(
        f"{count} {kind.upper()}" for kind, count in sorted(Counter(e.modality for e in training).items())
    )
    line = _("{count} volumes to train on ({kinds}), {validation} to validate.").format(
        count=len(training), kinds=kinds, validation=len(validation)
    )
    small = sum(_is_small(entry, sorted([slices, plane, plane])) for entry in training)
    if small:
        line += " " + _("{small} are smaller than a patch (patch_slices {slices}, patch_in_plane {plane}).").format(
            small=small, slices=slices, plane=plane
        )
    return line


def _is_small(entry: Entry, patch: list[int]) -> bool:
    """Whether no patch, given by its sorted sides, fits into a volume, along whatever axis its slices are stacked."""
    try:
        shape = sorted(np.load(Path(entry.array), mmap_mode="r").shape)
    except (OSError, ValueError):
        return True
    return any(have < wanted for have, wanted in zip(shape, patch, strict=True))
