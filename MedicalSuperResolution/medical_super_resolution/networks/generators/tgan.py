"""T-GAN's generator: a convolutional branch, and a transformer branch that attends to the whole slice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import SettingsError
from ...physics.pictures import as_slices
from .plane import PlaneConfig, PlaneGenerator, Upscaler, last_convolution
from .srresnet import OUTER_KERNEL, ResidualBlock


@dataclass(frozen=True, kw_only=True)
class TganConfig(PlaneConfig):
    """The size of a `TganGenerator`; no sizes of the paper could be verified, these suit two CPU cores.

    Parameters
    ----------
    channels
        Width of the convolution branch.
    blocks
        Number of its residual blocks.
    patch
        Side, in low-resolution voxels, of the square that becomes one token.
    width
        Width of a token.
    layers
        Layers of the transformer.
    heads
        Heads of its attention.

    References
    ----------
    .. [1] Du and Tian (2024), Transformer and GAN based super-resolution reconstruction network for medical images.
       DOI 10.26599/TST.2022.9010071
    """

    channels: int = 32
    blocks: int = 5
    patch: int = 8
    width: int = 96
    layers: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads < 1 or self.width % self.heads:
            raise SettingsError(f"width must be a multiple of heads, got {self.width} and {self.heads}")


class TransformerLayer(nn.Module):
    """Attention of every token to every other, then a two-layer network for each; (S, T, W) -> (S, T, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.together = nn.Linear(width, width)
        self.alone = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.query_key_value(self.before_attention(tokens)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)  # (S, H, T, W/H)
        found = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.together(found.transpose(1, 2).flatten(2))
        return tokens + self.alone(tokens)


class TransformerBranch(nn.Module):
    """(S, 1, J, I) -> (S, C, J, I): patches become tokens, attend to the whole slice, and become features again.

    A convolution over neighboring tokens encodes positions (Chu et al. 2021, arXiv:2102.10882), for slices of any
    size; a slice that is no multiple of the patch size is padded with its last voxels.
    """

    def __init__(self, config: TganConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.embed = nn.Conv2d(1, config.width, config.patch, stride=config.patch)
        self.place = nn.Conv2d(config.width, config.width, 3, padding=1, groups=config.width)
        self.layers = nn.Sequential(*(TransformerLayer(config.width, config.heads) for _ in range(config.layers)))
        self.unfold = nn.Sequential(
            nn.Conv2d(config.width, config.channels * config.patch**2, 1), nn.PixelShuffle(config.patch)
        )

    def forward(self, slices: Tensor) -> Tensor:
        rows, columns = slices.shape[2:]
        padded = functional.pad(slices, (0, -columns % self.patch, 0, -rows % self.patch), mode="replicate")
        squares = self.embed(padded)
        squares = squares + self.place(squares)
        tokens = self.layers(squares.flatten(2).transpose(1, 2))
        return self.unfold(tokens.transpose(1, 2).unflatten(2, squares.shape[2:]))[:, :, :rows, :columns]


class TganGenerator(PlaneGenerator):
    """(N, 1, K, J, I) -> (N, 1, K, factor*J, factor*I). Its transformer attends to the whole slice.

    How the paper joins its branches could not be verified: here their features are concatenated and mixed.
    """

    def __init__(self, config: TganConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.first = nn.Sequential(nn.Conv2d(1, channels, OUTER_KERNEL, padding=OUTER_KERNEL // 2), nn.PReLU())
        self.convolutions = nn.Sequential(*(ResidualBlock(channels, batch_norm=False) for _ in range(config.blocks)))
        self.transformer = TransformerBranch(config)
        self.join = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.upscale = Upscaler(channels, config.factor)
        self.last = last_convolution(channels, OUTER_KERNEL)

    def residual(self, lr: Tensor, interpolated: Tensor) -> Tensor:
        slices = as_slices(lr)
        features = self.first(slices)
        joined = self.join(torch.cat([self.convolutions(features), self.transformer(slices)], dim=1))
        return self.last(self.upscale(features + joined))
