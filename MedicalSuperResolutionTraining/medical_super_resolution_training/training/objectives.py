"""What the generator minimises: the terms of a recipe's loss, weighed, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from medical_super_resolution.models.perceptual_weights import encoder_file, load_encoder, load_vgg
from medical_super_resolution.networks.generators import Generator
from medical_super_resolution.networks.generators.plane import PlaneGenerator, enlarged, in_slices, in_volumes
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.objectives.perceptual import perceptual_distance, vgg_distance
from medical_super_resolution.objectives.terms import CONTENT, LOSS_TERMS, terms_of
from medical_super_resolution.physics.interpolation import apply_along_sequence, cubic_matrix

from ..config.recipe import PerceptualSettings, Recipe
from ..data.planes import PlaneBatch
from ..data.sequences import Batch

AnyBatch = Batch | PlaneBatch
Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a generator made of a batch, (N, 1, K, J, I) each.

    versions : volumes with their share of the content loss. shown : the one that perceptual and adversarial losses
    judge, because users get it.
    """

    versions: tuple[tuple[float, Tensor], ...]
    shown: Tensor


def answer(generator: nn.Module, batch: AnyBatch, recipe: Recipe) -> Answer:
    """Refine a batch; a slice sequence also as its projection onto what the measured slices allow."""
    if isinstance(batch, PlaneBatch):
        sr = generator(batch.lr)
        return Answer(((1.0, sr),), sr)
    sr = generator(batch.lr, batch.positions, batch.factor, batch.width)
    if not recipe.consistent_weight:
        return Answer(((1.0, sr),), sr)
    missing = batch.lr - apply_along_sequence(batch.acquisition, sr)
    consistent = sr + apply_along_sequence(batch.consistency, missing)
    return Answer(((1 - recipe.consistent_weight, sr), (recipe.consistent_weight, consistent)), consistent)


def content_terms(made: Answer, hr: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    """The terms that compare voxels."""
    terms = {}
    for name in terms_of(CONTENT):
        weight = getattr(recipe.loss, name)
        if weight:
            parts = [share * LOSS_TERMS[name].distance(sr, hr) for share, sr in made.versions if share]
            terms[name] = weight * sum(parts[1:], start=parts[0])
    return terms


def gauge_loss(generator: ThroughPlaneGenerator, batch: Batch) -> Tensor:
    """Squared error of the blur gauge on features that are not trained."""
    features = generator.features(batch.lr, batch.thickness).detach()
    return (generator.gauge(features) - batch.width).square().mean()


def interpolated(batch: AnyBatch) -> Tensor:
    """The low-resolution volumes, interpolated to the size of the high-resolution ones."""
    if isinstance(batch, PlaneBatch):
        return in_volumes(enlarged(in_slices(batch.lr), batch.factor), batch.lr.shape[2])
    return apply_along_sequence(cubic_matrix(batch.lr.shape[2], batch.positions), batch.lr)


def perceptual_features(settings: PerceptualSettings, device: str) -> Distance:
    """The distance that a perceptual loss measures, with its weights.

    Raises
    ------
    ModelError : the weights are not there; for VGG-19 the message says both ways out.
    """
    if settings.features == "slice-encoder":
        encoder = load_encoder(Path(settings.file) if settings.file else encoder_file()).to(device)
        return lambda sr, hr: perceptual_distance(encoder, sr, hr)
    activated = settings.features == "vgg"
    vgg = load_vgg(Path(settings.file) if settings.file else None, activated=activated).to(device)
    return lambda sr, hr: vgg_distance(vgg, sr, hr)


def refines_planes(generator: Generator) -> bool:
    """Whether a generator takes in-plane batches."""
    return isinstance(generator, PlaneGenerator)
