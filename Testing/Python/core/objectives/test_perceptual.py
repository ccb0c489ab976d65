"""Perceptual features: the layers are those of VGG-19, files are checked, distances behave."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_bytes
from torch.nn import functional

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import perceptual_weights
from medical_super_resolution.objectives.perceptual import (
    SliceEncoder,
    SliceEncoderConfig,
    SliceRestorer,
    VggFeatures,
    cuts_distance,
    perceptual_distance,
    vgg_distance,
    vgg_features,
)

# Where torchvision's file keeps the sixteen convolutions, and after which of them it halves the size.
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
HALVED_AFTER = (2, 7, 16, 25)


@pytest.fixture(scope="module")
def vgg_weights() -> dict[str, torch.Tensor]:
    """Random weights with the names and shapes of torchvision's file, and one of its layers that is not needed."""
    random = torch.Generator().manual_seed(0)
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 256, *([512] * 8)]
    weights = {"classifier.6.bias": torch.zeros(1000)}
    for place, inputs, outputs in zip(CONVOLUTIONS, widths[:-1], widths[1:], strict=True):
        weight = torch.rand(outputs, inputs, 3, 3, generator=random) - 0.5
        weights[f"features.{place}.weight"] = weight * (4 / inputs) ** 0.5
        weights[f"features.{place}.bias"] = torch.rand(outputs, generator=random) * 0.1
    return weights


