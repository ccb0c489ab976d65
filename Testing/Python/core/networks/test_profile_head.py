"""The vote on the slice profile: weighted, additive, silent where there is nothing to see."""

from __future__ import annotations

import pytest
import torch

from medical_super_resolution.networks.profile_head import BlurGauge


@pytest.fixture
def a_gauge() -> BlurGauge:
    torch.manual_seed(0)
    return BlurGauge(6).eval()


def test_parts_of_a_volume_vote_together_as_the_whole(a_gauge):
    features = torch.randn(1, 6, 8, 10, 12)

    whole = a_gauge.votes(features)
    parts = a_gauge.votes(features[:, :, :3]) + a_gauge.votes(features[:, :, 3:])

    torch.testing.assert_close(whole, parts)


def test_air_has_no_vote(a_gauge):
    features = torch.randn(1, 6, 4, 8, 8)
    with_air = torch.cat([features, torch.zeros_like(features)], dim=3)

    torch.testing.assert_close(a_gauge(with_air), a_gauge(features))


def test_nothing_to_see_is_taken_for_contiguous_slices(a_gauge):
    assert a_gauge(torch.zeros(1, 6, 4, 8, 8)).item() == pytest.approx(1.0)


def test_the_contrast_of_the_scan_does_not_matter(a_gauge):
    features = torch.randn(1, 6, 4, 8, 8)

    torch.testing.assert_close(a_gauge(100 * features), a_gauge(features), rtol=1e-3, atol=1e-3)
