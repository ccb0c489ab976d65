"""Train the slice encoder of the perceptual loss: a network that restores slices learns what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from medical_super_resolution.models.perceptual_weights import save_encoder
from medical_super_resolution.objectives.perceptual import SliceEncoder, SliceEncoderConfig, SliceRestorer
from medical_super_resolution.objectives.terms import CONTENT_TERMS

from ..config.recipes import network_config
from ..data.batch import PairedBatch
from ..data.loader import Sampler
from ..data.manifest import Entry
from ..data.samplers.encoder import CorruptedSampler
from .generator import Outputs, content_terms
from .task import Prediction, TrainingTask


class SliceEncoderTask(TrainingTask[PairedBatch]):
    """The loss is that of the restored slices."""

    loss_terms = CONTENT_TERMS

    def network(self) -> nn.Module:
        """Build the encoder inside the network that restores slices."""
        config = network_config(SliceEncoderConfig, self.recipe.generator_config, "the slice encoder")
        return SliceRestorer(SliceEncoder(config))

    def dataset(self, entries: list[Entry]) -> Sampler[PairedBatch]:
        """Slices with blur, noise and holes."""
        return CorruptedSampler(entries, self.recipe)

    def predict(self, network: nn.Module, batch: PairedBatch) -> Prediction:
        """Restore the slices and compare."""
        sr = network(batch.lr)
        return Prediction(content_terms(Outputs(((1.0, sr),), sr), batch.hr, self.recipe.loss))

    def pictures(self, network: nn.Module, batch: PairedBatch) -> tuple[Tensor, ...]:
        """Slices: corrupted, restored, true."""
        return batch.lr, network(batch.lr), batch.hr

    def export(self, path: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the encoder without what restores slices."""
        save_encoder(path, cast("SliceRestorer", network).encoder, card)
