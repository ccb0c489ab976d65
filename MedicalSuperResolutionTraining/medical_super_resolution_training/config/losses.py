"""The tables of a recipe that describe its loss: weights, perceptual features, discriminator."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from medical_super_resolution.objectives.terms import LOSS_TERMS

from .checks import check_betas, check_choice, check_not_negative, check_positive, check_types

PERCEPTUAL_FEATURES = ("slice-encoder", "vgg", "vgg-before-activation", "efficientnet-lite2")
ADVERSARIAL_KINDS = ("wasserstein", "adaptive-wasserstein", "gan", "hinge", "relativistic", "relativistic-pairs")

_Weights: Any = dataclasses.make_dataclass(
    "_Weights",
    [(name, "float", field(default=term.weight)) for name, term in LOSS_TERMS.items()],
    frozen=True,
    kw_only=True,
)


@dataclass(frozen=True, kw_only=True)
class LossWeights(_Weights):
    """Weight of each of `LOSS_TERMS` in the loss of the generator; 0 leaves a term out."""

    def __post_init__(self) -> None:
        check_types(type(self), vars(self), "loss.")
        check_not_negative(self, tuple(LOSS_TERMS), "loss.")


@dataclass(frozen=True, kw_only=True)
class PerceptualSettings:
    """Which features the perceptual loss compares.

    Parameters
    ----------
    features
        "slice-encoder" (the project's own), "vgg" (VGG-19's layer 5_4), "vgg-before-activation", all of slices; or
        "efficientnet-lite2", of coronal and sagittal cuts.
    file
        File of their weights; empty for the shipped encoder, or for VGG-19 where torch hub keeps it.
    """

    features: str = "slice-encoder"
    file: str = ""

    def __post_init__(self) -> None:
        check_types(type(self), vars(self), "perceptual.")
        check_choice("perceptual.features", self.features, PERCEPTUAL_FEATURES)


@dataclass(frozen=True, kw_only=True)
class AdversarialSettings:
    """The discriminator and how it is trained.

    Parameters
    ----------
    discriminator
        Name in DISCRIMINATORS.
    discriminator_config
        Settings of the discriminator; the others keep their defaults.
    kind
        "wasserstein" (with gradient penalty), "adaptive-wasserstein" (the same, and the critic is trained until it is
        not behind, at most ``steps`` times; MedGAN), "gan", "hinge", "relativistic" (average), or
        "relativistic-pairs" (truth and result at the same place).
    head_start
        Steps at the start of the adversarial stage in which only the discriminator learns from its judgment.
    penalty
        Weight of the gradient penalty of the Wasserstein kinds.
    steps
        Steps of the discriminator for each one of the generator.
    learning_rate
        Learning rate of the generator in the adversarial stage.
    discriminator_learning_rate, betas
        Parameters of the discriminator's Adam.
    """

    discriminator: str = ""
    discriminator_config: dict[str, Any] = field(default_factory=dict)
    kind: str = "wasserstein"
    head_start: int = 0
    penalty: float = 10.0
    steps: int = 1
    learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    betas: tuple[float, ...] = (0.5, 0.9)

    def __post_init__(self) -> None:
        check_types(type(self), vars(self), "adversarial.")
        check_choice("adversarial.kind", self.kind, ADVERSARIAL_KINDS)
        check_positive(self, ("steps", "learning_rate", "discriminator_learning_rate"), "adversarial.")
        check_not_negative(self, ("head_start", "penalty"), "adversarial.")
        check_betas("adversarial.betas", self.betas)
