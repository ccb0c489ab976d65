"""The generators of the papers: what each of them promises, and their equations against numpy."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.generators import GENERATORS
from medical_super_resolution.networks.generators.attention_dense import (
    AttentionDenseConfig,
    AttentionDenseGenerator,
    AttentionDenseModule,
    PlaneAttentionGate,
)
from medical_super_resolution.networks.generators.hybrid_attention import ChannelAttention
from medical_super_resolution.networks.generators.plane import PlaneGenerator, enlarged
from medical_super_resolution.networks.generators.rrdb import DenseBlock
from medical_super_resolution.networks.generators.tgan import TransformerLayer
from medical_super_resolution.physics.interpolation import cubic_matrix
from medical_super_resolution.physics.pictures import as_slices, as_volumes

SMALL = {
    "srcnn": {"channels": (6, 4)},
    "srresnet": {"channels": 6, "blocks": 2},
    "rrdb": {"channels": 6, "growth": 3, "blocks": 1},
    "hybrid-attention": {"channels": 6, "blocks": 2, "squeeze": 1},
    "attention-dense": {"channels": 6, "modules": 2, "gate_channels": 4},
    "medgan": {"channels": 6},
    "tgan": {"channels": 6, "blocks": 1, "width": 8, "heads": 2, "layers": 1},
    "disgan": {"channels": 6, "growth": 3, "blocks": 1},
}
PLANE = sorted(SMALL)


def small(name: str, factor: int = 2) -> PlaneGenerator:
    """A seeded, narrow network; its last weights are enlarged so that every part of it shows."""
    torch.manual_seed(0)
    config_class, generator_class = GENERATORS[name]
    generator = generator_class(config_class(factor=factor, **SMALL[name])).eval()
    for convolution in [module for module in generator.modules() if isinstance(module, nn.Conv2d)][-1:]:
        convolution.weight.data.mul_(10)
    return generator.requires_grad_(False)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def test_every_network_is_in_the_registry():
    assert sorted([*SMALL, "through-plane"]) == sorted(GENERATORS)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", PLANE)
def test_slices_become_finer_and_stay_float32(name: str, factor: int):
    sr = small(name, factor)(noise(2, 1, 3, 9, 11))
    assert sr.shape == (2, 1, 3, 9 * factor, 11 * factor)
    assert sr.dtype == torch.float32
    assert torch.isfinite(sr).all()


@pytest.mark.parametrize("name", PLANE)
def test_a_network_adds_to_cubic_interpolation(name: str):
    generator = small(name)
    lr = noise(1, 1, 2, 10, 10)
    interpolated = as_volumes(enlarged(as_slices(lr), 2), 2)
    assert (generator(lr) - interpolated).abs().max() > 1e-3
    for parameter in generator.parameters():
        parameter.data.zero_()
    assert torch.equal(generator(lr), interpolated)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarging_is_cubic_interpolation_along_both_axes(factor: int):
    slices = noise(2, 1, 5, 7)
    expected = slices.double()
    for axis, count in ((2, 5), (3, 7)):
        positions = (torch.arange(count * factor, dtype=torch.float64) + 0.5) / factor - 0.5
        expected = torch.tensordot(expected, cubic_matrix(count, positions), dims=([axis], [1])).movedim(-1, axis)
    assert torch.allclose(enlarged(slices, factor).double(), expected, atol=1e-5)


@pytest.mark.parametrize("name", PLANE)
def test_a_slice_depends_on_others_only_within_the_sequence_reach(name: str):
    generator = small(name)
    lr = noise(1, 1, 2 * generator.sequence_reach + 3, 8, 8)
    other = lr.clone()
    other[:, :, 0] += 1
    changed = (generator(lr) - generator(other)).abs().amax(dim=(0, 1, 3, 4)) > 1e-9
    assert changed[0]
    assert not changed[generator.sequence_reach + 1 :].any()
    assert generator.sequence_reach == 0 or changed[1]


@pytest.mark.parametrize("name", PLANE)
def test_a_network_is_rebuilt_from_its_configuration_as_text(name: str):
    generator = small(name)
    config_class, generator_class = GENERATORS[name]
    text = json.dumps(dataclasses.asdict(generator.config))
    again = generator_class(config_class(**json.loads(text))).eval()
    again.load_state_dict(generator.state_dict())
    lr = noise(1, 1, 2, 8, 8)
    assert torch.equal(again(lr), generator(lr))


@pytest.mark.parametrize("name", PLANE)
def test_all_weights_are_reached_by_the_gradient(name: str):
    generator = small(name).train().requires_grad_(True)
    generator(noise(2, 1, 2, 16, 16)).square().mean().backward()
    without = [key for key, weight in generator.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_a_factor_that_no_network_refines_is_refused():
    with pytest.raises(SettingsError, match="2, 3 or 4 times, got factor 5"):
        AttentionDenseConfig(factor=5)


def test_the_attention_gate_agrees_with_numpy():
    torch.manual_seed(3)
    gate = PlaneAttentionGate(5, 3)
    initial, dense = noise(1, 5, 4, 6), noise(1, 5, 4, 6) - 0.5
    w_p, w_g = numbers(gate.initial.weight)[:, :, 0, 0], numbers(gate.dense.weight)[:, :, 0, 0]
    psi = numbers(gate.attention.weight)[:, :, 0, 0]
    p, g = numbers(initial)[0], numbers(dense)[0]
    hidden = np.einsum("hc,cji->hji", w_p, p) + np.einsum("hc,cji->hji", w_g, g)
    hidden = np.maximum(hidden + numbers(gate.dense.bias)[:, None, None], 0)
    attention = np.einsum("oh,hji->oji", psi, hidden) + numbers(gate.attention.bias)
    np.testing.assert_allclose(numbers(gate(initial, dense))[0], 1 / (1 + np.exp(-attention)), atol=1e-6)


@pytest.mark.parametrize("attention", [True, False])
def test_the_dense_module_adds_all_earlier_layers(attention: bool):
    torch.manual_seed(4)
    module = AttentionDenseModule(AttentionDenseConfig(channels=4, layers=3, gate_channels=3, attention=attention))
    x0 = noise(1, 4, 6, 6)
    f1, f2, f3 = (lambda x, layer=layer: torch.relu(layer(x)) for layer in module.layers)
    x1 = f1(x0) + x0
    x2 = f2(x1) + x0 + x1
    x3 = f3(x2) + x0 + x1 + x2
    kept = module.gate(x0, 0.2 * x3) if attention else 1
    assert torch.allclose(module(x0), kept * x0 + 0.2 * x3, atol=1e-5)


def test_the_ablation_without_gates_has_no_gate_weights():
    without = AttentionDenseGenerator(AttentionDenseConfig(channels=4, modules=2, attention=False))
    assert not [name for name, _ in without.named_parameters() if "gate" in name]


def test_a_dense_block_agrees_with_its_parts_side_by_side():
    torch.manual_seed(5)
    block = DenseBlock(nn.Conv2d, 4, 2)
    features = noise(1, 4, 5, 5)
    seen = [features]
    for convolution in block.convolutions[:-1]:
        seen.append(nn.functional.leaky_relu(convolution(torch.cat(seen, dim=1)), 0.2))
    expected = features + 0.2 * block.convolutions[-1](torch.cat(seen, dim=1))
    assert torch.allclose(block(features), expected, atol=1e-6)


def test_channel_attention_agrees_with_numpy():
    torch.manual_seed(6)
    attention = ChannelAttention(8, 4)
    features = noise(1, 8, 5, 6)
    first, second = attention.layers[0], attention.layers[2]

    def layers(described: np.ndarray) -> np.ndarray:
        hidden = np.maximum(numbers(first.weight) @ described + numbers(first.bias), 0)
        return numbers(second.weight) @ hidden + numbers(second.bias)

    values = numbers(features)[0]
    expected = 1 / (1 + np.exp(-layers(values.mean(axis=(1, 2))) - layers(values.max(axis=(1, 2)))))
    np.testing.assert_allclose(numbers(attention(features))[0, :, 0, 0], expected, atol=1e-6)


def test_a_transformer_layer_agrees_with_numpy():
    torch.manual_seed(7)
    layer = TransformerLayer(8, 2)
    tokens = noise(1, 5, 8)
    normal = numbers(layer.before_attention(tokens))[0]
    query, key, value = np.split(
        normal @ numbers(layer.query_key_value.weight).T + numbers(layer.query_key_value.bias), 3, axis=1
    )
    heads = []
    for columns in (slice(0, 4), slice(4, 8)):
        match = np.exp(query[:, columns] @ key[:, columns].T / 2)  # the square root of 4 channels
        heads.append(match / match.sum(axis=1, keepdims=True) @ value[:, columns])
    found = np.concatenate(heads, axis=1) @ numbers(layer.together.weight).T + numbers(layer.together.bias)
    middle = numbers(tokens)[0] + found
    expected = middle + numbers(layer.alone(torch.from_numpy(middle).float()))
    np.testing.assert_allclose(numbers(layer(tokens))[0], expected, atol=1e-5)