@pytest.fixture
def a_volume_of_slices() -> torch.Tensor:
    return torch.rand(1, 1, 2, 32, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def an_encoder() -> SliceEncoder:
    torch.manual_seed(2)
    return SliceEncoder(SliceEncoderConfig(widths=(4, 6, 8))).requires_grad_(False)


def test_the_layers_are_those_of_vgg_19():
    with torch.device("meta"):
        network = VggFeatures(activated=True)
    assert sum(weight.numel() for weight in network.parameters()) == 20_024_384


@pytest.mark.parametrize("activated", [True, False])
def test_features_agree_with_the_layers_one_by_one(vgg_weights, a_volume_of_slices, activated: bool):
    latest = a_volume_of_slices[0].transpose(0, 1).repeat(1, 3, 1, 1)
    latest = (latest - torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).reshape(3, 1, 1)
    for place in CONVOLUTIONS:
        weight, bias = vgg_weights[f"features.{place}.weight"], vgg_weights[f"features.{place}.bias"]
        latest = functional.conv2d(latest, weight, bias, padding=1)
        if place != CONVOLUTIONS[-1] or activated:
            latest = functional.relu(latest)
        if place in HALVED_AFTER:
            latest = functional.max_pool2d(latest, 2)
    found = vgg_features(vgg_weights, activated=activated)(a_volume_of_slices)
    assert found.shape == (2, 512, 2, 1)
    assert torch.allclose(found, latest, rtol=1e-4, atol=1e-4 * float(latest.abs().max()))
    assert bool((found < 0).any()) is not activated


def test_weights_come_from_a_file_whose_name_holds_its_digest(vgg_weights, a_volume_of_slices, tmp_path: Path):
    data = to_bytes({name: weight.half() for name, weight in vgg_weights.items()})
    path = tmp_path / f"vgg19-{hashlib.sha256(data).hexdigest()[:8]}.safetensors"
    path.write_bytes(data)
    features = perceptual_weights.load_vgg(path, activated=False)
    assert not any(weight.requires_grad for weight in features.parameters())
    sr = a_volume_of_slices.clone().requires_grad_()
    distance = vgg_distance(features, sr, a_volume_of_slices.flip(-1))
    distance.backward()
    assert distance > 0
    assert sr.grad.abs().max() > 0
    assert vgg_distance(features, sr, a_volume_of_slices).item() == 0
    path.write_bytes(data[:-1] + b"x")
    with pytest.raises(ModelError, match="is damaged: its SHA-256 begins with"):
        perceptual_weights.load_vgg(path, activated=False)


@pytest.mark.parametrize("content", ["other weights", "a program"])
def test_a_file_with_something_else_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "some.pth"
    if content == "other weights":
        torch.save({"layer.weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    else:
        torch.save({"layer.weight": functional.relu}, path)
    path = path.rename(tmp_path / f"vgg19-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth")
    with pytest.raises(ModelError, match="does not hold the weights of VGG-19"):
        perceptual_weights.load_vgg(path, activated=True)


def test_the_error_for_an_absent_file_names_both_remedies(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ModelError) as refused:
        perceptual_weights.load_vgg(activated=True)
    assert str(tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth") in str(refused.value)
    assert "use the slice encoder" in str(refused.value)


def test_a_file_without_digest_in_its_name_is_refused(tmp_path: Path):
    (tmp_path / "vgg19.pth").write_bytes(b"")
    with pytest.raises(ModelError, match="rename it so that it can be checked"):
        perceptual_weights.load_vgg(tmp_path / "vgg19.pth", activated=True)


def test_the_shipped_size_of_the_encoder_is_small():
    weights = sum(weight.numel() for weight in SliceEncoder(SliceEncoderConfig()).parameters())
    assert 100_000 < weights < 300_000


def test_the_encoder_sees_three_scales(an_encoder):
    found = an_encoder(torch.zeros(2, 1, 3, 9, 14))
    assert [tuple(one.shape) for one in found] == [(6, 4, 9, 14), (6, 6, 5, 7), (6, 8, 3, 4)]


def test_an_encoder_survives_its_file(an_encoder, a_volume_of_slices, tmp_path: Path):
    path = tmp_path / "slice-encoder.safetensors"
    perceptual_weights.save_encoder(path, an_encoder, {"summary": "for tests"})
    again = perceptual_weights.load_encoder(path)
    assert again.config == an_encoder.config
    assert all(
        torch.equal(one, other)
        for one, other in zip(again(a_volume_of_slices), an_encoder(a_volume_of_slices), strict=True)
    )


def test_files_that_are_no_encoder_are_refused(tmp_path: Path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(ModelError, match="there is no slice encoder"):
        perceptual_weights.load_encoder(path)
    path.write_bytes(to_bytes({"weight": torch.zeros(2)}))
    with pytest.raises(ModelError, match="is not a slice encoder"):
        perceptual_weights.load_encoder(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="is damaged"):
        perceptual_weights.load_encoder(path)


def test_the_distance_is_zero_for_equal_volumes_and_grows_with_blur(an_encoder, a_volume_of_slices):
    slices = a_volume_of_slices[:, 0]
    blurred = functional.avg_pool2d(slices, 3, stride=1, padding=1, count_include_pad=False)[:, None]
    mixed = [torch.lerp(a_volume_of_slices, blurred, share) for share in (0, 0.3, 0.6, 1)]
    distances = [float(perceptual_distance(an_encoder, one, a_volume_of_slices)) for one in mixed]
    assert distances[0] == pytest.approx(0, abs=1e-9)
    assert distances == sorted(distances)
    assert distances[1] > 1e-4


def unit_distance(made: np.ndarray, true: np.ndarray, floor: float) -> float:
    """Of features (N, C, J, I), after Zhang et al. (2018), with lengths raised to a share of the mean of the truth."""
    lengths = [np.sqrt((one**2).sum(axis=1, keepdims=True)) for one in (made, true)]
    least = floor * lengths[1].mean()
    difference = made / np.maximum(lengths[0], least) - true / np.maximum(lengths[1], least)
    return float((difference**2).sum(axis=1).mean())


def test_the_distance_is_the_mean_over_the_scales_of_that_of_unit_features():
    random = np.random.default_rng(0)
    scales = [(random.normal(size=(2, 2, 5, size, size)) * random.random((5, size, size)) ** 4) for size in (6, 3)]
    made, true = ([torch.from_numpy(scale[number]).movedim(1, 0).float() for scale in scales] for number in range(2))
    wanted = np.mean([unit_distance(a.numpy(), b.numpy(), 0.1) for a, b in zip(made, true, strict=True)])
    assert float(perceptual_distance(lambda features: features, made, true)) == pytest.approx(wanted, rel=1e-4)


def test_the_distance_of_cuts_raises_short_features_to_half_the_mean(a_volume_of_slices):
    sr, hr = a_volume_of_slices**4, a_volume_of_slices.flip(3) ** 4
    cuts = [[one[0, :, :, 2::4].movedim(2, 0), one[0, :, :, :, 2::4].movedim(3, 0)] for one in (sr, hr)]
    wanted = np.mean([unit_distance(a.numpy(), b.numpy(), 0.5) for a, b in zip(*cuts, strict=True)])
    assert float(cuts_distance(lambda cuts: [cuts], sr, hr)) == pytest.approx(wanted, rel=1e-4)


def test_the_truth_gets_no_gradient(vgg_weights, an_encoder, a_volume_of_slices):
    vgg = vgg_features(vgg_weights, activated=True)
    for distance in (lambda *pair: vgg_distance(vgg, *pair), lambda *pair: perceptual_distance(an_encoder, *pair)):
        sr, hr = (one.clone().requires_grad_() for one in (a_volume_of_slices, a_volume_of_slices.flip(3)))
        distance(sr, hr).backward()
        assert sr.grad is not None
        assert hr.grad is None


def test_the_distance_has_a_finite_slope_everywhere(an_encoder):
    sr = torch.zeros(1, 1, 1, 8, 8, requires_grad=True)
    perceptual_distance(an_encoder, sr, torch.rand(1, 1, 1, 8, 8)).backward()
    assert torch.isfinite(sr.grad).all()


def test_the_pretext_task_teaches_every_scale(an_encoder):
    restorer = SliceRestorer(an_encoder).requires_grad_(True)
    spoilt = torch.rand(1, 1, 2, 9, 14, generator=torch.Generator().manual_seed(3))
    restored = restorer(spoilt)
    assert restored.shape == (1, 1, 2, 9, 14)
    restored.square().mean().backward()
    assert all(weight.grad.any() for weight in an_encoder.parameters())
