"""Train a generator that refines a sequence of slices along its axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.contracts import SequenceGenerator
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.physics.interpolation import apply_along_sequence, cubic_matrix

from ..data.batch import SequenceBatch
from ..data.loader import Sampler
from ..data.manifest import Entry
from ..data.samplers.sequences import FACTOR_RANGE, PatchSampler
from ..evaluation.cases import Case
from .generator import GeneratorTask, Outputs, content_terms
from .narrowing import can_narrow, narrow
from .task import DiscriminatorInput, Prediction

_PATCHES_SEEN = 64  # for the ranges of 8-bit integers, or the choice of channels


class SliceSequenceTask(GeneratorTask[SequenceBatch]):
    """The loss compares the output and its data-consistency projection with the truth."""

    def dataset(self, entries: list[Entry]) -> Sampler[SequenceBatch]:
        """Pairs of fine slices and thick slices simulated from them with random slice profiles."""
        if self.recipe.degradation != "measured":
            raise SettingsError(
                "a recipe that refines across slices simulates thick slices itself; degradation ="
                f' "{self.recipe.degradation}" is for recipes that refine inside slices'
            )
        return PatchSampler(entries, self.recipe)

    def predict(self, network: nn.Module, batch: SequenceBatch) -> Prediction:
        """Refine the batch and compare."""
        outputs = self.refine(network, batch)
        return Prediction(content_terms(outputs, batch.hr, self.recipe.loss), outputs.final, batch.hr, batch.factor)

    def refine(self, network: nn.Module, batch: SequenceBatch) -> Outputs:
        """The output of the network, and its data-consistency projection if the recipe gives it a weight."""
        weight = self.recipe.consistent_weight
        sr = network(batch.lr, batch.positions, batch.factor, batch.profile_width, seed=batch.seed)
        if not weight:
            return Outputs(((1.0, sr),), sr)
        missing = batch.lr - apply_along_sequence(batch.acquisition, sr)
        consistent = sr + apply_along_sequence(batch.consistency, missing)
        return Outputs(((1 - weight, sr), (weight, consistent)), consistent)

    def discriminator_input(self, prediction: Prediction, batch: SequenceBatch) -> DiscriminatorInput:
        """The refined and the true slices, conditioned on the interpolated ones."""
        assert prediction.sr is not None  # see `predict`
        return DiscriminatorInput(prediction.sr, batch.hr, _interpolated(batch))

    def pictures(self, network: nn.Module, batch: SequenceBatch) -> tuple[Tensor, ...]:
        """Cuts across the slices: interpolated, refined, true."""
        volumes = (_interpolated(batch), self.refine(network, batch).final, batch.hr)
        return tuple(volume.transpose(2, 3) for volume in volumes)

    def take_weights(self, network: nn.Module, other: nn.Module, entries: list[Entry]) -> None:
        """The weights of a larger generator are narrowed by its features of the volumes."""
        if can_narrow(other, network):
            narrow(cast("ThroughPlaneGenerator", other), cast("ThroughPlaneGenerator", network), self._seen(entries))
        else:
            super().take_weights(network, other, entries)

    def calibrate(self, network: nn.Module, entries: list[Entry], log: Callable[[str], object]) -> None:
        """Show the network some batches, whose features 8-bit integers will hold; none where a volume is gone."""
        if not isinstance(network, SequenceGenerator):
            return
        if not all(Path(entry.array).is_file() for entry in entries):
            log("training volumes are gone, so the model cannot compute in 8-bit integers")
            return
        log(f"measuring ranges for 8-bit integers on {_PATCHES_SEEN} patches of the training volumes")
        network.see_features(self._seen(entries))

    def _seen(self, entries: list[Entry]) -> Iterator[tuple[Tensor, float]]:
        """Thick patches of the volumes, with the width of their slice profile, to show to a network."""
        sampler = self.dataset(entries)
        for step in range(-(-_PATCHES_SEEN // self.recipe.batch_size)):
            batch = sampler.batch(step)
            yield batch.lr, batch.profile_width

    def validation_case(self) -> Case | None:
        """The first factor of the recipe, along the slice axis."""
        return Case("k", self.recipe.factors[0] if self.recipe.factors else 2.0)

    def description(self) -> dict[str, dict[str, Any]]:
        """Factors, thickness and slice profiles."""
        recipe = self.recipe
        return {
            "trained_for": {
                "factor": list(FACTOR_RANGE if recipe.any_factor_weight else recipe.factors),
                "thickness": list(recipe.thickness_range),
            },
            "training": {"slice_profile": f"Gaussian, and box in {recipe.box_fraction:.0%} of the batches"},
        }


def _interpolated(batch: SequenceBatch) -> Tensor:
    """The thick slices, interpolated to the fine ones, (N, 1, M, J, I)."""
    return apply_along_sequence(cubic_matrix(batch.lr.shape[2], batch.positions), batch.lr)
