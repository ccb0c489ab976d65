"""Convolutions in 8-bit integers: exact where integers can be, close where they round, and nothing made of zeros."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medical_super_resolution.networks.blocks import in_plane_convolution, pointwise_convolution, sequence_convolution
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.networks.narrow.eight_bit import AlongSequence, InPlane, Pointwise, Rounding

CHANNELS = 4
EXACT = torch.full((CHANNELS,), 127.0)  # ranges at which an integer activation stands for itself
SIZE = (5, 7)


def whole_numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(seed)).float()


def with_whole_weights(convolution: nn.Conv3d) -> nn.Conv3d:
    """Weights are integers of which each output channel has one of 127, so that none is rounded."""
    weight = whole_numbers(*convolution.weight.shape, seed=1)
    weight[:, 0] = 127
    convolution.weight.data = weight
    return convolution.requires_grad_(False)


def test_in_plane_it_is_the_convolution_of_the_integers():
    convolution = with_whole_weights(in_plane_convolution(CHANNELS, 3))
    slices = whole_numbers(1, CHANNELS, 2, *SIZE)
    found = InPlane(convolution, EXACT)(Rounding(EXACT)(slices))
    torch.testing.assert_close(found, convolution(slices))


def test_rows_that_are_computed_apart_fit_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("medical_super_resolution.networks.narrow.blocks._VOXELS_AT_ONCE", 2 * SIZE[1])
    test_in_plane_it_is_the_convolution_of_the_integers()
    test_along_the_sequence_it_is_the_convolution_of_the_integers_added_to_features()


def test_the_rectifier_comes_before_rounding_for_the_next_convolution():
    convolution = with_whole_weights(in_plane_convolution(CHANNELS, 3))
    slices = whole_numbers(1, CHANNELS, 1, *SIZE)
    expected = functional.leaky_relu(convolution(slices), 0.2)
    ranges = expected.abs().amax(dim=(0, 2, 3, 4))
    found = InPlane(convolution, EXACT, ranges)(Rounding(EXACT)(slices))
    assert found.dtype == torch.int8
    error = (found * ranges[:, None, None, None] / 127 - expected).abs() / ranges[:, None, None, None]
    assert error.max() <= 0.5 / 127 + 1e-6


def test_along_the_sequence_it_is_the_convolution_of_the_integers_added_to_features():
    convolution = with_whole_weights(sequence_convolution(CHANNELS, CHANNELS))
    slices, features = whole_numbers(1, CHANNELS, 5, *SIZE), whole_numbers(1, CHANNELS, 3, *SIZE, seed=4)
    expected = features + functional.conv3d(slices, convolution.weight)
    ranges = expected.abs().amax(dim=(0, 2, 3, 4))
    codes = AlongSequence(convolution, EXACT, ranges)(list(slices.to(torch.int8).split(1, dim=2)), features)
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(codes, Rounding(ranges)(expected))


def test_of_single_voxels_it_is_the_convolution_of_all_parts():
    convolution = with_whole_weights(pointwise_convolution(2 * CHANNELS, 3))
    parts = [whole_numbers(1, CHANNELS, 1, *SIZE, seed=seed) for seed in (2, 3)]
    found = Pointwise(convolution, EXACT.repeat(2))([part.to(torch.int8) for part in parts])
    torch.testing.assert_close(found, convolution(torch.cat(parts, dim=1)))


def test_rounding_keeps_whole_numbers():
    slices = whole_numbers(1, CHANNELS, 2, *SIZE)
    codes = Rounding(EXACT)(slices)
    assert codes.dtype == torch.int8
    torch.testing.assert_close(codes.float(), slices)


def test_features_beyond_their_range_are_cut_off():
    features = torch.full((1, CHANNELS, 1, 2, 2), 127.0)
    for sign in (1, -1):
        assert torch.equal(Rounding(EXACT)(5 * sign * features), Rounding(EXACT)(sign * features))


@pytest.fixture
def a_generator(a_tiny_generator: ThroughPlaneGenerator) -> ThroughPlaneGenerator:
    generator = a_tiny_generator.eval().requires_grad_(False)
    generator.see_features([(patch(seed), 1.0) for seed in range(4)])
    return generator


def patch(seed: int) -> Tensor:
    return torch.rand(1, 1, 6, 12, 14, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_a_generator_is_close_to_itself_in_8_bits(a_generator: ThroughPlaneGenerator):
    rounded = copy.deepcopy(a_generator)
    rounded.round_blocks()
    expected, found = (one.features(patch(9), 1.0) for one in (a_generator, rounded))
    assert found.dtype == torch.float32
    assert 0 < (found - expected).square().mean() < 1e-2 * expected.square().mean()


@torch.no_grad()
def test_features_of_a_constant_stay_zero(a_generator: ThroughPlaneGenerator):
    a_generator.round_blocks()
    assert not a_generator.features(torch.full((1, 1, 6, 12, 14), 0.7), 1.0).any()


def test_only_what_was_seen_last_counts(a_generator: ThroughPlaneGenerator):
    before = a_generator.largest_seen.clone()
    a_generator.see_features([(0.1 * patch(0), 1.0)])
    assert (a_generator.largest_seen < before).all()


def test_8_bits_are_a_capability_once_features_were_seen(a_tiny_generator: ThroughPlaneGenerator):
    assert a_tiny_generator.capabilities.precisions == ("float32", "mixed")
    a_tiny_generator.see_features([(patch(0), 1.0)])
    assert a_tiny_generator.capabilities.precisions == ("float32", "mixed", "int8")


def test_weights_of_an_older_checkpoint_are_taken(a_tiny_generator: ThroughPlaneGenerator):
    weights = a_tiny_generator.state_dict()
    del weights["largest_seen"]
    a_tiny_generator.load_state_dict(weights)
    assert not a_tiny_generator.largest_seen.any()
