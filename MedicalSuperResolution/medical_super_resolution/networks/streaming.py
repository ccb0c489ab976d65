"""A slice sequence processed whole, or as a stream of a few slices at a time, by the same network.

A network processes a sequence through `convolve` (or `around`) and `wait`. For a `WholeSequence` these are plain
calls. In a turn of a `SliceStream`, each convolution along the sequence keeps the two slices that its kernel still
needs, so that a long volume is computed once, in the memory of a few slices, without overlap or seams.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..physics.autocast import without_autocast
from .sections import Turn

_SEQUENCE = 2  # the K axis of (N, C, K, J, I)
_VOXELS_AT_ONCE = 16384


def runs_as_products(slices: Tensor) -> bool:
    """Whether to compute small convolutions as matrix products, which is faster: on a CPU, without gradients."""
    return slices.device.type == "cpu" and len(slices) == 1 and not torch.is_grad_enabled()


def by_rows(slices: Tensor) -> Tensor:
    """(1, C, K, J, I) -> (K, J, I, C), without a copy."""
    return slices.squeeze(0).permute(1, 2, 3, 0)


def by_voxel(slices: Tensor) -> Tensor:
    """(1, C, K, J, I) -> (K * J * I, C), without a copy where the channels lie last in memory."""
    return by_rows(slices).flatten(0, 2)


def slices_of(voxels: Tensor) -> Tensor:
    """(K, J, I, C) -> (1, C, K, J, I), without a copy: back from `by_rows`."""
    return voxels.permute(3, 0, 1, 2)[None]


def row_parts(slices: Tensor, voxels: int = _VOXELS_AT_ONCE) -> list[slice]:
    """Parts of a slice of (..., J, I), as ranges of rows: what is computed of one part stays in the cache."""
    rows, columns = slices.shape[-2:]
    parts = max(-(-rows * columns // voxels), 1)
    step = max(-(-rows // parts), 1)
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


def convolved_slices(convolution: nn.Conv3d, slices: Tensor) -> Tensor:
    """Apply a 1 x 3 x 3 convolution; on a CPU in 2-D, because PyTorch is slow for few slices in 3-D."""
    if not runs_as_products(slices):
        return learned_convolution(convolution, slices)
    weight = convolution.weight[:, :, 0]
    flat = functional.conv2d(slices[0].transpose(0, 1), weight, convolution.bias, padding=weight.shape[2] // 2)
    return flat.transpose(0, 1)[None]


def learned_convolution(convolution: nn.Conv3d, slices: Tensor) -> Tensor:
    """A convolution with gradients. On a CPU, a flat kernel is computed in 2-D, which is several times as fast.

    Others are computed in float32: for two slices, oneDNN (3.12 with AVX-512) returns uninitialized memory as the
    gradient in bfloat16 of a 3-D convolution.
    """
    weight, bias = convolution.weight, convolution.bias
    if slices.device.type != "cpu" or not slices.shape[2]:
        return convolution(slices)
    if 1 not in weight.shape[2:4]:
        with without_autocast("cpu"):
            return convolution(slices)
    if weight.shape[2] == 1:
        each = slices.transpose(1, 2).flatten(0, 1)
        flat = functional.conv2d(each, weight[:, :, 0], bias, padding=weight.shape[3] // 2)
        return flat.unflatten(0, (-1, slices.shape[2])).transpose(1, 2)
    flat = functional.conv2d(slices.flatten(3), weight[..., 0], bias, padding=(weight.shape[2] // 2, 0))
    return flat.unflatten(3, slices.shape[3:])


class WholeSequence:
    """All slices at once."""

    def convolve(self, convolution: nn.Conv3d, slices: Tensor) -> Tensor:
        """Apply a convolution whose kernel spans three slices; beyond the ends there are zeros."""
        if not runs_as_products(slices):
            return learned_convolution(convolution, slices)
        return _convolved(convolution, self.around(convolution, slices))

    def around(self, place: nn.Module, slices: Tensor) -> list[Tensor]:
        """The slices that a kernel over three slices needs: single ones, and zeros beyond the ends."""
        nothing = torch.zeros_like(slices[:, :, :1])
        return [nothing, *slices.split(1, dim=_SEQUENCE), nothing]

    def wait(self, place: tuple[nn.Module, str], slices: Tensor, count: int) -> Tensor:
        """The first ``count`` slices that have not been returned: all of them."""
        return slices

    def trim(self, slices: Tensor, width: int) -> Tensor:
        """Drop voxels near cut edges: none, the slices are whole."""
        return slices

    def next_section(self) -> None:
        """Let other threads enter a section of the network: there are none."""


class SliceStream:
    """State of a network between the turns of one slice sequence; each sequence needs its own.

    Parameters
    ----------
    cut_edges : tuple of bool
        Whether the tile was cut from a larger slice at its (first row, last row, first column, last column). Near a
        cut, convolutions see zero padding instead of tissue; `trim` drops the affected voxels.
    """

    def __init__(self, cut_edges: tuple[bool, bool, bool, bool] = (False, False, False, False)) -> None:
        self.cut_edges = cut_edges
        self.kernels: dict[nn.Module, list[Tensor]] = {}  # the last two slices that each convolution has seen
        self.waiting: dict[tuple[nn.Module, str], list[Tensor]] = {}


class SliceTurn:
    """One pass of the next slices of a `SliceStream` through the sections of the network.

    The last slices are followed by turns without slices (K = 0), one for each convolution along the sequence, which
    then returns the slice that it kept.
    """

    def __init__(self, stream: SliceStream, turn: Turn) -> None:
        self._stream, self._turn = stream, turn
        self.next_section = turn.next_section

    def convolve(self, convolution: nn.Conv3d, slices: Tensor) -> Tensor:
        """As in `WholeSequence`, but one slice behind its input until the stream is ending."""
        parts = self._around(convolution, slices)
        if not parts:
            return slices.new_zeros(slices.shape[0], convolution.out_channels, 0, *slices.shape[3:])
        return _convolved(convolution, parts)

    def around(self, place: nn.Module, slices: Tensor) -> list[Tensor]:
        """As in `WholeSequence`, of the next slices that have both neighbors; fewer than three where there are none."""
        return [one for part in self._around(place, slices) for one in part.split(1, dim=_SEQUENCE)]

    def _around(self, place: nn.Module, slices: Tensor) -> list[Tensor]:
        kernels = self._stream.kernels
        if not slices.shape[_SEQUENCE]:
            if self._turn.is_ending and place in kernels:
                known = kernels.pop(place)
                return [*known, torch.zeros_like(known[-1][:, :, :1])]
            return []
        known = [*(kernels.get(place) or [torch.zeros_like(slices[:, :, :1])]), slices]
        if slices.shape[_SEQUENCE] > 1:
            whole = torch.cat(known, dim=_SEQUENCE)
            kernels[place] = [whole[:, :, -2:].clone()]
            return [whole]
        kernels[place] = _last_two(known)
        return known

    def wait(self, place: tuple[nn.Module, str], slices: Tensor, count: int) -> Tensor:
        """As in `WholeSequence`: delay slices like others, which lag behind because of convolutions.

        ``place`` names the queue.
        """
        queue = self._stream.waiting.setdefault(place, [])
        if slices.shape[_SEQUENCE]:
            queue.append(slices)
        if not count:
            return slices[:, :, :0]
        if queue[0].shape[_SEQUENCE] == count:  # single slices need no copies
            return queue.pop(0)
        whole = torch.cat(queue, dim=_SEQUENCE)
        self._stream.waiting[place] = [whole[:, :, count:].clone()] if whole.shape[_SEQUENCE] > count else []
        return whole[:, :, :count]

    def trim(self, slices: Tensor, width: int) -> Tensor:
        """Drop ``width`` voxels at each cut edge of the tile."""
        top, bottom, left, right = (width * cut for cut in self._stream.cut_edges)
        kept = slices[:, :, :, top : slices.shape[3] - bottom, left : slices.shape[4] - right]
        if kept.device.type != "cpu":
            return kept
        return kept.contiguous(memory_format=torch.channels_last_3d)  # once, instead of in each layer that reads it


def _last_two(parts: list[Tensor]) -> list[Tensor]:
    """The parts that hold the last two slices, of which the last part is one."""
    before = parts[-2] if parts[-2].shape[_SEQUENCE] == 1 else parts[-2][:, :, -1:].clone()
    return [before, parts[-1]]


def _convolved(convolution: nn.Conv3d, parts: list[Tensor]) -> Tensor:
    """A convolution over three slices, for the slices that have both neighbors: K slices in parts -> K - 2."""
    count = sum(part.shape[_SEQUENCE] for part in parts)
    first = parts[0]
    if count < 3:
        return first.new_zeros(first.shape[0], convolution.out_channels, 0, *first.shape[3:])
    slices = parts if len(parts) == count else [one for part in parts for one in part.split(1, dim=_SEQUENCE)]
    _, rows, columns = convolution.kernel_size
    if not runs_as_products(first):
        known = torch.cat(parts, dim=_SEQUENCE) if len(parts) > 1 else first
        return functional.conv3d(known, convolution.weight, convolution.bias, padding=(0, rows // 2, columns // 2))
    weight = convolution.weight.transpose(1, 2).flatten(1, 2)  # three slices as channels of one
    flat = [torch.cat(slices[number : number + 3], dim=1)[:, :, 0] for number in range(count - 2)]
    known = torch.cat(flat).contiguous(memory_format=torch.channels_last)
    mixed = functional.conv2d(known, weight, convolution.bias, padding=(rows // 2, columns // 2))
    return mixed.transpose(0, 1)[None]


Sequence = WholeSequence | SliceTurn
WHOLE = WholeSequence()
