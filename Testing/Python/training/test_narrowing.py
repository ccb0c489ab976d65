from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator
from medical_super_resolution_training.tasks.narrowing import can_narrow, kept_channels, narrow

POSITIONS = (torch.arange(12) + 0.5) / 3 - 0.5


def generator(*, channels: int = 4, blocks: int = 2, pairs: int = 2) -> ThroughPlaneGenerator:
    torch.manual_seed(channels)
    config = ThroughPlaneConfig(channels=channels, blocks=blocks, pairs=pairs, gate_channels=3, kernel_hidden=5)
    return ThroughPlaneGenerator(config).requires_grad_(requires_grad=False)


def with_twins(large: ThroughPlaneGenerator) -> ThroughPlaneGenerator:
    """Make each feature of the second half of the channels twice that of the first half."""
    half = large.config.channels // 2
    for name, weight in large.named_parameters():
        if name.startswith("stem.weigh"):
            weight[half:] = weight[:half]
        if name.endswith(("differences.weight", "in_plane.weight", "sequence.weight", "fuse.weight", "refine.weight")):
            weight[half:] = 2 * weight[:half]
    return large


def seen() -> list[tuple[Tensor, float]]:
    random = torch.Generator().manual_seed(1)
    return [(torch.rand(2, 1, 4, 8, 8, generator=random), width) for width in (1.0, 0.8)]


def refined(network: ThroughPlaneGenerator) -> Tensor:
    lr, profile_width = seen()[0]
    return network(lr, POSITIONS, 3.0, profile_width)


def test_channels_that_follow_from_others_are_left_out_without_a_change():
    large, small = with_twins(generator(channels=8)), generator(channels=4)
    narrow(large, small, seen())
    torch.testing.assert_close(refined(small), refined(large), rtol=0, atol=1e-6)


def test_the_last_blocks_are_left_out():
    large, small = generator(blocks=3), generator(blocks=2)
    narrow(large, small, seen())
    large.blocks = large.blocks[:2]
    torch.testing.assert_close(refined(small), refined(large), rtol=0, atol=1e-6)


def test_the_channels_that_explain_most_are_kept_and_the_others_follow_by_least_squares():
    random = torch.Generator().manual_seed(2)
    strong, weak, noise = torch.randn(3, 1000, generator=random, dtype=torch.float64)
    values = torch.stack([0.01 * noise, strong, 0.5 * strong + 0.1 * weak + 0.1 * noise, weak])
    kept = kept_channels(values @ values.T, 2)
    assert kept.channels.tolist() == [1, 3]
    least_squares = torch.linalg.lstsq(values[[1, 3]].T, values.T).solution.T
    torch.testing.assert_close(kept.estimate.double(), least_squares, rtol=0, atol=1e-6)


def test_a_channel_that_counts_more_is_kept_though_it_is_weaker():
    moments = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert kept_channels(moments, 1).channels.tolist() == [2]
    assert kept_channels(moments, 1, torch.tensor([2.0, 1.0, 1.0])).channels.tolist() == [0]


def test_channels_that_are_always_zero_are_kept_last_and_disturb_nothing():
    kept = kept_channels(torch.diag(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)), 2)
    assert 1 in kept.channels.tolist()
    assert torch.isfinite(kept.estimate).all()


@pytest.mark.parametrize(
    ("size", "can"),
    [({"channels": 2}, True), ({"blocks": 1}, True), ({"pairs": 1}, False), ({"channels": 8}, False), ({}, False)],
)
def test_a_generator_is_narrowed_to_fewer_channels_or_blocks_alone(size: dict[str, int], can: bool):
    assert can_narrow(generator(), generator(**size)) == can
