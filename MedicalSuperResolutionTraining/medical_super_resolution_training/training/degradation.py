"""A step of training a down-sampler: keep the low frequencies, take the high ones from measured coarse scans.

Low frequencies are compared with those of the bicubic result, which shrinking leaves as they are. A discriminator sees
the high ones alone, of what was made and of coarse scans of other patients.

References
----------
.. [1] Fritsche, Gu and Timofte (2019), Frequency separation for real-world super-resolution (DSGAN). arXiv:1911.07850
"""

from __future__ import annotations

from torch import Tensor

from medical_super_resolution.networks.down_sampler import high_frequencies, low_frequency_loss
from medical_super_resolution.objectives.degradation import bicubic_decimated

from ..config.recipe import Recipe
from ..data.planes import PlaneBatch
from ..data.unpaired import UnpairedBatch
from .adversarial import adversarial_terms, train_discriminator
from .distributed import Team
from .objectives import Distance
from .optimisation import precision, update_generator
from .state import TrainingState


def degradation_step(
    state: TrainingState, batch: UnpairedBatch, recipe: Recipe, perceptual: Distance | None, team: Team
) -> dict[str, Tensor]:
    """One step of the discriminator and one of the down-sampler, as `trainer.training_step` for generators.

    The recipe's weight of "l1" is that of the low frequencies.
    """
    with precision(recipe, batch.hr.device):
        made = state.generator(batch.hr)
        shrunk = bicubic_decimated(batch.hr, batch.factor)
        terms = {"l1": recipe.loss.l1 * low_frequency_loss(made, shrunk)}
        judged, fake = high_frequencies(batch.lr), high_frequencies(made)
    seen: dict[str, Tensor] = {}
    if state.step >= recipe.content_steps and state.discriminator is not None:
        real = PlaneBatch(shrunk, judged, 1, batch.files)
        seen = train_discriminator(state, real, fake, recipe, team)
        with precision(recipe, batch.hr.device):
            terms |= adversarial_terms(state.discriminator, real, fake, recipe, team)
            if perceptual is not None:
                terms["perceptual"] = recipe.loss.perceptual * perceptual(made, shrunk)
    return update_generator(state, terms, seen, batch.files, recipe, team)
