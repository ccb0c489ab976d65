"""The settings of a recipe: frozen dataclasses with every default in this folder. `recipes` reads them from TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.settings import LARGEST_FACTOR

from .checks import check_betas, check_choice, check_not_negative, check_positive, check_shares, check_types
from .losses import AdversarialSettings, LossWeights, PerceptualSettings

SCHEDULES = ("cosine", "halving")
NOISES = ("modality", "gaussian", "rician", "poisson")
_ABOVE_ZERO = ("steps", "batch_size", "patch_slices", "patch_in_plane", "learning_rate", "epsilon", "gradient_clip")
_NOT_BELOW_ZERO = (
    *("warm_up_steps", "final_learning_rate", "halve_at", "factor_weights", "any_factor_weight", "modality_shares"),
    *("noise_maximum", "seed", "checkpoint_minutes", "validate_every", "sample_every"),
)
_SHARES = (
    *("content_fraction", "average_decay", "box_fraction", "noise_fraction", "thick_in_plane_fraction"),
    "consistent_weight",
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run.

    Parameters
    ----------
    task
        What is trained: "generator"; "slice-profile", the estimator of slice profiles;
        "slice-encoder", the encoder of the perceptual loss; "down-sampler", for ``degradation = "learned"``. See
        `tasks`.
    start_from
        A model, by name or file, to take the weights from; empty for fresh ones. Those of a through-plane generator
        with more channels or blocks are narrowed, see `tasks.narrowing`.
    generator, generator_config
        Name in GENERATORS, and its settings; the rest keep their defaults.
    loss, perceptual, adversarial
        Tables, see `LossWeights`, `PerceptualSettings` and `AdversarialSettings`.
    steps, warm_up_steps
        Number of optimizer steps, and of those with a rising learning rate.
    content_fraction
        Share of the steps, at the start, with the content of the loss alone; the adversarial stage is the rest. It
        has no effect where the loss has an adversarial weight of 0.
    batch_size
        Patches a step.
    patch_slices
        Thick slices in a patch (of an in-plane generator: slices).
    patch_in_plane
        Voxels of the side of a patch, at high resolution where the plane is refined.
    learning_rate, final_learning_rate
        Peak and end of a stage.
    schedule, halve_at
        "cosine", or "halving" at each of the steps ``halve_at``.
    betas, epsilon
        Parameters of Adam.
    average_decay
        Decay of the moving average of the weights.
    gradient_clip
        Largest norm of the gradient.
    mixed_precision
        Whether to compute in bfloat16 where that loses nothing: on cards of NVIDIA and AMD, and on CPUs with AMX the
        generators that refine across slices.
    factors, factor_weights
        Refinement factors of slice sequences, and how often each is drawn. In-plane generators have one, in their
        config.
    any_factor_weight
        How often any factor in [1.25, 8] is drawn.
    degradation, degradation_model
        How an in-plane patch is coarsened: one of PLANE_DEGRADATIONS, such as "measured" (slice profiles as below),
        or "learned" by the down-sampler in ``degradation_model``.
    low_resolution
        Manifest of measured coarse scans, which a down-sampler learns to imitate.
    modality_shares
        Relative share of patches of each modality; 1 where none is given.
    contrast_range
        Range of the exponent of a power law that changes the contrast of a patch, as another scanner would.
    thickness_range
        Slice thickness over slice distance.
    box_fraction
        Share of box profiles; the rest are Gaussian.
    noise_fraction, noise_maximum, noise
        Share of batches (in plane: of patches) with noise on the slices, and its largest standard deviation (fraction
        of the intensity range); its kind on in-plane patches, "modality" for the one that the modality has.
    thick_in_plane_fraction
        Share of batches whose slices are themselves thick along one of their axes, as the second of two passes meets
        them.
    consistent_weight
        Share of the content that is measured after the data-consistency projection, the rest on the raw output; above
        0, perceptual and adversarial losses judge the projected output. Slice sequences only.
    seed
        Seed of weights and patches.
    checkpoint_minutes
        Time between checkpoints.
    validate_every, sample_every
        Steps between validations on whole volumes and between sample pictures; 0 for never. The first pictures come
        earlier, from step 10 on. A run shorter than ``validate_every`` is not validated; the end of a longer one
        always is.

    Raises
    ------
    SettingsError
        A value is of another type or outside its range, or two settings contradict each other.
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
        check_types(type(self), vars(self), "")
        check_positive(self, _ABOVE_ZERO, "")
        check_not_negative(self, _NOT_BELOW_ZERO, "")
        check_shares(self, _SHARES)
        choices = {"schedule": SCHEDULES, "noise": NOISES}
        for name, words in choices.items():
            check_choice(name, getattr(self, name), words)
        check_betas("betas", self.betas)
        if len(self.factors) != len(self.factor_weights):
            raise SettingsError(
                f"factors and factor_weights must have the same length, got {len(self.factors)} and"
                f" {len(self.factor_weights)}"
            )
        if not sum(self.factor_weights) + self.any_factor_weight:
            raise SettingsError("one of factor_weights, or any_factor_weight, must be above 0")
        if not all(1 < factor <= LARGEST_FACTOR for factor in self.factors):
            raise SettingsError(f"factors must be above 1 and at most {LARGEST_FACTOR:g}, got {list(self.factors)}")
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
