"""Whole validation volumes through the engine that users run, with the averaged weights of a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models.file import Model
from medical_super_resolution.networks.contracts import Generator
from medical_super_resolution.objectives.metrics import psnr
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume

from ...data.arrays import mapped_array
from ...data.manifest import Entry
from ...evaluation.cases import Case, degraded, is_large_enough, trimmed
from ...evaluation.measures.foreground import foreground_of
from ..checkpoints import read_tensors, write_tensors

VALIDATION = "validation.csv"
BEST = "best.safetensors"
_DECIBELS = "{:.3f}"


def validated(generator: Generator, entries: list[Entry], case: Case, device: str) -> dict[str, float]:
    """PSNR inside the body in dB, by name; volumes too small for the case, or without a body, are left out."""
    model = Model("validation", Path(), "", "", {}, generator)
    found = {}
    for entry in entries:
        reference = _with_thick_slices(entry, case)
        if not is_large_enough(reference, case):
            continue
        reference = trimmed(reference, case)
        body = foreground_of(reference)
        if not body.inside.any():
            continue
        settings = EnhanceSettings(factor=case.factor, axes=case.axes, slice_profile=case.profile, device=device)
        result = enhance(degraded(reference, case), model, settings).volume.array
        made, true = (torch.from_numpy(body.clipped(array)) for array in (result, reference.array))
        found[entry.source] = psnr(made, true, body.peak, torch.from_numpy(body.inside))
    return found


def _with_thick_slices(entry: Entry, case: Case) -> Volume:
    """The volume of an entry. Its slices lie so far apart that the engine takes K for the axis of the sequence."""
    array = mapped_array(entry.array)
    k, j, i = array.shape
    apart = 1.0 if "k" in case.axes else 2 * case.factor
    return Volume(array, Grid((k, j, i), np.diag([1.0, 1.0, apart, 1.0])), modality=entry.modality)


def append_validation(run: Path, step: int, scores: dict[str, float]) -> float:
    """Add a line for every volume to the run's validation table; returns the mean."""
    path = run / VALIDATION
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(["step", "volume", "psnr_db"])
        writer.writerows([step, name, _DECIBELS.format(score)] for name, score in scores.items())
    return float(np.mean(list(scores.values())))


def keep_best(run: Path, average: Generator, step: int, score: float, *, is_adversarial: bool) -> bool:
    """Keep the weights if no earlier ones of the same stage scored higher.

    An adversarial stage starts again: it loses decibels for detail, so the content stage would always score higher.
    """
    earlier = _read_best(run)
    if earlier and earlier["is_adversarial"] == is_adversarial and earlier["psnr_db"] >= score:
        return False
    best = {"step": step, "psnr_db": score, "is_adversarial": is_adversarial}
    write_tensors(run / BEST, dict(average.state_dict()), {"best": json.dumps(best)})
    return True


def restore_best(run: Path, network: nn.Module) -> int:
    """Load the weights of a run that validated best into a network; returns the step after which they did.

    Raises
    ------
    SettingsError
        There are none, or they are damaged.
    """
    found = _read_best(run)
    if found is None:
        raise SettingsError(
            f"{run} has no {BEST} that can be read: it had no volumes of the split validation, or fewer steps than"
            " validate_every; without --best, the last weights are exported"
        )
    network.load_state_dict(read_tensors(run / BEST)[0])
    return int(found["step"])


def _read_best(run: Path) -> dict[str, Any] | None:
    """What is known of the best weights of a run; None where there are none, or they are damaged."""
    try:
        found: dict[str, Any] = json.loads(read_tensors(run / BEST)[1]["best"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None
    return found
