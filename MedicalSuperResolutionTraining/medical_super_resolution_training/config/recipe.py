"""What a recipe may say: frozen dataclasses with every default in this file. `recipes` reads them from TOML."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.objectives.terms import LOSS_TERMS

SCHEDULES = ("cosine", "halving")
PERCEPTUAL_FEATURES = ("slice-encoder", "vgg", "vgg-before-activation")
ADVERSARIAL_KINDS = ("wasserstein", "adaptive-wasserstein", "gan", "relativistic")
NOISES = ("modality", "gaussian", "rician", "poisson")
_KINDS: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "dict": dict, "tuple": tuple, "bool": bool}


_Weights: Any = dataclasses.make_dataclass(
    "_Weights",
    [(name, "float", field(default=term.weight)) for name, term in LOSS_TERMS.items()],
    frozen=True,
    kw_only=True,
)


@dataclass(frozen=True, kw_only=True)
class LossWeights(_Weights):
    """How much each of `LOSS_TERMS` counts in what the generator minimises; 0 leaves a term out."""

    def __post_init__(self) -> None:
        check_types(self, "loss.")
        for name, weight in vars(self).items():
            if not weight >= 0:
                raise SettingsError(f"loss.{name} must not be below 0, got {weight}")


@dataclass(frozen=True, kw_only=True)
class PerceptualSettings:
    """Which features the perceptual loss compares.

    features : "slice-encoder" (the project's own), "vgg" (VGG-19's layer 5_4) or "vgg-before-activation".
    file : of their weights; empty for the shipped encoder, or for VGG-19 where torch hub keeps it.
    """

    features: str = "slice-encoder"
    file: str = ""

    def __post_init__(self) -> None:
        check_types(self, "perceptual.")
        check_choice("perceptual.features", self.features, PERCEPTUAL_FEATURES)


@dataclass(frozen=True, kw_only=True)
class AdversarialSettings:
    """The discriminator and how it is trained.

    discriminator : name in DISCRIMINATORS; discriminator_config : its settings, the rest keep their defaults.
    kind : "wasserstein" (with gradient penalty), "adaptive-wasserstein" (the same, and the critic is trained on until
    it is not behind, at most ``steps`` times; MedGAN), "gan", or "relativistic" (average).
    penalty : weight of the gradient penalty of the Wasserstein kinds. steps : of the discriminator for each one of the
    generator. learning_rate : of the generator in the adversarial stage. discriminator_learning_rate, betas : of the
    discriminator's Adam.
    """

    discriminator: str = ""
    discriminator_config: dict[str, Any] = field(default_factory=dict)
    kind: str = "wasserstein"
    penalty: float = 10.0
    steps: int = 1
    learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    betas: tuple[float, ...] = (0.5, 0.9)

    def __post_init__(self) -> None:
        check_types(self, "adversarial.")
        check_choice("adversarial.kind", self.kind, ADVERSARIAL_KINDS)
        check_positive(self, ("steps", "learning_rate", "discriminator_learning_rate"), "adversarial.")
        check_betas("adversarial.betas", self.betas)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run.

    task : what is trained: "generator"; "slice-profile", its estimator of the slice profile on frozen features;
    "slice-encoder", the encoder of the perceptual loss; "down-sampler", for ``degradation = "learned"``. See `tasks`.
    start_from : a model file to take the weights from; empty for fresh ones.
    generator : name in GENERATORS; generator_config : its settings, the rest keep their defaults.
    loss, perceptual, adversarial : tables, see `LossWeights`, `PerceptualSettings` and `AdversarialSettings`.
    steps, warm_up_steps : number of optimiser steps, and of those with a rising learning rate.
    content_fraction : share of the steps, at the start, with the content of the loss alone; the adversarial stage is
    the rest. It says nothing where the loss has an adversarial weight of 0.
    batch_size : patches a step. patch_slices : thick slices in a patch (of an in-plane generator: slices).
    patch_in_plane : voxels of its side, at high resolution where the plane is refined.
    learning_rate, final_learning_rate : peak and end of a stage. schedule : "cosine", or "halving" at each of the steps
    ``halve_at``. betas, epsilon : of Adam. average_decay : of the weight average.
    gradient_clip : largest norm of the gradient. mixed_precision : compute in bfloat16 where that loses nothing.
    factors, factor_weights : refinement factors that are drawn as they are, with these relative weights;
    any_factor_weight : relative weight of any factor in [1.25, 8]. In-plane generators have one, in their config.
    degradation : how an in-plane patch is coarsened: one of PLANE_DEGRADATIONS, such as "measured" (slice profiles as
    below), or "learned" by the down-sampler in ``degradation_model``.
    low_resolution : manifest of measured coarse scans, which a down-sampler learns to imitate.
    modality_shares : relative share of patches of each modality that the data have, 1 where it is not said.
    contrast_range : of the exponent of a power law that changes the contrast of a patch, as another scanner would.
    thickness_range : slice thickness over slice distance. box_fraction : share of box profiles, the rest are Gaussian.
    noise_fraction, noise_maximum : share of batches with noise on the slices, and its largest standard deviation
    (fraction of the intensity range). thick_in_plane_fraction : share of batches whose slices are themselves thick
    along one of their axes, as the second of two passes meets them. noise : its kind on in-plane patches, "modality"
    for the one that the modality has.
    consistent_weight : share of the content that is measured after the data-consistency projection, the rest on the raw
    output; where it is above 0, perceptual and adversarial losses judge the projected output. Slice sequences only.
    seed : of weights and patches. checkpoint_minutes : time between checkpoints.
    validate_every, sample_every : steps between validations on whole volumes and between sample pictures; 0 for never.
    A run shorter than ``validate_every`` is not validated; the end of a longer one always is.
    """

    task: str = "generator"
    start_from: str = ""
    generator: str = "through-plane"
    generator_config: dict[str, Any] = field(default_factory=dict)
    loss: LossWeights = field(default_factory=LossWeights)
    perceptual: PerceptualSettings = field(default_factory=PerceptualSettings)
    adversarial: AdversarialSettings = field(default_factory=AdversarialSettings)
    steps: int = 10_000
    warm_up_steps: int = 200
    content_fraction: float = 0.5
    batch_size: int = 8
    patch_slices: int = 8
    patch_in_plane: int = 40
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-5
    schedule: str = "cosine"
    halve_at: tuple[float, ...] = ()
    betas: tuple[float, ...] = (0.9, 0.99)
    epsilon: float = 1e-8
    average_decay: float = 0.999
    gradient_clip: float = 1.0
    mixed_precision: bool = True
    factors: tuple[float, ...] = (2.0, 4.0)
    factor_weights: tuple[float, ...] = (0.3, 0.4)
    any_factor_weight: float = 0.3
    degradation: str = "measured"
    degradation_model: str = ""
    low_resolution: str = ""
    modality_shares: dict[str, float] = field(default_factory=dict)
    contrast_range: tuple[float, ...] = (1.0, 1.0)
    thickness_range: tuple[float, ...] = (0.7, 1.3)
    box_fraction: float = 0.3
    noise_fraction: float = 0.2
    noise_maximum: float = 0.01
    noise: str = "modality"
    thick_in_plane_fraction: float = 0.2
    consistent_weight: float = 0.5
    seed: int = 0
    checkpoint_minutes: float = 3.0
    validate_every: int = 1000
    sample_every: int = 1000

    def __post_init__(self) -> None:
        check_types(self, "")
        check_positive(self, ("steps", "batch_size", "patch_slices", "patch_in_plane", "learning_rate"), "")
        choices = {"schedule": SCHEDULES, "noise": NOISES}
        for name, words in choices.items():
            check_choice(name, getattr(self, name), words)
        check_betas("betas", self.betas)
        if len(self.factors) != len(self.factor_weights):
            raise SettingsError(
                f"factors and factor_weights must have the same length, got {len(self.factors)} and"
                f" {len(self.factor_weights)}"
            )
        if not 0 <= self.content_fraction <= 1:
            raise SettingsError(f"content_fraction must be from 0 to 1, got {self.content_fraction}")
        if self.loss.adversarial and not self.adversarial.discriminator:
            raise SettingsError("an adversarial loss needs a discriminator; name one as adversarial.discriminator")
        if self.degradation == "learned" and not self.degradation_model:
            raise SettingsError("a learned degradation needs the file of its down-sampler as degradation_model")
        for name in ("contrast_range", "thickness_range"):
            ends = getattr(self, name)
            if len(ends) != 2 or not 0 < ends[0] <= ends[1]:
                raise SettingsError(f"{name} must be two rising numbers above 0, got {list(ends)}")

    @property
    def content_steps(self) -> int:
        """Number of steps before the adversarial stage; all of them where there is none."""
        if not self.loss.adversarial:
            return self.steps
        return round(self.content_fraction * self.steps)

    @property
    def has_adversarial_stage(self) -> bool:
        """Whether a discriminator is trained at all."""
        return self.content_steps < self.steps


def check_types(settings: Any, where: str) -> None:  # noqa: ANN401 - any of the dataclasses above
    """Refuse values of another type than the field's."""
    for entry in dataclasses.fields(settings):
        kind = _KINDS.get(str(entry.type).partition("[")[0])
        value = getattr(settings, entry.name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = kind is None or (isinstance(value, kind) and (kind in (str, dict, tuple, bool) or is_number))
        if not fits or (kind is tuple and not all(isinstance(one, (int, float)) for one in value)):
            raise SettingsError(f"the setting {where}{entry.name} must be of type {entry.type}, got {value!r}")


def check_positive(settings: Any, names: tuple[str, ...], where: str) -> None:  # noqa: ANN401
    """Refuse numbers that are not above 0."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise SettingsError(f"{where}{name} must be above 0, got {getattr(settings, name)}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of the choices."""
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_betas(name: str, betas: tuple[float, ...]) -> None:
    """Refuse what Adam cannot average with."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise SettingsError(f"{name} must be two numbers from 0 to below 1, got {list(betas)}")
