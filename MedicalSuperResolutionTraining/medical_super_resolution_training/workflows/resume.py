"""Resuming a run with its own recipe and manifest; differences are refused and named."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

from medical_super_resolution.errors import SettingsError

from ..config.recipe import Recipe
from ..config.recipes import as_json, read_resolved, recipe_from
from ..data.manifest import Entry, read_manifest
from ..training.checkpoints import checkpoints

MANIFEST = "manifest.json"  # the copy that a run keeps


def recipe_to_resume(run: Path, wanted: Recipe | None) -> Recipe:
    """The recipe that a run continues with.

    Parameters
    ----------
    run
        Folder of the run.
    wanted
        The requested recipe; None continues with the run's own. Only its number of steps may differ.

    Raises
    ------
    SettingsError
        The folder holds no run, or another setting differs; the message names each one with both values.
    """
    own = read_resolved(run)
    if wanted is None:
        return own
    written = recipe_from(json.loads(as_json(replace(wanted, steps=own.steps))))
    different = _differences("", written, own)
    if different:
        raise SettingsError(
            f"the run in {run} was started with another recipe: {'; '.join(different)}. Resume without these changes,"
            " or train in another folder"
        )
    return wanted


def entries_to_resume(run: Path, data: Path | None) -> list[Entry]:
    """The volumes that a run continues with; their arrays may have moved since it was started.

    Parameters
    ----------
    run
        Folder of the run.
    data
        The requested manifest; None takes the run's own.

    Raises
    ------
    SettingsError
        The manifest lists other volumes, or the same ones prepared in another way; the message names the first.
    VolumeError
        See `read_manifest`.
    """
    own = read_manifest(run / MANIFEST)
    if data is None:
        return own
    wanted = read_manifest(data)
    known, listed = ([replace(entry, array="") for entry in entries] for entries in (own, wanted))
    if known != listed:
        changed = [entry.source for entry in [*listed, *known] if (entry in listed) != (entry in known)]
        what = f"{changed[0]} differs" if changed else "their order differs"
        raise SettingsError(
            f"the run in {run} was started on other volumes than {data} lists: {what}. Resume with its own, or train"
            " in another folder"
        )
    return wanted


def holds_training(run: Path) -> bool:
    """Whether a folder holds a run that has trained some steps."""
    return bool(checkpoints(run))


def _differences(prefix: str, wanted: object, own: object) -> list[str]:
    """One phrase for each setting that differs, with both values; tables are compared setting by setting."""
    found = []
    for entry in dataclasses.fields(own):  # type: ignore[arg-type]
        one, other = getattr(wanted, entry.name), getattr(own, entry.name)
        if dataclasses.is_dataclass(other):
            found += _differences(f"{prefix}{entry.name}.", one, other)
        elif one != other:
            found.append(f"{prefix}{entry.name} is {one!r} and was {other!r}")
    return found
