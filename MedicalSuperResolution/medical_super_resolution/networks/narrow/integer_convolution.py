"""Convolutions of 8-bit integers: exact sums of products, by the library that PyTorch comes with for x86 (oneDNN).

PyTorch has it as an operator of its compiler, which is not part of the public interface. So it is tried before it is
used, and where it is missing or inexact, single precision takes its place: exact for such sums, too, but slower.
"""

from __future__ import annotations

import functools
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

_OFFSET = 128  # oneDNN takes integers without a sign
_ONES = [1, 1]


class IntegerConvolution:
    """A 2-D convolution of 8-bit integers, scaled: (J, I, C) int8 -> (J', I', O) float32.

    Parameters
    ----------
    weight : Tensor
        (O, C, j, i) int8; fewer than 1,024 in each output channel, so that single precision holds their sums.
    scale : Tensor
        (O,) that the sums are multiplied by.
    """

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        self.scale = scale
        self._weight = weight
        self._packed = _packed(weight) if operator_is_exact() else None

    def __call__(self, codes: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve; beyond the edges there are zeros."""
        if self._packed is not None:
            return _convolved(codes, self._packed, self.scale, padding)
        return _convolved_by_floats(codes, self._weight, self.scale, padding)


@functools.cache
def operator_is_exact() -> bool:
    """Whether PyTorch has the operator here, and it computes exact sums."""
    random = torch.Generator().manual_seed(0)
    weight = torch.randint(-127, 128, (16, 64, 3, 3), generator=random).to(torch.int8)
    codes = torch.randint(-127, 128, (9, 9, 64), generator=random).to(torch.int8)
    weight[0], codes[:4] = 127, 127  # sums that 16 bits could not hold
    scale = torch.ones(len(weight), dtype=torch.float32)
    try:
        found = _convolved(codes, _packed(weight), scale, (1, 1))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):  # another version of PyTorch, another CPU
        return False
    return torch.equal(found, _convolved_by_floats(codes, weight, scale, (1, 1)))


def _packed(weight: Tensor) -> Tensor:
    scale = torch.ones(len(weight), dtype=torch.float32)
    return cast(Tensor, torch.ops.onednn.qconv_prepack(weight, scale, 1.0, _OFFSET, _ONES, _ONES, _ONES, 1, None))


def _convolved(codes: Tensor, packed: Tensor, scale: Tensor, padding: tuple[int, int]) -> Tensor:
    shifted = codes.bitwise_xor(-_OFFSET).view(torch.uint8)  # adds the offset
    unshifted = torch.zeros(len(scale), dtype=torch.int32)
    inputs = (_as_image(shifted), 1.0, _OFFSET, packed, scale, unshifted, None)
    geometry = (_ONES, list(padding), _ONES, 1)
    convolve = torch.ops.onednn.qconv2d_pointwise
    return _by_voxel(convolve(*inputs, *geometry, 1.0, 0, torch.float32, "none", [], ""))


def _convolved_by_floats(codes: Tensor, weight: Tensor, scale: Tensor, padding: tuple[int, int]) -> Tensor:
    return _by_voxel(functional.conv2d(_as_image(codes.float()), weight.float(), padding=padding)).mul_(scale)


def _as_image(voxels: Tensor) -> Tensor:
    """(J, I, C) -> (1, C, J, I), without a copy."""
    return voxels.permute(2, 0, 1)[None]


def _by_voxel(image: Tensor) -> Tensor:
    """(1, C, J, I) -> (J, I, C), without a copy."""
    return image[0].permute(1, 2, 0)
