"""Interfaces of generators and discriminators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .sections import Turn

ANY_AXIS = "any"


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Capabilities of a generator.

    Parameters
    ----------
    axes : {"any", "in-plane"}
        Which axes one pass refines: one, whichever it is, or both in-plane axes together.
    factors : tuple of float
        Supported refinement factors. Empty for any factor up to the largest of the settings.
    needs_profile : bool
        Whether the slice profile is one of its inputs.
    precisions : tuple of str
        Supported values of ``EnhanceSettings.precision``, besides "auto".
    """

    axes: str
    factors: tuple[float, ...] = ()
    needs_profile: bool
    precisions: tuple[str, ...] = ("float32", "mixed")

    @property
    def in_one_pass(self) -> bool:
        """Whether all axes that are refined are refined at once."""
        return self.axes != ANY_AXIS


class Generator(nn.Module, ABC):
    """A network that refines volumes: a `SequenceGenerator` or an `InPlaneGenerator`.

    Attributes
    ----------
    config : dataclass
        The configuration that it was built from; it is kept in the header of a model file.
    has_gradients_in_bfloat16 : bool
        Whether it can be trained in bfloat16 on a CPU: all its convolutions are `streaming.learned_convolution`.
    """

    config: Any
    has_gradients_in_bfloat16 = False

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """The capabilities of the generator."""


@dataclass(frozen=True, eq=False)
class SequenceTile:
    """The output slices that a stream computes, for one tile of the slice plane.

    Parameters
    ----------
    positions : Tensor
        (M,) places of the output slices, ascending, in units of the input slice.
    factor : float
        Output slices per input slice.
    profile_width : float
        Full width at half maximum of the slice profile, as a fraction of the slice distance.
    cut_edges : tuple of bool
        Edges (top, bottom, left, right) beyond which the plane continues; there the output is smaller than the input by
        the reach. See `streaming.SliceStream`.
    origin : tuple of int
        Number of the first output voxel along M, J and I in the whole refined volume.
    """

    positions: Tensor
    factor: float
    profile_width: float
    cut_edges: tuple[bool, bool, bool, bool] = (False, False, False, False)
    origin: tuple[int, int, int] = (0, 0, 0)


class ResidualSlices(Protocol):
    """A stream that takes slices and returns slices of the residual; see `residual_stream.ResidualStream`."""

    def push(self, turn: Turn, lr: Tensor, following: Tensor | None) -> list[Tensor]:
        """Take the next slices (N, 1, k, J, I), and return the next output slices (N, 1, m, J, I) in parts."""


class SequenceGenerator(Generator):
    """A generator that refines a slice sequence along its axis, and can take it a few slices at a time."""

    @property
    @abstractmethod
    def reach(self) -> int:
        """Receptive field to each side, in voxels of the slice plane."""

    @property
    @abstractmethod
    def slices_in_flight(self) -> int:
        """About how many slices of ``config.channels`` features a stream holds, besides those being pushed."""

    @property
    @abstractmethod
    def delay(self) -> int:
        """Slices by which the output lags behind the input; a stream ends with as many turns without slices."""

    @abstractmethod
    def residual_slices(self, tile: SequenceTile) -> ResidualSlices:
        """Return a stream of what the network adds to cubic interpolation: see `residual_stream.ResidualStream`."""

    @abstractmethod
    def halve_blocks(self) -> None:
        """Compute the convolutions inside the blocks in bfloat16, for a CPU.

        The features that they are added to, the first differences and the weights of the fine slices stay float32.
        """

    @abstractmethod
    def round_blocks(self) -> None:
        """Compute the convolutions inside the blocks in 8-bit integers, for a CPU; see `eight_bit`.

        The features that they are added to, their gates, the first differences and the fine slices stay float32.
        """

    def see_features(self, seen: Iterable[tuple[Tensor, float]]) -> None:
        """Note how large features are, for 8-bit integers that hold them; a model file keeps it.

        Capabilities include the precision "int8" from then on. A generator without 8-bit integers does nothing.

        Parameters
        ----------
        seen
            Slices (N, 1, K, J, I), mostly in [0, 1], each with the width of their slice profile, see `SequenceTile`.
        """


class InPlaneGenerator(Generator):
    """A generator that refines both axes of the slice plane at once.

    Attributes
    ----------
    factor : int
        How many times finer J and I become.
    """

    factor: int

    @property
    def sequence_reach(self) -> int:
        """Receptive field to each side along K, in slices."""
        return 0

    @property
    def capabilities(self) -> Capabilities:
        """Both in-plane axes at once, by the factor of the configuration."""
        return Capabilities(axes="in-plane", factors=(float(self.factor),), needs_profile=False)


class Discriminator(nn.Module):
    """(N, 1, K, J, I) -> (N, M) scores before a sigmoid, M for each volume; high for real volumes.

    Attributes
    ----------
    conditional : bool
        Whether it takes a second channel, the interpolated input; see `with_condition`.
    has_features : bool
        Whether `scores_and_features` also returns features.
    """

    conditional = False
    has_features = False

    def scores_and_features(self, volume: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the scores, and the features of its stages for `losses.adversarial_feature_loss`."""
        return self(volume), []

    def with_condition(self, volume: Tensor, interpolated: Tensor) -> Tensor:
        """Return the input of the discriminator: the volume, and if it is conditional, the interpolated input."""
        return torch.cat([volume, interpolated], dim=1) if self.conditional else volume
