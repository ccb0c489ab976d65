"""Convolutions in bfloat16: those of the rounded features, summed up in float32."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medical_super_resolution.networks.blocks import in_plane_convolution, pointwise_convolution, sequence_convolution
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.networks.narrow.bfloat16 import AlongSequence, InPlane, Pointwise, Rounding

CHANNELS = 4
SIZE = (5, 7)


def eighths(*shape: int, seed: int = 0) -> Tensor:
    """Numbers that bfloat16 holds, as it does the sums of some products of two."""
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(seed)) / 8


def with_exact_weights(convolution: nn.Conv3d) -> nn.Conv3d:
    convolution.weight.data = eighths(*convolution.weight.shape, seed=1)
    return convolution.requires_grad_(False)


def test_in_plane_it_is_the_convolution_of_the_features():
    convolution = with_exact_weights(in_plane_convolution(CHANNELS, 3))
    slices = eighths(1, CHANNELS, 2, *SIZE)
    expected = convolution(slices)
    for is_rectified in (False, True):
        found = InPlane(copy.deepcopy(convolution), is_rectified=is_rectified)(Rounding()(slices))
        assert found.dtype == torch.bfloat16
        wanted = functional.leaky_relu(expected, 0.2) if is_rectified else expected
        torch.testing.assert_close(found.float(), wanted, rtol=2**-8, atol=0)


def test_along_the_sequence_it_is_the_convolution_of_the_features_added_in_single_precision():
    convolution = with_exact_weights(sequence_convolution(CHANNELS, CHANNELS))
    slices, features = eighths(1, CHANNELS, 5, *SIZE), eighths(1, CHANNELS, 3, *SIZE, seed=4) + 1000
    expected = features + functional.conv3d(slices, convolution.weight)
    rounded = AlongSequence(convolution)(list(slices.bfloat16().split(1, dim=2)), features)
    torch.testing.assert_close(features, expected)
    assert torch.equal(rounded, expected.bfloat16())


def test_of_single_voxels_it_is_the_convolution_of_all_parts():
    convolution = with_exact_weights(pointwise_convolution(2 * CHANNELS, 3))
    parts = [eighths(1, CHANNELS, 1, *SIZE, seed=seed) for seed in (2, 3)]
    found = Pointwise(convolution)([part.bfloat16() for part in parts])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, convolution(torch.cat(parts, dim=1)), rtol=2**-8, atol=0)


@torch.no_grad()
def test_a_generator_is_close_to_itself_in_bfloat16(a_tiny_generator: ThroughPlaneGenerator):
    halved = copy.deepcopy(a_tiny_generator)
    halved.halve_blocks()
    slices = torch.rand(1, 1, 6, 12, 14, generator=torch.Generator().manual_seed(9))
    expected, found = (one.features(slices, 1.0) for one in (a_tiny_generator, halved))
    assert found.dtype == torch.float32
    assert 0 < (found - expected).square().mean() < 1e-4 * expected.square().mean()


@torch.no_grad()
def test_features_of_a_constant_stay_zero(a_tiny_generator: ThroughPlaneGenerator):
    a_tiny_generator.halve_blocks()
    assert not a_tiny_generator.features(torch.full((1, 1, 6, 12, 14), 0.7), 1.0).any()


@torch.no_grad()
def test_several_volumes_at_once_are_refused(a_tiny_generator: ThroughPlaneGenerator):
    a_tiny_generator.halve_blocks()
    with pytest.raises(RuntimeError):
        a_tiny_generator.features(torch.rand(2, 1, 6, 12, 14), 1.0)
