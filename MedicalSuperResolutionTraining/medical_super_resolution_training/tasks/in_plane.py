"""Train a generator that refines each slice in its plane."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from medical_super_resolution.networks.generators.plane import enlarged
from medical_super_resolution.objectives.terms import LOSS_TERMS
from medical_super_resolution.physics.pictures import as_slices, as_volumes

from ..data.batch import PairedBatch
from ..data.loader import Sampler
from ..data.manifest import Entry
from ..data.plane_degradation import plane_factor
from ..data.samplers.planes import PlaneSampler
from ..evaluation.cases import Case
from .generator import GeneratorTask, Outputs, content_terms
from .task import DiscriminatorInput, Prediction


class InPlaneTask(GeneratorTask[PairedBatch]):
    """The loss compares the output with the truth."""

    loss_terms = tuple(name for name in LOSS_TERMS if name != "spectrum")  # which is that along a slice sequence

    def dataset(self, entries: list[Entry]) -> Sampler[PairedBatch]:
        """Pairs of fine slices and slices coarsened by the degradation of the recipe."""
        return PlaneSampler(entries, self.recipe)

    def predict(self, network: nn.Module, batch: PairedBatch) -> Prediction:
        """Refine the batch and compare."""
        sr = network(batch.lr)
        return Prediction(content_terms(Outputs(((1.0, sr),), sr), batch.hr, self.recipe.loss), sr, batch.hr)

    def discriminator_input(self, prediction: Prediction, batch: PairedBatch) -> DiscriminatorInput:
        """The refined and the true slices, conditioned on the interpolated ones."""
        assert prediction.sr is not None  # see `predict`
        return DiscriminatorInput(prediction.sr, batch.hr, interpolated_in_plane(batch))

    def pictures(self, network: nn.Module, batch: PairedBatch) -> tuple[Tensor, ...]:
        """Slices: interpolated, refined, true."""
        return interpolated_in_plane(batch), network(batch.lr), batch.hr

    def validation_case(self) -> Case | None:
        """The factor of the generator, along both axes of the plane."""
        return Case("ij", float(plane_factor(self.recipe)))

    def description(self) -> dict[str, dict[str, Any]]:
        """Factor, thickness and degradation."""
        recipe = self.recipe
        profile = f"Gaussian, and box in {recipe.box_fraction:.0%} of the batches"
        return {
            "trained_for": {"factor": [plane_factor(recipe)], "thickness": list(recipe.thickness_range)},
            "training": {"slice_profile": profile if recipe.degradation == "measured" else recipe.degradation},
        }


def interpolated_in_plane(batch: PairedBatch) -> Tensor:
    """The coarse slices, interpolated to the fine ones, (N, 1, K, factor * J, factor * I)."""
    return as_volumes(enlarged(as_slices(batch.lr), int(batch.factor)), batch.lr.shape[2])
