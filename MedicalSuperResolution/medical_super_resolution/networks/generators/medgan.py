"""MedGAN's generator: a stack of transposed convolutions, as in DCGAN."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ...physics.pictures import as_slices
from .plane import PlaneConfig, PlaneGenerator, last_convolution


@dataclass(frozen=True, kw_only=True)
class MedganConfig(PlaneConfig):
    """The size of a `MedganGenerator`.

    Parameters
    ----------
    channels
        Width of the features.
    convolutions
        3 x 3 convolutions before the transposed ones.

    Notes
    -----
    The paper generates images from noise. Here, convolutions of the low-resolution slice replace the noise, and the
    transposed convolutions enlarge it. The contribution of the paper is the training schedule, see
    `losses.wasserstein_critic_is_behind`. There is no batch normalization, as in `SrresnetGenerator`.

    References
    ----------
    .. [1] Guo et al. (2023), MedGAN: an adaptive GAN approach for medical image generation.
       DOI 10.1016/j.compbiomed.2023.107119
    .. [2] Radford et al. (2016), DCGAN. arXiv:1511.06434
    """

    channels: int = 48
    convolutions: int = 5


def transposed_convolution(channels: int, step: int) -> nn.ConvTranspose2d:
    """Enlarge ``step`` times, with a kernel that leaves the outer boundary where it is."""
    kernel = 2 * step - step % 2
    return nn.ConvTranspose2d(channels, channels, kernel, stride=step, padding=(kernel - step) // 2)


class MedganGenerator(PlaneGenerator):
    """(N, 1, K, J, I) -> (N, 1, K, factor*J, factor*I)."""

    def __init__(self, config: MedganConfig) -> None:
        super().__init__(config)
        channels = config.channels
        layers: list[nn.Module] = []
        for number in range(config.convolutions):
            layers += [nn.Conv2d(channels if number else 1, channels, 3, padding=1), nn.ReLU(inplace=True)]
        steps = (2, 2) if config.factor == 4 else (config.factor,)  # DCGAN doubles the size at each step
        for step in steps:
            layers += [transposed_convolution(channels, step), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, last_convolution(channels, 3))

    def residual(self, lr: Tensor, interpolated: Tensor) -> Tensor:
        return self.layers(as_slices(lr))
