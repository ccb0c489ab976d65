"""Grain: noise that belongs to voxels, whatever part of a volume is computed."""

from __future__ import annotations

import pytest
import torch

from medical_super_resolution.networks.contracts import SequenceTile
from medical_super_resolution.networks.generators.through_plane import (
    ThroughPlaneConfig,
    ThroughPlaneGenerator,
)
from medical_super_resolution.networks.grain import KINDS, grain, white
from medical_super_resolution.networks.residual_stream import ResidualStream
from medical_super_resolution.networks.sections import Sections, Turn


def test_the_noise_is_white_and_of_unit_variance():
    noise = white(torch.arange(48), torch.arange(48), torch.arange(48))
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    for axis in range(3):
        size = noise.shape[axis] - 1
        together = noise.narrow(axis, 1, size) * noise.narrow(axis, 0, size)
        assert float(together.mean()) == pytest.approx(0, abs=0.02)


def test_another_seed_gives_other_noise():
    numbers = torch.arange(32)
    both = white(numbers, numbers, numbers) * white(numbers, numbers, numbers, seed=1)
    assert float(both.mean()) == pytest.approx(0, abs=0.03)


def test_a_voxel_has_its_noise_in_every_part():
    whole = grain(torch.arange(6), torch.arange(20), torch.arange(24))
    part = grain(torch.arange(2, 5), torch.arange(7, 15), torch.arange(9, 20))
    assert whole.shape == (KINDS, 6, 20, 24)
    assert torch.equal(part, whole[:, 2:5, 7:15, 9:20])
    assert torch.equal(whole[0], white(torch.arange(6), torch.arange(20), torch.arange(24)))


@pytest.fixture
def a_generator() -> ThroughPlaneGenerator:
    torch.manual_seed(0)
    config = ThroughPlaneConfig(channels=4, blocks=1, pairs=1, gate_channels=2, kernel_hidden=4)
    generator = ThroughPlaneGenerator(config).eval().requires_grad_(False)
    generator.texture.fill_(0.1)
    return generator


def test_texture_is_the_same_in_a_stream(a_generator: ThroughPlaneGenerator):
    lr = torch.rand(1, 1, 6, 12, 14, generator=torch.Generator().manual_seed(1))
    positions = (torch.arange(24, dtype=torch.float64) + 0.5) / 4 - 0.5
    whole = a_generator.residual(a_generator.features(lr, 1.0), positions, 4.0, 1.0)
    sections, stream = Sections(), ResidualStream(a_generator, SequenceTile(positions, 4.0, 1.0))
    following = [*lr.split(1, dim=2)[1:], None]
    parts = []
    for number in range(6 + a_generator.delay):
        with Turn(sections) as turn:
            turn.is_ending = number >= 6
            parts += stream.push(turn, lr[:, :, number : number + 1], following[number] if number < 6 else None)
    assert torch.allclose(torch.cat(parts, dim=2), whole, atol=1e-5)


def test_texture_grows_with_its_weights_and_leaves_what_is_flat(a_generator: ThroughPlaneGenerator):
    positions = (torch.arange(8, dtype=torch.float64) + 0.5) / 4 - 0.5
    lr = torch.rand(1, 1, 2, 12, 14, generator=torch.Generator().manual_seed(1))
    answers = []
    for weight in (0.0, 0.1, 0.2):
        a_generator.texture.fill_(weight)
        answers.append(a_generator(lr, positions, 4.0))
        assert torch.equal(a_generator(torch.ones_like(lr), positions, 4.0), torch.ones(1, 1, 8, 12, 14))
    assert torch.allclose(answers[2] - answers[0], 2 * (answers[1] - answers[0]), atol=1e-5)
