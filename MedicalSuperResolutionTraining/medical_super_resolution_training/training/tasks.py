"""What can be trained: for each ``part`` of a recipe its network, its batches, and the file that is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.models import file as models
from medical_super_resolution.models.perceptual_weights import save_encoder
from medical_super_resolution.networks.down_sampler import DownSampler, DownSamplerConfig
from medical_super_resolution.networks.generators import GENERATORS, Generator
from medical_super_resolution.networks.generators.plane import PlaneGenerator
from medical_super_resolution.objectives.perceptual import SliceEncoder, SliceEncoderConfig, SliceRestorer

from ..config.recipe import Recipe
from ..config.recipes import network_config
from ..data.encoder import SpoiltSampler
from ..data.loader import Sampler
from ..data.manifest import Entry
from ..data.planes import PlaneSampler
from ..data.sequences import PatchSampler
from ..data.unpaired import UnpairedSampler
from ..workflows.down_sampler_files import save_down_sampler

OF_GENERATORS = ("generator", "gauge")  # parts whose result refines volumes, and can be validated on them
Network = Generator | SliceRestorer | DownSampler


def network(recipe: Recipe) -> Network:
    """The network that a recipe trains, with fresh weights: a generator, a `SliceRestorer` or a `DownSampler`."""
    table = recipe.generator_config
    if recipe.part == "encoder":
        return SliceRestorer(SliceEncoder(network_config(SliceEncoderConfig, table, "the slice encoder")))
    if recipe.part == "degradation":
        return DownSampler(network_config(DownSamplerConfig, table, "the down-sampler"))
    if recipe.generator not in GENERATORS:
        raise SettingsError(f"there is no generator {recipe.generator!r}; choose one of {', '.join(GENERATORS)}")
    config_class, generator_class = GENERATORS[recipe.generator]
    return generator_class(network_config(config_class, table, f"the generator {recipe.generator}"))


def sampler(recipe: Recipe, entries: list[Entry]) -> Sampler:
    """What draws the batches of a recipe from prepared volumes."""
    if recipe.part == "encoder":
        return SpoiltSampler(entries, recipe)
    if recipe.part == "degradation":
        return UnpairedSampler(entries, recipe)
    if issubclass(GENERATORS[recipe.generator][1], PlaneGenerator):
        return PlaneSampler(entries, recipe)
    if recipe.degradation != "measured":
        raise SettingsError(
            f'a recipe that refines across slices measures thick slices; degradation = "{recipe.degradation}" is for'
            " recipes that refine inside slices"
        )
    return PatchSampler(entries, recipe)


def export(path: Path, recipe: Recipe, trained: Network, card: dict[str, Any]) -> None:
    """Write the file that is used: a model, a slice encoder, or a down-sampler."""
    if isinstance(trained, SliceRestorer):
        save_encoder(path, trained.encoder, card)
    elif isinstance(trained, DownSampler):
        save_down_sampler(path, trained, card)
    else:
        models.save(path, recipe.generator, trained, card)
