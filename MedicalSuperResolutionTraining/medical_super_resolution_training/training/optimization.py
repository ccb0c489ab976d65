"""Precision and optimizer step of a training step; a loss that is not finite is refused."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from medical_super_resolution.errors import SettingsError, SuperResolutionError
from medical_super_resolution.inference.device import cpu_has_amx
from medical_super_resolution.physics.autocast import without_autocast

from ..config.recipe import Recipe
from .distributed import DistributedContext
from .state import TrainingState


def precision(recipe: Recipe, network: nn.Module) -> AbstractContextManager[None]:
    """The context of a forward pass: bfloat16 for convolutions and products, float32 for what sums up, or all float32.

    bfloat16 has the range of float32, so that losses need no scaling. CPUs take it where it is much faster and the
    network's gradients are right. Apple's cards compute in float32: not every PyTorch has autocast for them.
    """
    kind = next(network.parameters()).device.type
    on_cpu = kind == "cpu" and cpu_has_amx() and getattr(network, "has_gradients_in_bfloat16", False)
    if recipe.mixed_precision and (kind == "cuda" or on_cpu):
        return torch.autocast(kind, dtype=torch.bfloat16)
    return without_autocast(kind)


def update_generator(
    state: TrainingState,
    terms: dict[str, Tensor],
    discriminator_values: dict[str, Tensor],
    files: tuple[str, ...],
    recipe: Recipe,
    context: DistributedContext,
) -> dict[str, Tensor]:
    """Step down the gradient of the sum of the terms, and update the average of the weights.

    Parameters
    ----------
    discriminator_values
        Values of the discriminator, for the curves.
    files
        Files of the batch, for the error message.

    Returns
    -------
    The terms and ``discriminator_values``, detached.

    Raises
    ------
    SettingsError
        There are no terms.
    SuperResolutionError
        The loss or its gradient is not finite.
    """
    if not terms:
        raise SettingsError(f"the loss has no term at step {state.step}; give loss.l1 or another a weight above 0")
    state.optimizer.zero_grad(set_to_none=True)
    loss = torch.stack(list(terms.values())).sum()
    shared = terms.get("adversarial", torch.zeros_like(loss))  # of all processes, see DistributedContext.gather_scores
    (loss + (context.world - 1) * shared).backward()
    context.average_gradients(state.generator.parameters())
    norm = nn.utils.clip_grad_norm_(state.generator.parameters(), recipe.gradient_clip)
    check_finite([loss, norm, *discriminator_values.values()], state.step, files)
    state.optimizer.step()
    state.averaged.update_parameters(state.generator)
    return {name: value.detach() for name, value in (terms | discriminator_values).items()}


def check_finite(values: Iterable[Tensor], step: int, files: tuple[str, ...]) -> None:
    """Stop a run before its weights are damaged."""
    for value in values:
        if not torch.isfinite(value):
            raise SuperResolutionError(
                f"the loss is {value.item()} at step {step}, on patches of {', '.join(sorted(set(files)))}"
            )
