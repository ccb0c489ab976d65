"""Pictures of what a run makes of one fixed batch, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imsave
from torch import Tensor

FOLDER = "samples"
_SHOWN = 4  # patches of the batch
_SMALLEST = 96  # pixels of a patch: smaller ones are enlarged


def write_sample(run: Path, step: int, volumes: tuple[Tensor, ...]) -> None:
    """Draw the middle slice of the first patches, one row a patch.

    Parameters
    ----------
    volumes
        (N, 1, K, J, I) each, from left to right, in the range of the network: see `TrainingTask.pictures`.
    """
    count = min(_SHOWN, *(len(volume) for volume in volumes))
    rows = [_row([volume[number, 0] for volume in volumes]) for number in range(count)]
    picture = np.concatenate(rows)
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    imsave(folder / _name(step), np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)


def remove_after(run: Path, step: int) -> None:
    """Remove the pictures after ``step``, which a resumed run draws again."""
    for path in (run / FOLDER).glob("step-*.png"):
        if path.name > _name(step):
            path.unlink()


def _name(step: int) -> str:
    return f"step-{step:08d}.png"


def _row(volumes: list[Tensor]) -> np.ndarray:
    """The middle slices of (K, J, I) volumes side by side."""
    shown = []
    for volume in volumes:
        section = volume[volume.shape[0] // 2]
        times = max(1, -(-_SMALLEST // min(section.shape)))
        pixels = section.float().cpu().numpy()
        shown.append(np.pad(np.kron(pixels, np.ones((times, times))), 1, constant_values=1.0))
    return np.concatenate(shown, axis=1)
