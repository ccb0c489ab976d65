"""The volumes of a training, and the probability of each."""

from __future__ import annotations

import numpy as np

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.volumes.intensity import IntensityRange

from ..config.recipe import Recipe
from .arrays import stored_array
from .manifest import Entry

FLAT_BELOW = 0.02  # standard deviation of a patch that is mostly air
MAX_TRIES = 4
GAIN_RANGE = (0.7, 1.4)  # simulates errors of the estimated intensity range
MAX_DRAWS = 200  # attempts to find a volume and an axis that a patch fits into


class VolumePool:
    """Prepared volumes with their intensity ranges; no voxels stay in memory between two patches.

    Raises
    ------
    SettingsError
        There are no volumes, or ``modality_shares`` leaves out all of them.
    VolumeError
        See `arrays.mapped_array`.
    """

    def __init__(self, entries: list[Entry], recipe: Recipe) -> None:
        if not entries:
            raise SettingsError("there are no volumes to train on; does the manifest have any of the split train?")
        self.entries = entries
        self.arrays = [stored_array(entry.array) for entry in entries]
        self.ranges = [IntensityRange(entry.low, entry.high) for entry in entries]
        modalities = [entry.modality for entry in entries]
        shares = recipe.modality_shares
        weights = np.array([shares.get(modality, 1) / modalities.count(modality) for modality in modalities])
        if not weights.any():
            raise SettingsError(
                f"modality_shares leaves out all volumes to train on, which are {', '.join(sorted(set(modalities)))}"
            )
        self.weights = weights / weights.sum()

    def draw(self, random: np.random.Generator) -> int:
        """The number of one volume."""
        return int(random.choice(len(self.arrays), p=self.weights))

    def patch(self, which: int, where: tuple[slice, ...]) -> np.ndarray:
        """Part of a volume in the network's range, axes (K, J, I), float32."""
        return self.ranges[which].normalized(self.arrays[which].patch(where))


def drawn_factor(random: np.random.Generator, recipe: Recipe, others: tuple[float, float]) -> float:
    """One of the recipe's factors, or any in the range of ``others``, by the recipe's weights."""
    weights = np.array([*recipe.factor_weights, recipe.any_factor_weight])
    choice = random.choice(len(weights), p=weights / weights.sum())
    return float(recipe.factors[choice] if choice < len(recipe.factors) else random.uniform(*others))


def varied_contrast(random: np.random.Generator, patch: np.ndarray, exponents: tuple[float, ...]) -> np.ndarray:
    """The patch as another scanner would show it: a power law and a gain, both drawn; float32, same shape."""
    lowest, highest = exponents
    exponent = random.uniform(lowest, highest)
    changed = np.copysign(np.abs(patch) ** exponent, patch) if exponent != 1 else patch
    return np.float32(random.uniform(*GAIN_RANGE)) * changed.astype(np.float32)


def share_of(count: int, rank: int, world: int) -> slice:
    """The samples of a batch that one of ``world`` processes takes.

    Raises
    ------
    SettingsError
        The batch cannot be shared out evenly, so that the mean of the processes is that of the batch.
    """
    if count % world:
        raise SettingsError(f"a batch of {count} cannot be shared by {world} processes; make batch_size a multiple")
    each = count // world
    return slice(rank * each, (rank + 1) * each)
