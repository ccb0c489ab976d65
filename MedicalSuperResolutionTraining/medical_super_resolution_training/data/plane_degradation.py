"""Low-resolution slices made from high-resolution ones for an in-plane recipe, with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.generators.plane import PlaneConfig
from medical_super_resolution.physics.degradation import (
    PLANE_DEGRADATIONS,
    gaussian_noise,
    measured_in_plane,
    poisson_noise,
    rician_noise,
)

from ..config.recipe import Recipe
from .down_sampler_file import load_down_sampler


def plane_factor(recipe: Recipe) -> int:
    """Upscaling factor of J and I: the ``factor`` of the generator's configuration."""
    return PlaneConfig(factor=recipe.generator_config.get("factor", PlaneConfig.factor)).factor


class PatchDegradation:
    """Shrinks slices by the ``degradation`` of a recipe; the same input and random numbers give the same output.

    Attributes
    ----------
    reach
        How far around a patch it must be given the slice, in low-resolution voxels.

    Raises
    ------
    SettingsError
        There is no such degradation, or the down-sampler has another factor than the recipe.
    ModelError
        See `load_down_sampler`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.factor = plane_factor(recipe)
        self._down_sampler = None
        if recipe.degradation == "learned":
            self._down_sampler = load_down_sampler(Path(recipe.degradation_model))
            if self._down_sampler.factor != self.factor:
                raise SettingsError(
                    f"the down-sampler {recipe.degradation_model} makes slices {self._down_sampler.factor} times"
                    f" coarser, the recipe wants {self.factor} times; train one for this factor"
                )
            self.reach = self._down_sampler.reach
        elif recipe.degradation in PLANE_DEGRADATIONS:
            self.reach = PLANE_DEGRADATIONS[recipe.degradation].reach
        else:
            known = ", ".join([*PLANE_DEGRADATIONS, "learned"])
            raise SettingsError(f"there is no degradation {recipe.degradation!r}; choose one of {known}")

    def shrunk(self, hr: Tensor, random: np.random.Generator) -> Tensor:
        """(N, 1, K, J, I) -> (N, 1, K, J/factor, I/factor); thickness and profile of "measured" are drawn."""
        if self._down_sampler is not None:
            with torch.no_grad():
                return self._down_sampler(hr)
        if self.recipe.degradation == "measured":
            thinnest, thickest = self.recipe.thickness_range
            thickness = float(random.uniform(thinnest, thickest))
            profile = "box" if random.random() < self.recipe.box_fraction else "gaussian"
            return measured_in_plane(hr, self.factor, profile=profile, thickness=thickness)
        return PLANE_DEGRADATIONS[self.recipe.degradation].function(hr, self.factor)


def with_noise(lr: Tensor, modality: str, recipe: Recipe, random: np.random.Generator) -> Tensor:
    """Noise as the modality has it, on a share of the patches: Rician for MR, counts for PET, Gaussian for the rest.

    Its standard deviation, at the top of the intensity range for counts, is drawn up to ``noise_maximum``.
    """
    if not random.random() < recipe.noise_fraction:
        return lr
    deviation = max(float(random.uniform(0, recipe.noise_maximum)), 1e-6)
    numbers = torch.Generator().manual_seed(int(random.integers(1 << 62)))
    kind = recipe.noise if recipe.noise != "modality" else {"mr": "rician", "pet": "poisson"}.get(modality, "gaussian")
    if kind == "gaussian":
        return gaussian_noise(lr, deviation, numbers)
    zero = lr.amin().clamp_max(0)  # cleaned volumes may go below zero, where neither noise is defined
    if kind == "rician":
        return rician_noise(lr - zero, deviation, numbers) + zero
    return poisson_noise(lr - zero, 1 / deviation**2, numbers) + zero
