"""The interface of a training task: a network, a data set, a training step, and an exported file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from ..config.recipe import Recipe
from ..data.batch import Batch
from ..data.loader import Sampler
from ..data.manifest import Entry
from ..evaluation.cases import Case

BatchType = TypeVar("BatchType", bound=Batch)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Output of a network for a batch, and its loss.

    Parameters
    ----------
    terms
        Weighted terms of the loss that count from the first step on, by their names in `LOSS_TERMS`.
    sr, hr
        Result and truth, (N, 1, K, J, I), that the terms of the adversarial stage compare; None for a task that has no
        such stage.
    factor_k
        Refinement factor along K; 1 where slices are refined in their plane.
    """

    terms: dict[str, Tensor]
    sr: Tensor | None = None
    hr: Tensor | None = None
    factor_k: float = 1.0


@dataclass(frozen=True, eq=False)
class DiscriminatorInput:
    """Input of a discriminator.

    Parameters
    ----------
    made, real
        (N, 1, K, J, I), output of the network and truth.
    condition
        (N, 1, K, J, I), the second input of a conditional discriminator.
    """

    made: Tensor
    real: Tensor
    condition: Tensor


class TrainingTask(ABC, Generic[BatchType]):
    """A trainable task of a recipe: the interface that the training loop uses.

    Parameters
    ----------
    recipe
        The settings of the run.
    """

    loss_terms: tuple[str, ...] = ()  # those of `LOSS_TERMS` whose weight counts; "adversarial" for such a stage

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @abstractmethod
    def network(self) -> nn.Module:
        """Build the network with fresh weights."""

    @abstractmethod
    def dataset(self, entries: list[Entry]) -> Sampler[BatchType]:
        """Sampler that draws the batch of each step from prepared volumes."""

    @abstractmethod
    def predict(self, network: nn.Module, batch: BatchType) -> Prediction:
        """Run the network on a batch and compute the content terms of the loss."""

    @abstractmethod
    def export(self, path: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write the file that is used afterwards."""

    def take_weights(self, network: nn.Module, other: nn.Module, entries: list[Entry]) -> None:
        """Give the network the weights of another, to start from; ``entries`` are the volumes of the run.

        Raises
        ------
        RuntimeError
            It is another kind of network, or of another size.
        """
        network.load_state_dict(other.state_dict())

    def calibrate(self, network: nn.Module, entries: list[Entry], log: Callable[[str], object]) -> None:
        """Complete the network, before its export, with what is measured on the volumes that it was trained on."""

    @abstractmethod
    def pictures(self, network: nn.Module, batch: BatchType) -> tuple[Tensor, ...]:
        """Volumes (N, 1, K, J, I) to look at side by side; rows and columns of a picture are their last two axes."""

    def discriminator_input(self, prediction: Prediction, batch: BatchType) -> DiscriminatorInput:
        """The volumes for the discriminator; called only if the task has an adversarial stage."""
        raise NotImplementedError

    def validation_case(self) -> Case | None:
        """Degradation of the validation volumes; None where the network does not refine volumes."""
        return None

    @property
    def network_name(self) -> str:
        """Name of the trained network, for the user."""
        return self.recipe.task

    def description(self) -> dict[str, dict[str, Any]]:
        """Entries of the card of the exported model beside modalities and steps, by section."""
        return {}
