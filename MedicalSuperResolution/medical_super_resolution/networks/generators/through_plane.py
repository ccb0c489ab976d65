"""The through-plane generator: refines a slice sequence along its axis, by any factor, with one set of weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ...physics.interpolation import apply_along_sequence, cubic_matrix
from ..blocks import AttentionDenseBlock, in_plane_convolution
from ..contracts import ANY_AXIS, Capabilities, SequenceGenerator, SequenceTile
from ..grain import KINDS, grain
from ..narrow import bfloat16, eight_bit
from ..residual_stream import ResidualStream
from ..streaming import WHOLE, Sequence, convolved_slices
from .through_plane_layers import CONTRAST, PhaseKernel, Stem


@dataclass(frozen=True, kw_only=True)
class ThroughPlaneConfig:
    """The size of a `ThroughPlaneGenerator`.

    Parameters
    ----------
    channels
        Width of the features.
    blocks
        Number of attention dense blocks.
    pairs
        Number of convolution pairs in each block.
    gate_channels
        Width inside an attention gate.
    kernel_hidden
        Width of the network that computes the upscaling kernel.
    """

    channels: int = 48
    blocks: int = 3
    pairs: int = 3
    gate_channels: int = 16
    kernel_hidden: int = 64


def _with_newer_weights(network: ThroughPlaneGenerator, weights: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Complete the weights of an older file or checkpoint."""
    for name in network.zero_where_missing:
        weights.setdefault(prefix + name, torch.zeros(getattr(network, name).shape, dtype=torch.float32))


