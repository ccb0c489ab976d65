"""From the folder of a run to the file that is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from medical_super_resolution.errors import SettingsError

from ..config.recipes import read_resolved
from ..data.manifest import of_split, read_manifest
from ..tasks import task_of
from ..training.checkpoints import read_tensors, restore_newest
from ..training.monitoring.validation import BEST
from ..training.state import new_state
from .card import card
from .resume import MANIFEST


def export_run(run: Path, output: Path, *, also: dict[str, Any] | None = None, best: bool = False) -> None:
    """Write the averaged weights of a run as the file that Slicer and ``medsr enhance`` load.

    Parameters
    ----------
    also
        Further entries of the model's card.
    best
        Whether to take the weights that validated best, not the last ones.

    Raises
    ------
    SettingsError
        The run has no such weights.
    """
    recipe = read_resolved(run)
    state = new_state(replace(recipe, start_from=""), "cpu")
    restore_newest(run, state)
    if not state.step:
        raise SettingsError(f"{run} has no checkpoint that can be read; train first")
    if best:
        if not (run / BEST).is_file():
            raise SettingsError(f"{run} has no {BEST}; its manifest has no volumes of the split validation")
        state.average.load_state_dict(read_tensors(run / BEST)[0])
    entries = of_split(read_manifest(run / MANIFEST), "train")
    task = task_of(recipe)
    task.export(output, state.average, card(task, state.step, entries, also or {}))
