"""Pictures of what a run makes of one fixed batch: interpolated, made, true, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.image import imsave
from torch import Tensor

from medical_super_resolution.objectives.degradation import bicubic_decimated

from ..config.recipe import Recipe
from ..data.sequences import Batch
from ..data.unpaired import UnpairedBatch
from .objectives import AnyBatch, answer, interpolated
from .state import TrainingState

FOLDER = "samples"
_SHOWN = 4  # patches of the batch
_SMALLEST = 96  # pixels of a patch: smaller ones are enlarged


@torch.no_grad()
def write_sample(run: Path, state: TrainingState, batch: AnyBatch | UnpairedBatch, recipe: Recipe) -> Path:
    """Draw a middle slice of the first patches, across the sequence where that was refined; one row a patch.

    Of a down-sampler: shrunk, made, and a measured slice of another scan.
    """
    if isinstance(batch, UnpairedBatch):
        volumes = (bicubic_decimated(batch.hr, batch.factor), state.average(batch.hr), batch.lr)
    else:
        volumes = (interpolated(batch), answer(state.average, batch, recipe).shown, batch.hr)
    is_sequence = isinstance(batch, Batch)
    rows = [
        _row([volume[number, 0] for volume in volumes], across=is_sequence)
        for number in range(min(_SHOWN, len(batch.hr)))
    ]
    picture = np.concatenate(rows)
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"step-{state.step:08d}.png"
    imsave(path, np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)
    return path


def _row(volumes: list[Tensor], *, across: bool) -> np.ndarray:
    """Sections of (K, J, I) volumes side by side."""
    shown = []
    for volume in volumes:
        section = volume[:, :, volume.shape[2] // 2] if across else volume[volume.shape[0] // 2]
        times = max(1, -(-_SMALLEST // min(section.shape)))
        pixels = section.float().cpu().numpy()
        shown.append(np.pad(np.kron(pixels, np.ones((times, times))), 1, constant_values=1.0))
    return np.concatenate(shown, axis=1)
