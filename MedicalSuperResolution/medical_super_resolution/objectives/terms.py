"""Table of all loss terms, from which weights of recipes, training steps and curves derive.

This file imports no torch, so that a recipe can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CONTENT, ADVERSARIAL = "content", "adversarial"  # the stages of a training


@dataclass(frozen=True)
class LossTerm:
    """One term of the generator's loss.

    Parameters
    ----------
    stage
        `CONTENT` for a term that counts from the first step on, `ADVERSARIAL` for one that counts only while a
        discriminator is trained.
    function
        Name of its function in `losses`, ``(sr, hr) -> ()``; empty where the training step computes the term itself.
    weight
        Weight in a recipe that does not give one.
    """

    stage: str
    function: str = ""
    weight: float = 0.0

    @property
    def distance(self) -> Callable[..., Any]:
        """The function of the term."""
        from . import losses

        return getattr(losses, self.function)


LOSS_TERMS: dict[str, LossTerm] = {
    "l1": LossTerm(CONTENT, "absolute_error", weight=1.0),
    "mse": LossTerm(CONTENT, "squared_error"),
    "gradient": LossTerm(CONTENT, "gradient_error"),
    "squared_gradient": LossTerm(CONTENT, "squared_gradient_error"),
    "gradient_difference": LossTerm(CONTENT, "gradient_difference_variation"),
    "spectrum": LossTerm(ADVERSARIAL),  # log power along the slice sequence, see objectives.spectrum
    "perceptual": LossTerm(ADVERSARIAL),  # distance of features, see PerceptualSettings
    "adversarial": LossTerm(ADVERSARIAL),  # judgment of the discriminator, see AdversarialSettings
    "adversarial_features": LossTerm(ADVERSARIAL),  # squared distance of the features of the discriminator
}

CONTENT_TERMS = tuple(name for name, term in LOSS_TERMS.items() if term.stage == CONTENT)
