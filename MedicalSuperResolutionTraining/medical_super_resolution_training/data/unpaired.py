"""Scans that do not belong together, for a down-sampler: coarse ones, and fine ones of other patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from medical_super_resolution.errors import SettingsError

from ..config.recipe import Recipe
from .manifest import Entry, of_split, read_manifest
from .plane_degradation import plane_factor
from .planes import PlaneSampler


@dataclass(frozen=True, eq=False)
class UnpairedBatch:
    """hr : (N, 1, K, factor*J, factor*I) fine slices; lr : (N, 1, K, J, I) measured coarse slices of other scans.

    files : where the fine ones, then the coarse ones come from.
    """

    lr: Tensor
    hr: Tensor
    factor: int
    files: tuple[str, ...] = ()

    def to(self, device: str) -> UnpairedBatch:
        """The same batch on a device."""
        moved: dict[str, Any] = {
            key: value.to(device) for key, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


class UnpairedSampler:
    """Draws fine slices from the entries, and coarse ones from the manifest ``low_resolution`` of the recipe."""

    def __init__(self, entries: list[Entry], recipe: Recipe) -> None:
        self.factor = plane_factor(recipe)
        coarse = of_split(read_manifest(Path(recipe.low_resolution)), "train")
        if not coarse:
            raise SettingsError(f"the manifest {recipe.low_resolution} has no volumes of the split train")
        self.fine = PlaneSampler(entries, recipe)
        in_coarse = replace(recipe, seed=recipe.seed + 1, patch_in_plane=recipe.patch_in_plane // self.factor)
        self.coarse = PlaneSampler(coarse, replace(in_coarse, generator_config={"factor": self.factor}))

    def batch(self, step: int, rank: int = 0, world: int = 1) -> UnpairedBatch:
        """The batch of one step, or the share of it that one of several processes takes."""
        hr, fine_files = self.fine.patches(step, rank, world)
        lr, coarse_files = self.coarse.patches(step, rank, world)
        return UnpairedBatch(lr, hr, self.factor, fine_files + coarse_files)
