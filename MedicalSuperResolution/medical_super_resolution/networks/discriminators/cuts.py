"""A critic of coronal and sagittal cuts of a refined volume, and of consecutive slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ...errors import SettingsError
from ...physics.pictures import perpendicular_cuts, slice_triples
from ..contracts import Discriminator

_MAGNIFIED = 10.0  # what refinement adds is about a tenth of the range


@dataclass(frozen=True, kw_only=True)
class CutsConfig:
    """The size of a `CutsDiscriminator`.

    Parameters
    ----------
    channels, slice_channels
        Width of the first convolution on standing cuts and on slices; it doubles at each of ``halvings``.
    every
        Distance of the sampled cuts in voxels, at least 2. That of the slices is one less, so that with the factor
        ``every`` they do not all lie at the same place between measured slices.
    """

    channels: int = 32
    slice_channels: int = 16
    halvings: int = 2
    every: int = 4

    def __post_init__(self) -> None:
        if self.every < 2:
            raise SettingsError(f"every must be at least 2, got {self.every}")


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=1))


class _PatchScores(nn.Module):
    """(S, C, rows, columns) -> (S, 1, rows / 4, columns / 4) scores for two halvings, and features of each stage."""

    def __init__(self, inputs: int, width: int, halvings: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList([_convolution(inputs, width, 3)])
        for _ in range(halvings):
            self.stages.append(_convolution(width, 2 * width, 4, 2))
            width *= 2
        self.judge = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        found, latest = [], pictures
        for stage in self.stages:
            latest = nn.functional.leaky_relu(stage(latest), 0.2)
            found.append(latest)
        return self.judge(latest), found


class CutsDiscriminator(Discriminator):
    """(N, 2, K, J, I) -> (N, M) scores, real is high: one for each of the overlapping patches of all cuts.

    The first channel is the volume to judge, the second its low-resolution counterpart, interpolated to the same size.
    One network scores coronal and sagittal cuts, where steps and smoothness of refined slices are visible. Another
    scores slices with their two neighbors, where changes of texture from slice to slice are visible. The volume enters
    as its difference from the condition, scaled up because it is small. All weights but the last are spectrally
    normalized [2]_.

    References
    ----------
    .. [1] Isola et al. (2017), Image-to-image translation with conditional adversarial networks. arXiv:1611.07004
    .. [2] Miyato et al. (2018), Spectral normalization for generative adversarial networks. arXiv:1802.05957
    """

    conditional = True
    has_features = True

    def __init__(self, config: CutsConfig) -> None:
        super().__init__()
        self.config = config
        self.standing = _PatchScores(2, config.channels, config.halvings)
        self.lying = _PatchScores(6, config.slice_channels, config.halvings)

    def scores_and_features(self, volume: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scores, and the features of all stages of both networks, for `losses.adversarial_feature_loss`."""
        every, count = self.config.every, volume.shape[0]
        judged, condition = volume.float().split(1, dim=1)
        volume = torch.cat([_MAGNIFIED * (judged - condition), condition], dim=1)
        pictures = [(self.standing, one) for one in perpendicular_cuts(volume, every=every)]
        pictures.append((self.lying, slice_triples(volume, every=every - 1)))
        scores, features = [], []
        for judge, one in pictures:
            score, found = judge(one)
            scores.append(score.unflatten(0, (count, -1)).flatten(1))
            features += found
        return torch.cat(scores, dim=1), features

    def forward(self, volume: Tensor) -> Tensor:
        return self.scores_and_features(volume)[0]
