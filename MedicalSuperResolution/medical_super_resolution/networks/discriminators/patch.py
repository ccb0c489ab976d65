"""A discriminator of patches: for MedGAN, and for the high frequencies of learned degradation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ...physics.pictures import as_slices
from ..contracts import Discriminator
from .vgg_style import layer_norm


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """The size of a `PatchDiscriminator`; the paper begins with 64 channels.

    Parameters
    ----------
    channels
        Width of the first convolution.
    halvings
        Number of layers that halve the size and double the width.

    References
    ----------
    .. [1] Isola et al. (2017), Image-to-image translation with conditional adversarial networks. arXiv:1611.07004
    """

    channels: int = 32
    halvings: int = 2


class PatchDiscriminator(Discriminator):
    """(N, 1, K, J, I) -> (N, M) scores, one for each of the overlapping patches of all slices; real is high."""

    def __init__(self, config: PatchConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.LeakyReLU(0.2)]
        for _ in range(config.halvings):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
                layer_norm(2 * width),
                nn.LeakyReLU(0.2),
            ]
            width *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, volume: Tensor) -> Tensor:
        return self.layers(as_slices(volume)).reshape(volume.shape[0], -1)
