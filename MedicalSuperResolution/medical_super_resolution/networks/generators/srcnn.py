"""SRCNN: three convolutions on the interpolated slice."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ...errors import SettingsError
from .plane import PlaneConfig, PlaneGenerator, last_convolution


@dataclass(frozen=True, kw_only=True)
class SrcnnConfig(PlaneConfig):
    """The size of an `SrcnnGenerator`; the defaults are those of the paper (9-5-5, 64 and 32 features).

    Parameters
    ----------
    kernels
        Sides of the three kernels, odd.
    channels
        Numbers of features after the first and the second convolution.

    References
    ----------
    .. [1] Dong et al. (2016), Image super-resolution using deep convolutional networks.
       DOI 10.1109/TPAMI.2015.2439281
    """

    kernels: tuple[int, int, int] = (9, 5, 5)
    channels: tuple[int, int] = (64, 32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(kernel % 2 for kernel in self.kernels):
            raise SettingsError(f"kernels must be odd, got {list(self.kernels)}")


class SrcnnGenerator(PlaneGenerator):
    """(N, 1, K, J, I) -> (N, 1, K, factor*J, factor*I): patch extraction, non-linear mapping, reconstruction."""

    def __init__(self, config: SrcnnConfig) -> None:
        super().__init__(config)
        first, second = config.channels
        extract, mapping, reconstruct = config.kernels
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, extract, padding=extract // 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, mapping, padding=mapping // 2),
            nn.ReLU(inplace=True),
            last_convolution(second, reconstruct),
        )

    def residual(self, lr: Tensor, interpolated: Tensor) -> Tensor:
        return self.layers(interpolated)
