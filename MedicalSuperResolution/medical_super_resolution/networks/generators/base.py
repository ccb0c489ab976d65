"""What every generator states about itself, so that nothing else has to ask for its class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from torch import nn

if TYPE_CHECKING:
    from .plane import PlaneGenerator
    from .through_plane import ThroughPlaneGenerator

_Refiner = TypeVar("_Refiner", covariant=True)
_Made = TypeVar("_Made")

ANY_AXIS = "any"


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a generator can do.

    Parameters
    ----------
    axes : {"any", "in-plane"}
        Which axes one pass refines: one, whichever it is, or both in-plane axes together.
    factors : tuple of float
        The factors it was made for. Empty for any factor up to the largest of the settings.
    reach : int or None
        How many voxels away, in the plane of a slice, an input can still change an output. None for the whole slice.
    needs_profile : bool
        Whether it takes the slice profile.
    precisions : tuple of str
        The values of ``EnhanceSettings.precision`` that it can compute in, beside "auto".
    """

    axes: str
    factors: tuple[float, ...] = ()
    reach: int | None
    needs_profile: bool
    precisions: tuple[str, ...] = ("float32", "mixed")

    @property
    def in_one_pass(self) -> bool:
        """Whether all axes that are refined are refined at once."""
        return self.axes != ANY_AXIS


class RefinerFactory(Protocol[_Refiner]):
    """Makes the refiners of the engine; a generator chooses one of them in `Generator.make_refiner`."""

    def sequence_refiner(self, generator: ThroughPlaneGenerator) -> _Refiner:
        """Make one that streams slices, tile by tile, along one axis after the other."""

    def plane_refiner(self, generator: PlaneGenerator) -> _Refiner:
        """Make one that takes whole slices, a few at a time."""


class Generator(nn.Module, ABC):
    """A network that refines volumes.

    Attributes
    ----------
    config : dataclass
        The configuration that it was built from; it is kept in the header of a model file.
    """

    config: Any

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the generator can do."""

    @abstractmethod
    def make_refiner(self, factory: RefinerFactory[_Made]) -> _Made:
        """Return what runs this generator through a volume."""
