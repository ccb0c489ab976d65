"""What all steps have in common: their precision, and the optimiser's step; refused where a loss is not finite."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from medical_super_resolution.errors import SuperResolutionError

from ..config.recipe import Recipe
from .distributed import Team
from .state import TrainingState, update_average


def precision(recipe: Recipe, device: torch.device) -> torch.autocast:
    """The context of forward passes: bfloat16 for convolutions and products, float32 for what sums up, or all float32.

    bfloat16 has the range of float32, so that losses need no scaling.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.mixed_precision)


def update_generator(
    state: TrainingState,
    terms: dict[str, Tensor],
    seen: dict[str, Tensor],
    files: tuple[str, ...],
    recipe: Recipe,
    team: Team,
) -> dict[str, Tensor]:
    """Step down the slope of the terms' sum, and take the average along; ``files`` are those of the batch.

    Returns
    -------
    The terms and what else was ``seen``, for the curves.
    """
    state.optimizer.zero_grad(set_to_none=True)
    loss = torch.stack(list(terms.values())).sum()
    shared = terms.get("adversarial", torch.zeros_like(loss))  # a mean over all processes, see Team.all_scores
    (loss + (team.world - 1) * shared).backward()
    team.average_gradients(state.generator.parameters())
    norm = nn.utils.clip_grad_norm_(state.generator.parameters(), recipe.gradient_clip)
    refuse_what_is_not_finite([loss, norm, *seen.values()], state.step, files)
    state.optimizer.step()
    decay = min(recipe.average_decay, (1 + state.step) / (10 + state.step))
    update_average(state.average, state.generator, decay)
    return {name: value.detach() for name, value in (terms | seen).items()}


def refuse_what_is_not_finite(values: Iterable[Tensor], step: int, files: tuple[str, ...]) -> None:
    """Stop a run before its weights are spoilt."""
    for value in values:
        if not torch.isfinite(value):
            raise SuperResolutionError(
                f"the loss is {value.item()} at step {step}, on patches of {', '.join(sorted(set(files)))}"
            )
