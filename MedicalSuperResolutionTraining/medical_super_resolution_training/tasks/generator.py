"""Base class of the tasks that train a generator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.models import file as models
from medical_super_resolution.networks.contracts import Generator
from medical_super_resolution.networks.generators import GENERATORS
from medical_super_resolution.objectives.terms import CONTENT_TERMS, LOSS_TERMS

from ..config.losses import LossWeights
from ..config.recipe import Recipe
from ..config.recipes import network_config
from .task import BatchType, TrainingTask


@dataclass(frozen=True, eq=False)
class Outputs:
    """The volumes that a generator makes of a batch, (N, 1, K, J, I) each.

    Parameters
    ----------
    weighted
        Each with its weight in the content loss.
    final
        The one that users get, which perceptual and adversarial terms compare.
    """

    weighted: tuple[tuple[float, Tensor], ...]
    final: Tensor


class GeneratorTask(TrainingTask[BatchType]):
    """Train one of GENERATORS."""

    loss_terms = tuple(LOSS_TERMS)

    @property
    def network_name(self) -> str:
        """Name of the generator."""
        return self.recipe.generator

    def network(self) -> nn.Module:
        """Build the generator that the recipe names."""
        return new_generator(self.recipe)

    def export(self, path: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the model file that Slicer and ``medsr enhance`` load."""
        models.save(path, self.recipe.generator, cast("Generator", network), card)


def new_generator(recipe: Recipe) -> Generator:
    """The generator that a recipe names, with fresh weights.

    Raises
    ------
    SettingsError
        There is no such generator, or it has no such settings.
    """
    name = recipe.generator
    if name not in GENERATORS:
        raise SettingsError(f"there is no generator {name!r}; choose one of {', '.join(GENERATORS)}")
    config_class, generator_class = GENERATORS[name]
    return generator_class(network_config(config_class, recipe.generator_config, f"the generator {name}"))


def content_terms(outputs: Outputs, hr: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    """The weighted terms that compare voxels, by name."""
    terms = {}
    for name in CONTENT_TERMS:
        weight = getattr(weights, name)
        if weight:
            parts = [share * LOSS_TERMS[name].distance(sr, hr) for share, sr in outputs.weighted if share]
            terms[name] = weight * sum(parts[1:], start=parts[0])
    return terms
