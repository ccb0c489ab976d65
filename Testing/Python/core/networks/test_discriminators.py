"""The discriminators: what their scores mean, and their equations against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.discriminators import DISCRIMINATORS
from medical_super_resolution.networks.discriminators.sequence_lstm import LongShortTermMemory
from medical_super_resolution.networks.discriminators.vgg_style import VggStyleConfig, VggStyleDiscriminator
from medical_super_resolution.networks.discriminators.wavelet_conditional import haar_bands
from medical_super_resolution.objectives.losses import gradient_penalty

SMALL = {
    "vgg-style": {"channels": 4, "hidden": 8},
    "patch": {"channels": 4},
    "sequence-lstm": {"channels": 4, "grid": 2, "hidden": 8},
    "refined-sequence": {"channels": 4, "hidden": 6},
    "wavelet-conditional": {"channels": 4},
    "cuts": {"channels": 4, "slice_channels": 4, "every": 2},
}
ALL = sorted(DISCRIMINATORS)


def small(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config_class, discriminator_class = DISCRIMINATORS[name]
    return discriminator_class(config_class(**SMALL[name])).eval()


def volumes(name: str, *shape: int) -> torch.Tensor:
    channels = 2 if DISCRIMINATORS[name][1].conditional else 1
    return torch.rand(shape[0], channels, *shape[1:], generator=torch.Generator().manual_seed(1))


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


@pytest.mark.parametrize("shape", [(2, 16, 16, 16), (1, 5, 21, 34)])
@pytest.mark.parametrize("name", ALL)
def test_volumes_of_any_size_are_judged(name: str, shape: tuple[int, ...]):
    scores = small(name)(volumes(name, *shape))
    assert scores.dim() == 2
    assert scores.shape[0] == shape[0]
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize(
    ("name", "sizes", "said"),
    [
        ("cuts", {"every": 1}, "every must be at least 2, got 1"),
        ("refined-sequence", {"cell": 2}, "cell must be a multiple of 4, got 2"),
        ("refined-sequence", {"cell": 6}, "cell must be a multiple of 4, got 6"),
    ],
)
def test_sizes_of_which_no_discriminator_can_be_made_are_refused(name: str, sizes: dict[str, int], said: str):
    with pytest.raises(SettingsError, match=said):
        DISCRIMINATORS[name][0](**sizes)


@pytest.mark.parametrize("name", ALL)
def test_a_volume_is_judged_without_regard_to_its_batch(name: str):
    judge = small(name)
    batch = volumes(name, 3, 4, 16, 16)
    assert torch.allclose(judge(batch)[1:2], judge(batch[1:2]), atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_all_weights_are_reached_by_the_gradient(name: str):
    judge = small(name).train()
    judge(volumes(name, 2, 4, 16, 16)).square().sum().backward()
    without = [key for key, weight in judge.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", ["vgg-style", "patch", "sequence-lstm", "refined-sequence"])
def test_the_gradient_penalty_can_be_minimized(name: str):
    judge = small(name).train()
    real, fake = volumes(name, 2, 4, 16, 16), torch.zeros(2, 1, 4, 16, 16)
    gradient_penalty(judge, real, fake, torch.tensor([0.3, 0.6])).backward()
    reached = [weight.grad for weight in judge.parameters() if weight.grad is not None]
    assert reached
    assert all(torch.isfinite(gradient).all() for gradient in reached)


@pytest.mark.parametrize("name", ["vgg-style", "sequence-lstm"])
def test_there_is_one_score_for_each_slice(name: str):
    assert small(name)(volumes(name, 2, 7, 16, 16)).shape == (2, 7)


@pytest.mark.parametrize(("name", "remembers"), [("vgg-style", False), ("sequence-lstm", True)])
def test_only_the_memory_lets_a_slice_change_the_score_of_later_ones(name: str, remembers: bool):
    judge = small(name)
    volume = volumes(name, 1, 6, 16, 16)
    other = volume.clone()
    other[:, :, 2] += 1
    changed = (judge(volume) - judge(other)).abs()[0] > 1e-7
    assert changed.tolist() == [False, False, True, remembers, remembers, remembers]


def test_the_critic_of_refined_sequences_looks_in_both_directions():
    judge = small("refined-sequence")
    volume = volumes("refined-sequence", 1, 12, 8, 8)
    other = volume.clone()
    other[:, :, 6] += 1
    assert ((judge(volume) - judge(other)).abs() > 0).all()


def test_a_conditional_discriminator_is_given_the_interpolated_input():
    volume, interpolated = torch.zeros(1, 1, 4, 8, 8), torch.ones(1, 1, 4, 8, 8)
    given = small("wavelet-conditional").with_condition(volume, interpolated)
    assert given.shape == (1, 2, 4, 8, 8)
    assert small("patch").with_condition(volume, interpolated) is volume
    judge = small("wavelet-conditional")
    assert (judge(given) - judge(torch.cat([volume, volume], dim=1))).abs().max() > 0


def test_the_memory_agrees_with_numpy():
    torch.manual_seed(2)
    memory = LongShortTermMemory(3, 4)
    sequence = torch.randn(2, 5, 3)
    weights = dict(zip("fico", np.split(numbers(memory.gates.weight), 4), strict=True))
    biases = dict(zip("fico", np.split(numbers(memory.gates.bias), 4), strict=True))

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    h, c = np.zeros((2, 4)), np.zeros((2, 4))
    expected = []
    for t in range(5):
        spliced = np.concatenate([h, numbers(sequence[:, t])], axis=1)
        f, i, candidate, o = (spliced @ weights[gate].T + biases[gate] for gate in "fico")
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
        h = sigmoid(o) * np.tanh(c)
        expected.append(h)
    np.testing.assert_allclose(numbers(memory(sequence)), np.stack(expected, axis=1), atol=1e-6)


def test_the_memory_agrees_with_the_one_of_pytorch():
    torch.manual_seed(2)
    memory, theirs = LongShortTermMemory(3, 4), torch.nn.LSTM(3, 4, batch_first=True)
    forget, admit, candidate, show = memory.gates.weight.data.chunk(4)
    theirs.weight_hh_l0.data = torch.cat([part[:, :4] for part in (admit, forget, candidate, show)])
    theirs.weight_ih_l0.data = torch.cat([part[:, 4:] for part in (admit, forget, candidate, show)])
    forget, admit, candidate, show = memory.gates.bias.data.chunk(4)
    theirs.bias_ih_l0.data = torch.cat([admit, forget, candidate, show])
    theirs.bias_hh_l0.data.zero_()
    sequence = torch.randn(2, 6, 3)
    assert torch.allclose(memory(sequence), theirs(sequence)[0], atol=1e-6)


def test_the_wavelet_transform_agrees_with_numpy_and_keeps_the_energy():
    volume = torch.randn(1, 1, 4, 6, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    bands = haar_bands(volume)
    assert bands.shape == (1, 8, 2, 3, 1)
    assert float(bands.square().sum()) == pytest.approx(float(volume.square().sum()))
    corners = volume.numpy()[0, 0].reshape(2, 2, 3, 2, 1, 2).transpose(0, 2, 4, 1, 3, 5)
    sign = np.array([1, -1])
    low = corners.sum(axis=(3, 4, 5)) / np.sqrt(8)
    highest = (corners * np.einsum("a,b,c->abc", sign, sign, sign)).sum(axis=(3, 4, 5)) / np.sqrt(8)
    np.testing.assert_allclose(bands[0, 0], low, atol=1e-12)
    np.testing.assert_allclose(bands[0, 7], highest, atol=1e-12)


def test_the_stages_of_the_vgg_style_halve_the_slice_each():
    judge = VggStyleDiscriminator(VggStyleConfig(channels=2, hidden=4))
    _, features = judge.scores_and_features(torch.zeros(2, 1, 3, 32, 16))
    sizes = [tuple(found.shape) for found in features]
    assert sizes == [(6, 2, 16, 8), (6, 4, 8, 4), (6, 8, 4, 2), (6, 16, 2, 1)]
