"""Scans that do not belong together, for a down-sampler: coarse ones, and fine ones of other patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medical_super_resolution.errors import SettingsError

from ...config.recipe import Recipe
from ..batch import PairedBatch
from ..manifest import Entry, of_split, read_manifest
from ..plane_degradation import plane_factor
from .planes import PlaneSampler


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

    def batch(self, step: int, rank: int = 0, world: int = 1) -> PairedBatch:
        """The batch of one step, or the share of it that one of several processes takes."""
        hr, fine_files = self.fine.patches(step, rank, world)
        lr, coarse_files = self.coarse.patches(step, rank, world)
        return PairedBatch(lr=lr, hr=hr, factor=self.factor, files=fine_files + coarse_files)
