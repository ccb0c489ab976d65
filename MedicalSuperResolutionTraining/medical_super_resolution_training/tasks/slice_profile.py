"""Train the estimator of the slice profile on scans whose profile is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional

from medical_super_resolution.models import profile_estimator
from medical_super_resolution.networks.profile_head import ProfileHead, ProfileHeadConfig
from medical_super_resolution.physics.slice_profile import ProfileCalibration

from ..config.recipes import network_config
from ..data.loader import Sampler
from ..data.manifest import Entry
from ..data.samplers.slice_profiles import ProfileBatch, ProfileSampler
from .task import Prediction, TrainingTask

_EXACT_ENOUGH = 0.08  # of a width: below it, errors count by their square
_ERROR_WEIGHT = 3.0
_FARTHEST = 5.0  # standard errors: a width that is off by more counts as this


class SliceProfileTask(TrainingTask[ProfileBatch]):
    """The loss is the negative likelihood of the logarithm of the width, and its error nearly by absolute value."""

    def network(self) -> nn.Module:
        """Build the estimator."""
        return ProfileHead(
            network_config(ProfileHeadConfig, self.recipe.generator_config, "the slice-profile estimator")
        )

    def dataset(self, entries: list[Entry]) -> Sampler[ProfileBatch]:
        """Cuts across slices of known profile."""
        return ProfileSampler(entries, self.recipe)

    def predict(self, network: nn.Module, batch: ProfileBatch) -> Prediction:
        """Estimate the width of each scan."""
        log_width, log_error = network(batch.lr, batch.known)
        deviation = ((log_width - batch.log_width) / log_error.exp()).square().clamp(max=_FARTHEST**2)
        error = functional.smooth_l1_loss(log_width, batch.log_width, beta=_EXACT_ENOUGH)
        return Prediction({"slice_profile": _ERROR_WEIGHT * error + (deviation / 2 + log_error).mean()})

    def pictures(self, network: nn.Module, batch: ProfileBatch) -> tuple[Tensor, ...]:
        """The cuts across the slices of each scan."""
        return (batch.lr[:, :1],)

    def export(self, path: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the estimator, with a calibration that holds the range of widths it was trained for."""
        low, high = self.recipe.thickness_range
        calibration = ProfileCalibration(width_range=(low, high))
        profile_estimator.save(path, cast("ProfileHead", network), calibration, card)
