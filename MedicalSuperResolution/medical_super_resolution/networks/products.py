"""Products of features and small matrices, by the library that is fastest on this processor.

PyTorch multiplies matrices by MKL, which does not use AVX-512 on processors of AMD. Since Zen 5, oneDNN, which PyTorch
uses for convolutions, is about twice as fast there; before, AVX-512 took as long as two halves by AVX2. Both libraries
give the same results, to the last bit.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from ..system.identity import amd_family

_FEWEST_VOXELS = 2048  # for fewer, or for less than a vector of outputs, a convolution takes longer
_FEWEST_OUTPUTS = 16
_ZEN_5 = 26  # the family that it began


def product(voxels: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(V, C) voxels, (O, C) weights and (O,) bias -> (V, O)."""
    multiply = _convolved if _is_faster_as_convolution(voxels, weight) else functional.linear
    return multiply(voxels, weight, bias)


def add_product(sums: Tensor, voxels: Tensor, weight: Tensor) -> Tensor:
    """Add the `product` to ``sums`` (V, O), in place."""
    if _is_faster_as_convolution(voxels, weight):
        return sums.add_(_convolved(voxels, weight))
    return sums.addmm_(voxels, weight.t())


def _convolved(voxels: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    image = voxels[None, None].permute(0, 3, 1, 2)  # without a copy
    # The dilation means nothing to a 1 x 1 kernel. Without it, PyTorch takes MKL for a single image.
    return functional.conv2d(image, weight[:, :, None, None], bias, dilation=2)[0, :, 0].t()


def _is_faster_as_convolution(voxels: Tensor, weight: Tensor) -> bool:
    is_large = len(voxels) >= _FEWEST_VOXELS and len(weight) >= _FEWEST_OUTPUTS and voxels.is_contiguous()
    return is_large and voxels.dtype == torch.float32 and mkl_lacks_instructions()


@functools.cache
def mkl_lacks_instructions() -> bool:
    """Whether this processor has instructions that would be faster than those that MKL uses on it."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and amd_family() >= _ZEN_5