class ThroughPlaneGenerator(SequenceGenerator):
    """(N, 1, K, J, I) thick slices -> (N, 1, M, J, I) fine slices at any M places along K.

    Features are computed once on the thick slices, whatever the factor, because the blur of contiguous slices is always
    one slice wide. The head combines the features of the two slices around each output slice. The network is local (no
    pooling, no normalization) and has no biases, so that a constant is preserved.

    Where ``texture`` is not 0, random texture is added with a strength that is computed from the features: the amount
    of texture can be known where its place cannot. It depends only on the voxel and the seed, see `grain`.
    """

    has_gradients_in_bfloat16 = True
    largest_seen: Tensor  # features, by layer and channel; all 0 before `see_features`
    zero_where_missing = ("texture", "largest_seen")  # weights that older files lack
    adversarial_weights = ("texture",)  # weights that stay as they are without a discriminator: they would learn noise

    def __init__(self, config: ThroughPlaneConfig) -> None:
        super().__init__()
        self.config = config
        self.texture = nn.Parameter(torch.zeros(KINDS, config.channels))
        self.stem = Stem(config.channels, config.gate_channels)
        self.blocks = nn.ModuleList(
            AttentionDenseBlock(config.channels, config.pairs, config.gate_channels) for _ in range(config.blocks)
        )
        self.refine: nn.Module = in_plane_convolution(config.channels, config.channels)
        self.kernel = PhaseKernel(config.channels, config.kernel_hidden)
        self.register_buffer("largest_seen", torch.zeros(config.blocks * (2 * config.pairs + 1) + 1, config.channels))
        self.register_load_state_dict_pre_hook(_with_newer_weights)

    @property
    def capabilities(self) -> Capabilities:
        """One axis at a time, whichever it is, by any factor."""
        fits_int8 = not self.largest_seen.is_meta and bool(self.largest_seen.any())
        precisions = ("float32", "mixed", "int8") if fits_int8 else ("float32", "mixed")
        return Capabilities(axes=ANY_AXIS, needs_profile=True, precisions=precisions)

    @property
    def reach(self) -> int:
        """Receptive field to each side, in voxels of the slice plane."""
        return Stem.reach + self.config.blocks * self.config.pairs + 1

    @property
    def slices_in_flight(self) -> int:
        """About how many slices of features a stream holds, besides those being pushed; for memory estimates."""
        pairs = self.config.pairs
        return self.config.blocks * (2 * pairs + pairs * (pairs - 1) // 2 + 2) + 3

    @property
    def delay(self) -> int:
        """Slices by which features lag behind the input: one for each convolution along the sequence."""
        return 1 + self.config.blocks * self.config.pairs

    def residual_slices(self, tile: SequenceTile) -> ResidualStream:
        """Return a stream of `residual`, of a tile of the slice plane."""
        return ResidualStream(self, tile)

    def halve_blocks(self) -> None:
        """Compute the convolutions inside the blocks in bfloat16; see `SequenceGenerator.halve_blocks`."""
        self.blocks = nn.ModuleList(bfloat16.bfloat16_block(block) for block in self._dense_blocks)
        self.refine = nn.Sequential(bfloat16.Rounding(), bfloat16.InPlane(cast("nn.Conv3d", self.refine)))

    @property
    def _dense_blocks(self) -> list[AttentionDenseBlock]:
        return cast("list[AttentionDenseBlock]", list(self.blocks))

    def round_blocks(self) -> None:
        """Compute the convolutions inside the blocks in 8-bit integers; see `SequenceGenerator.round_blocks`."""
        *blocks, last = eight_bit.usable_ranges(self.largest_seen).split(2 * self.config.pairs + 1)
        self.blocks = nn.ModuleList(map(eight_bit.eight_bit_block, self._dense_blocks, blocks))
        self.refine = nn.Sequential(eight_bit.Rounding(last[0]), eight_bit.InPlane(self.refine, last[0]))

    @torch.no_grad()
    def see_features(self, seen: Iterable[tuple[Tensor, float]]) -> None:
        """See `SequenceGenerator.see_features`."""
        self.largest_seen.zero_()
        for lr, profile_width in seen:
            width = torch.full((lr.shape[0], 1), profile_width, device=lr.device, dtype=torch.float32)
            features, found = self.stem(lr, lr[:, :, -1:], WHOLE), []
            for block in self._dense_blocks:
                found += eight_bit.largest_features(block, features)
                features = block(features, width, WHOLE)
            found.append(eight_bit.largest(features))
            self.largest_seen.copy_(torch.maximum(self.largest_seen, torch.stack(found)))

    def features(
        self, lr: Tensor, profile_width: float, sequence: Sequence = WHOLE, following: Tensor | None = None
    ) -> Tensor:
        """(N, 1, K, J, I), mostly in [0, 1] -> (N, C, K, J, I).

        ``profile_width`` is the full width at half maximum of the slice profile, as a fraction of the slice distance.
        In a `SliceTurn`, ``lr`` is the next part of the volume and ``following`` the slice after it; features come
        `delay` slices later.
        """
        width = torch.full((lr.shape[0], 1), profile_width, device=lr.device, dtype=torch.float32)
        features = self.stem(lr, lr[:, :, -1:] if following is None else following, sequence)
        for block in self.blocks:
            features = sequence.trim(block(features, width, sequence), self.config.pairs)
        sequence.next_section()
        if not features.shape[2]:
            return features
        refine = self.refine
        refined = convolved_slices(refine, features) if isinstance(refine, nn.Conv3d) else refine(features)
        return sequence.trim(features + refined, 1)

    def residual(
        self, features: Tensor, positions: Tensor, factor: float, profile_width: float, *, seed: int = 0
    ) -> Tensor:
        """The residual to cubic interpolation at ``positions``: (N, C, K, J, I) -> (N, 1, M, J, I) float32.

        ``positions`` are ascending, (M,), in units of the input slice, from -1/2 to K - 1/2. The first and last
        features are repeated beyond the ends.
        """
        before, after = features[:, :, :1], features[:, :, -1:]
        around = torch.cat([before, features, after], dim=2)
        before, after = around[:, :, :-1], around[:, :, 1:]
        smooth = self.between(before, after, positions + 1, factor, profile_width)
        return self.textured(smooth, before, after, positions + 1, seed=seed)

    def textured(
        self,
        smooth: Tensor,
        before: Tensor,
        after: Tensor,
        positions: Tensor,
        *,
        origin: tuple[int, int, int] = (0, 0, 0),
        seed: int = 0,
    ) -> Tensor:
        """The residual ``smooth`` (N, 1, M, J, I) of `between`, with random texture where the network has any.

        ``origin`` is the number of the first voxel along M, J and I in the whole refined volume.
        """
        if not (self.texture.requires_grad or self.texture.any()):
            return smooth
        slices, rows, columns = (
            torch.arange(size, device=smooth.device) + first
            for size, first in zip(smooth.shape[2:], origin, strict=True)
        )
        base = torch.floor(positions).clamp(0, before.shape[2] - 1)
        share = (positions - base).to(smooth.dtype)[:, None, None]
        strengths = (
            torch.einsum("tc,nckji->ntkji", self.texture.to(side.dtype), side.abs()).float()[:, :, base.long()]
            for side in (before, after)
        )
        strength = torch.lerp(next(strengths), next(strengths), share) / CONTRAST
        return smooth + (strength * grain(slices, rows, columns, seed=seed)).sum(dim=1, keepdim=True)

    def between(self, before: Tensor, after: Tensor, positions: Tensor, factor: float, profile_width: float) -> Tensor:
        """As `residual`, for ``positions`` in the intervals from each slice of ``before`` to that of ``after``."""
        intervals = before.shape[2]
        base = torch.floor(positions).clamp(0, intervals - 1)
        kernels = self.kernel((positions - base).float(), factor, profile_width).to(before.dtype)  # (M, 2, C)
        interval = base.long()
        per_interval = torch.bincount(interval, minlength=intervals)
        slots = int(per_interval.max())
        first_of_interval = torch.cumsum(per_interval, 0) - per_interval
        slot = torch.arange(len(positions), device=positions.device) - first_of_interval[interval]
        padded = kernels.new_zeros(intervals, slots, *kernels.shape[1:])
        padded[interval, slot] = kernels

        sides = (side.permute(0, 2, 1, 3, 4).flatten(3) for side in (before, after))  # (N, intervals, C, J*I)
        values = torch.matmul(padded[:, :, 0], next(sides)) + torch.matmul(padded[:, :, 1], next(sides))
        chosen = values.flatten(1, 2)[:, interval * slots + slot]  # (N, M, J*I)
        return chosen.float().unflatten(2, before.shape[-2:]).unsqueeze(1)

    def forward(
        self, lr: Tensor, positions: Tensor, factor: float, profile_width: float = 1.0, *, seed: int = 0
    ) -> Tensor:
        """Fine slices at ``positions``: cubic interpolation and the learned residual, (N, 1, M, J, I) float32."""
        interpolated = apply_along_sequence(cubic_matrix(lr.shape[2], positions), lr)
        return interpolated + self.residual(
            self.features(lr, profile_width), positions, factor, profile_width, seed=seed
        )
