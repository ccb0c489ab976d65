"""Attention dense blocks whose convolutions take features in fewer bits than float32.

The sums along a block are kept in float32, in one tensor that each pair adds to, and are rounded once for all that
reads them: the next pair and the dense connections. So float32 features are read and written seldom, which takes most
of the time besides the products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from ..blocks import AttentionDenseBlock, FactorizedPair
from ..streaming import Sequence, row_parts

_VOXELS_AT_ONCE = 32768  # more than in float32: two threads wait for each other between short operations


def large_parts(slices: Tensor) -> list[slice]:
    """`row_parts` for features in fewer bits."""
    return row_parts(slices, _VOXELS_AT_ONCE)


class NarrowPair(nn.Module):
    """A `FactorizedPair` whose convolutions take rounded features.

    Parameters
    ----------
    in_plane
        Rounded features (1, C, K, J, I) -> what is convolved along the sequence, rounded.
    sequence
        Its slices, those before and after them included, (1, C, 1, J, I) each, and features (1, C, K, J, I) in float32,
        to which it adds their convolution -> the sums, rounded.
    """

    def __init__(
        self, in_plane: Callable[[Tensor], Tensor], sequence: Callable[[list[Tensor], Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.in_plane = in_plane
        self.sequence = sequence

    def forward(self, features: Tensor, codes: Tensor, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """Features, which are changed in place, and the same rounded -> those of the result."""
        slices = sequence.around(self, self.in_plane(codes))
        features = sequence.wait((self, "features"), features, max(len(slices) - 2, 0))
        return features, self.sequence(slices, features)


class NarrowBlock(nn.Module):
    """An `AttentionDenseBlock` whose convolutions, but for its gate, take rounded features. It changes its input.

    Parameters
    ----------
    block
        The same in float32.
    rounding
        Features (1, C, K, J, I) in float32 -> the same, rounded.
    pairs
        Its pairs.
    fuse
        The dense connections: rounded features (1, C, 1, J, I) of each pair -> (1, C, 1, J, I) float32.
    """

    def __init__(
        self,
        block: AttentionDenseBlock,
        rounding: Callable[[Tensor], Tensor],
        pairs: list[NarrowPair],
        fuse: Callable[[list[Tensor]], Tensor],
    ) -> None:
        super().__init__()
        self.rounding = rounding
        self.pairs = nn.ModuleList(pairs)
        self.fuse = fuse
        self.gate = block.gate

    def forward(self, initial: Tensor, profile_width: Tensor, sequence: Sequence) -> Tensor:
        begun, features, gathered = self.gate.begun(initial), initial, [self.rounding(initial)]
        for pair in self.pairs:
            sequence.next_section()
            features, codes = pair(features, gathered[-1], sequence)
            gathered.append(codes)
        sequence.next_section()
        _, *earlier, last = gathered
        count = features.shape[2]
        begun = sequence.wait((self, "gate"), begun, count)
        earlier = [sequence.wait((self, str(number)), codes, count) for number, codes in enumerate(earlier)]
        for number in range(count):
            for rows in large_parts(features):
                part = (slice(None), slice(None), slice(number, number + 1), rows)
                dense = self.fuse([codes[part] for codes in (*earlier, last)])
                gate = self.gate(begun[part], dense, profile_width)
                features[part].addcmul_(gate, dense, value=AttentionDenseBlock.beta)
        return features


def pairs_of(block: AttentionDenseBlock) -> list[FactorizedPair]:
    """The pairs of a block."""
    return cast("list[FactorizedPair]", list(block.pairs))
