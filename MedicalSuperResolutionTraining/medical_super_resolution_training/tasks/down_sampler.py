"""Train a down-sampler: keep the low frequencies, take the high ones from measured coarse scans.

Low frequencies are compared with those of bicubic down-sampling, which preserves them. The discriminator compares the
high frequencies with those of coarse scans of other patients.

References
----------
.. [1] Fritsche, Gu and Timofte (2019), Frequency separation for real-world super-resolution (DSGAN). arXiv:1911.07850
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.down_sampler import DownSampler, DownSamplerConfig
from medical_super_resolution.objectives.spectrum import high_frequencies, low_frequency_loss
from medical_super_resolution.physics.degradation import bicubic_decimated

from ..config.recipe import Recipe
from ..config.recipes import network_config
from ..data.batch import PairedBatch
from ..data.down_sampler_file import save_down_sampler
from ..data.loader import Sampler
from ..data.manifest import Entry
from ..data.samplers.planes import UnpairedSampler
from .task import DiscriminatorInput, Prediction, TrainingTask


class DownSamplerTask(TrainingTask[PairedBatch]):
    """The task of a down-sampler; the recipe's weight of "l1" is that of the low frequencies."""

    loss_terms = ("l1", "perceptual", "adversarial", "adversarial_features")

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        if not recipe.low_resolution:
            raise SettingsError("a down-sampler needs the manifest of measured coarse scans as low_resolution")

    def network(self) -> nn.Module:
        """Build the down-sampler."""
        return DownSampler(network_config(DownSamplerConfig, self.recipe.generator_config, "the down-sampler"))

    def dataset(self, entries: list[Entry]) -> Sampler[PairedBatch]:
        """Fine slices, and measured coarse slices of other scans."""
        return UnpairedSampler(entries, self.recipe)

    def predict(self, network: nn.Module, batch: PairedBatch) -> Prediction:
        """Shrink the fine slices and compare with bicubic shrinking."""
        made, shrunk = network(batch.hr), _shrunk(batch)
        return Prediction({"l1": self.recipe.loss.l1 * low_frequency_loss(made, shrunk)}, made, shrunk)

    def discriminator_input(self, prediction: Prediction, batch: PairedBatch) -> DiscriminatorInput:
        """The high frequencies of what was made and of measured coarse slices."""
        assert prediction.sr is not None  # see `predict`
        assert prediction.hr is not None
        return DiscriminatorInput(high_frequencies(prediction.sr), high_frequencies(batch.lr), prediction.hr)

    def pictures(self, network: nn.Module, batch: PairedBatch) -> tuple[Tensor, ...]:
        """Slices: shrunk, made, and a measured one of another scan."""
        return _shrunk(batch), network(batch.hr), batch.lr

    def export(self, path: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the file that ``degradation_model`` names."""
        save_down_sampler(path, cast("DownSampler", network), card)


def _shrunk(batch: PairedBatch) -> Tensor:
    return bicubic_decimated(batch.hr, int(batch.factor))
