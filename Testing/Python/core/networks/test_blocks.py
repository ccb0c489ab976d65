from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.networks.blocks import (
    AttentionDenseBlock,
    AttentionGate,
    FactorizedPair,
    forward_differences,
)
from medical_super_resolution.networks.streaming import WHOLE


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 0.2 * values)


def mix(convolution: torch.nn.Conv3d, values: np.ndarray) -> np.ndarray:
    """A 1 x 1 x 1 convolution of (C, K, J, I)."""
    mixed = np.einsum("oc,ckji->okji", convolution.weight.detach().numpy()[:, :, 0, 0, 0], values)
    return mixed if convolution.bias is None else mixed + convolution.bias.detach().numpy()[:, None, None, None]


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("profile_width", [0.7, 1.0, 1.4])
def test_the_attention_gate_follows_its_equation(profile_width: float):
    gate = AttentionGate(6, 4)
    initial, dense = torch.randn(1, 6, 3, 4, 5), torch.randn(1, 6, 3, 4, 5)
    bias = gate.acquisition.weight.detach().numpy()[:, 0] * (profile_width - 1) + gate.acquisition.bias.detach().numpy()
    hidden = leaky(
        mix(gate.initial, initial[0].numpy()) + mix(gate.dense, dense[0].numpy()) + bias[:, None, None, None]
    )
    expected = 1 / (1 + np.exp(-mix(gate.attention, hidden)))
    result = gate(gate.begun(initial), dense, torch.tensor([[profile_width]])).detach()
    np.testing.assert_allclose(result[0], expected, atol=1e-6)


def test_the_attention_gate_lets_through_between_nothing_and_all():
    gate = AttentionGate(6, 4)
    initial, dense = 100 * torch.randn(1, 6, 3, 4, 5), 100 * torch.randn(1, 6, 3, 4, 5)
    alpha = gate(gate.begun(initial), dense, torch.ones(1, 1)).detach()
    assert alpha.shape == (1, 1, 3, 4, 5)
    assert 0 <= float(alpha.min()) < 0.5 < float(alpha.max()) <= 1


def test_a_factorized_pair_mixes_in_plane_then_along_the_sequence_and_adds():
    pair = FactorizedPair(2)
    features = torch.randn(1, 2, 5, 6, 7)
    in_plane, sequence = pair.in_plane.weight.detach().numpy(), pair.sequence.weight.detach().numpy()
    padded = np.pad(features[0].numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    mixed = sum(
        np.einsum("oc,ckji->okji", in_plane[:, :, 0, j, i], padded[:, :, j : j + 6, i : i + 7])
        for j in range(3)
        for i in range(3)
    )
    padded = np.pad(leaky(mixed), ((0, 0), (1, 1), (0, 0), (0, 0)))
    change = sum(np.einsum("oc,ckji->okji", sequence[:, :, k, 0, 0], padded[:, k : k + 5]) for k in range(3))
    np.testing.assert_allclose(pair(features, WHOLE).detach()[0], features[0].numpy() + change, atol=1e-5)


def test_a_block_adds_a_gated_mixture_of_all_its_pairs():
    block = AttentionDenseBlock(4, 2, 3)
    initial, profile_width = torch.randn(1, 4, 3, 4, 5), torch.ones(1, 1)
    first = block.pairs[0](initial, WHOLE)
    second = block.pairs[1](first, WHOLE)
    dense = block.fuse(torch.cat([first, second], dim=1))
    expected = second + 0.2 * block.gate(block.gate.begun(initial), dense, profile_width) * dense
    np.testing.assert_allclose(block(initial, profile_width, WHOLE).detach(), expected.detach(), atol=1e-6)


def test_differences_are_to_the_next_voxel_along_each_axis():
    volume, following = torch.randn(1, 1, 3, 4, 5), torch.randn(1, 1, 1, 4, 5)
    array = volume[0, 0].numpy()
    longer = np.concatenate([array, following[0, 0].numpy()])
    along_k, along_j, along_i = forward_differences(volume, following)[0].numpy()
    np.testing.assert_array_equal(along_k, longer[1:] - longer[:-1])
    np.testing.assert_array_equal(along_j[:, :-1], array[:, 1:] - array[:, :-1])
    np.testing.assert_array_equal(along_i[..., :-1], array[..., 1:] - array[..., :-1])
    assert not along_j[:, -1].any()
    assert not along_i[..., -1].any()


def test_without_structure_every_feature_is_exactly_zero():
    block = AttentionDenseBlock(4, 2, 3)
    nothing = torch.zeros(1, 4, 3, 4, 5)
    assert not block(nothing, torch.full((1, 1), 1.3), WHOLE).detach().any()
