"""Attention dense blocks in 8-bit integers.

The sums along a block are kept in float32, in one tensor that each pair adds to, and are rounded once for all that
reads them: the next pair and the dense connections. So float32 features are read and written seldom, which takes most
of the time besides the products.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ..blocks import AttentionDenseBlock, AttentionGate, FactorizedPair
from ..streaming import WHOLE, Sequence
from .layers import AlongSequence, InPlane, Pointwise, Rounding, integer_parts, largest


class EightBitPair(nn.Module):
    """A `FactorizedPair` in 8-bit integers.

    Parameters
    ----------
    pair
        The same in float32.
    ranges
        (3, C) of the features, of those that are convolved along the sequence, and of the result.
    """

    def __init__(self, pair: FactorizedPair, ranges: Tensor) -> None:
        super().__init__()
        self.in_plane = InPlane(pair.in_plane, ranges[0], ranges[1])
        self.sequence = AlongSequence(pair.sequence, ranges[1], ranges[2])

    def forward(self, features: Tensor, codes: Tensor, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """Features, which are changed in place, and their integers -> those of the result."""
        slices = sequence.around(self.sequence, self.in_plane(codes))
        features = sequence.wait((self, "features"), features, max(len(slices) - 2, 0))
        return features, self.sequence(slices, features)


class EightBitBlock(nn.Module):
    """An `AttentionDenseBlock` in 8-bit integers, but for its gate. It changes its input in place.

    Parameters
    ----------
    block
        The same in float32.
    ranges
        (2 pairs + 1, C) in the order of `largest_features`.
    """

    def __init__(self, block: AttentionDenseBlock, ranges: Tensor) -> None:
        super().__init__()
        self.rounding = Rounding(ranges[0])
        self.pairs = nn.ModuleList(
            EightBitPair(pair, ranges[2 * number : 2 * number + 3]) for number, pair in enumerate(pairs_of(block))
        )
        self.fuse = Pointwise(block.fuse, ranges[2::2].flatten())
        self.gate: AttentionGate = block.gate

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
            for rows in integer_parts(features):
                part = (slice(None), slice(None), slice(number, number + 1), rows)
                dense = self.fuse([codes[part] for codes in (*earlier, last)])
                gate = self.gate(begun[part], dense, profile_width)
                features[part].addcmul_(gate, dense, value=AttentionDenseBlock.beta)
        return features


def pairs_of(block: AttentionDenseBlock) -> list[FactorizedPair]:
    """The pairs of a block."""
    return cast("list[FactorizedPair]", list(block.pairs))


def largest_features(block: AttentionDenseBlock, features: Tensor) -> list[Tensor]:
    """Largest absolute features (C,) that enter each pair and its second convolution, and that leave the last."""
    found = []
    for pair in pairs_of(block):
        found += [largest(features), largest(pair.mixed(features))]
        features = pair(features, WHOLE)
    return [*found, largest(features)]
