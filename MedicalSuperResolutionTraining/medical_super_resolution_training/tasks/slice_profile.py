"""Train the estimator of the slice profile on the features of a generator, which stay as they are."""

from __future__ import annotations

from typing import cast

from torch import nn

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator

from ..data.batch import SequenceBatch
from .slice_sequence import SliceSequenceTask
from .task import Prediction


class SliceProfileTask(SliceSequenceTask):
    """The loss is the squared error of the estimated width, in slice distances."""

    is_adversarial = False

    def network(self) -> nn.Module:
        """Build the generator that has the estimator."""
        network = super().network()
        if not isinstance(network, ThroughPlaneGenerator):
            raise SettingsError(f"the generator {self.recipe.generator!r} has no blur gauge to train")
        return network

    def trains(self, parameter: str) -> bool:
        """The estimator alone."""
        return parameter.startswith("gauge.")

    def predict(self, network: nn.Module, batch: SequenceBatch) -> Prediction:
        """Estimate the width of the profile that made the slices."""
        generator = cast("ThroughPlaneGenerator", network)
        features = generator.features(batch.lr, batch.thickness).detach()
        return Prediction({"gauge": (generator.gauge(features) - batch.width).square().mean()})
