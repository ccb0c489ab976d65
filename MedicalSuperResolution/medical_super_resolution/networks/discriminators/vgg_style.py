"""SRGAN's discriminator, also ESRGAN's when its scores are compared relativistically."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ...physics.pictures import as_slices
from ..contracts import Discriminator

STAGES = 4  # each halves the size, and all but the first double the width


@dataclass(frozen=True, kw_only=True)
class VggStyleConfig:
    """The size of a `VggStyleDiscriminator`; smaller than the paper's (64 channels, 1024 hidden), for two CPU cores.

    Parameters
    ----------
    channels
        Width of the first convolutions.
    hidden
        Width of the fully connected layer.

    References
    ----------
    .. [1] Ledig et al. (2017), Photo-realistic single image super-resolution using a generative adversarial network,
       section 2.1.1. arXiv:1609.04802
    """

    channels: int = 32
    hidden: int = 256


def layer_norm(channels: int) -> nn.GroupNorm:
    """Normalization of each sample by itself, in place of batch normalization.

    A gradient penalty needs samples that are judged independently (Gulrajani et al. 2017, arXiv:1704.00028, section 4),
    and so do several processes that share a batch.
    """
    return nn.GroupNorm(1, channels)


class VggStyleDiscriminator(Discriminator):
    """(N, 1, K, J, I) -> (N, K) scores: each slice is judged independently, real is high.

    The mean over the last features replaces the paper's layer for one fixed slice size.
    """

    has_features = True

    def __init__(self, config: VggStyleConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList()
        inputs = 1
        for number in range(STAGES):
            width = config.channels * 2**number
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(inputs, width, 3, padding=1),
                    *([layer_norm(width)] if number else []),
                    nn.LeakyReLU(0.2),
                    nn.Conv2d(width, width, 3, stride=2, padding=1),
                    layer_norm(width),
                    nn.LeakyReLU(0.2),
                )
            )
            inputs = width
        self.judge = nn.Sequential(nn.Linear(inputs, config.hidden), nn.LeakyReLU(0.2), nn.Linear(config.hidden, 1))

    def scores_and_features(self, volume: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scores, and the features of each stage, (N * K, C, rows, columns), fine to coarse."""
        features = []
        latest = as_slices(volume)
        for stage in self.stages:
            latest = stage(latest)
            features.append(latest)
        return self.judge(latest.mean(dim=(2, 3))).reshape(volume.shape[0], volume.shape[2]), features

    def forward(self, volume: Tensor) -> Tensor:
        return self.scores_and_features(volume)[0]
