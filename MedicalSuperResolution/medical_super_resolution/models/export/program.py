"""A generator as one function of tensors with dynamic sizes and factors, which other runtimes can represent."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ...networks.generators.through_plane import ThroughPlaneGenerator
from ...networks.streaming import WHOLE
from ..file import Model

INPUTS = ("lr", "positions", "factor", "width")
OUTPUT = "sr"
_EXAMPLE = (5, 18, 20)  # K, J, I
_EXAMPLE_FACTOR = 3


class ThroughPlaneProgram(nn.Module):
    """Thick slices in, fine slices out, before data consistency.

    The result is that of `ThroughPlaneGenerator.forward`; every operation has a counterpart in ONNX.

    Parameters
    ----------
    generator : ThroughPlaneGenerator
        Its weights are shared, except in half precision.
    half : bool
        Compute the features in float16. Intensities, the weights of the fine slices and the result stay float32.
    """

    def __init__(self, generator: ThroughPlaneGenerator, *, half: bool = False) -> None:
        super().__init__()
        self.generator = generator
        if half:
            self.generator = copy.deepcopy(generator).half()
            self.generator.kernel.float()

    def forward(self, lr: Tensor, positions: Tensor, factor: Tensor, width: Tensor) -> Tensor:
        """Refine one sequence.

        Parameters
        ----------
        lr : Tensor of shape (1, 1, K, J, I), float32
            Thick slices, mostly in [0, 1]. K must be at least 2.
        positions : Tensor of shape (M,), float32
            Places of the fine slices in units of the thick ones, ascending, from -1/2 to K - 1/2.
        factor : Tensor of shape (1,), float32
            Fine slices for each thick one.
        width : Tensor of shape (1,), float32
            Full width at half maximum of the slice profile, in slice distances.

        Returns
        -------
        Tensor of shape (1, 1, M, J, I), float32
        """
        features = self.features(lr, width)
        around = torch.cat([features[:, :, :1], features, features[:, :, -1:]], dim=2)
        base = torch.clamp(torch.floor(positions + 1), min=torch.zeros(1), max=_last(lr))
        kernels = self.generator.kernel(positions + 1 - base, factor, width)  # (M, 2, C)
        first = base.long()
        before, after = (around.index_select(2, first + side) for side in (0, 1))
        weights = kernels.permute(1, 2, 0)[:, None, :, :, None, None]  # (2, 1, C, M, 1, 1)
        residual = (weights[0] * before.float() + weights[1] * after.float()).sum(dim=1, keepdim=True)
        return _cubic(lr, positions) + residual

    def features(self, lr: Tensor, width: Tensor) -> Tensor:
        """The features of the network, (1, C, K, J, I)."""
        generator = self.generator
        features = generator.stem(lr, lr[:, :, -1:], WHOLE)
        for block in generator.blocks:
            features = block(features, width.reshape(1, 1), WHOLE)
        return features + generator.refine(features)


def _last(lr: Tensor) -> Tensor:
    """The number of the last interval between slices, as a tensor: K is free."""
    return torch.ones_like(lr[0, 0, :, 0, 0]).sum().reshape(1)


def _cubic(lr: Tensor, positions: Tensor) -> Tensor:
    """Cubic convolution (Keys 1981, a = -1/2) along K; the first and last slice are repeated beyond the ends."""
    below = torch.floor(positions)
    phase = positions - below
    last = _last(lr) - 1
    total = torch.zeros_like(lr[:, :, :1])
    for tap in (-1, 0, 1, 2):
        distance = torch.abs(phase - tap)
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weight = torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))
        place = torch.clamp(below + tap, min=torch.zeros(1), max=last).long()
        total = total + weight[None, None, :, None, None] * lr.index_select(2, place)
    return total


def program_of(model: Model, *, half: bool = False) -> tuple[ThroughPlaneProgram, tuple[Tensor, ...]]:
    """The program of a model, and an example of its inputs.

    Parameters
    ----------
    model : Model
        A through-plane model.
    half : bool
        See `ThroughPlaneProgram`.

    Raises
    ------
    ModelError
        The model refines slices in their plane, or adds random texture, which these programs do not.
    """
    if not isinstance(model.generator, ThroughPlaneGenerator):
        raise ModelError(
            f"the model {model.name} is a {model.generator_name}; only through-plane models can be exported,"
            " such as general"
        )
    if model.generator.texture.any():
        raise ModelError(
            f"the model {model.name} adds random texture, which exported programs do not have; export general instead"
        )
    slices, rows, columns = _EXAMPLE
    lr = torch.rand(1, 1, slices, rows, columns, generator=torch.Generator().manual_seed(0))
    count = slices * _EXAMPLE_FACTOR
    positions = (torch.arange(count, dtype=torch.float32) + 0.5) / _EXAMPLE_FACTOR - 0.5
    factor = torch.tensor([float(_EXAMPLE_FACTOR)])
    return ThroughPlaneProgram(model.generator, half=half).eval(), (lr, positions, factor, torch.ones(1))
