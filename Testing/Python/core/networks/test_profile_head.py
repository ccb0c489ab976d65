"""The vote on the width of the slice profile: weighted, additive, silent where there is nothing to see."""

from __future__ import annotations

import pytest
import torch

from medical_super_resolution.networks.profile_head import ProfileHead, ProfileHeadConfig


@pytest.fixture
def a_head() -> ProfileHead:
    torch.manual_seed(0)
    return ProfileHead(ProfileHeadConfig(channels=6, layers=2)).eval()


def test_cuts_of_a_scan_vote_together_as_the_whole(a_head: ProfileHead):
    cuts = torch.randn(5, 8, 24)
    torch.testing.assert_close(a_head.votes(cuts).sum(0), a_head.votes(cuts[:2]).sum(0) + a_head.votes(cuts[2:]).sum(0))


def test_air_has_no_vote(a_head: ProfileHead):
    cuts = torch.randn(1, 3, 8, 24)
    with_air = torch.cat([cuts, torch.zeros_like(cuts)], dim=1)
    torch.testing.assert_close(a_head(with_air), a_head(cuts), rtol=1e-4, atol=1e-5)


def test_the_contrast_of_the_scan_does_not_matter(a_head: ProfileHead):
    cuts = torch.randn(1, 3, 8, 24)
    torch.testing.assert_close(a_head(100 * cuts), a_head(cuts), rtol=1e-3, atol=1e-3)


def test_an_offset_of_the_scan_does_not_matter(a_head: ProfileHead):
    cuts = torch.randn(1, 3, 8, 24)
    torch.testing.assert_close(a_head(cuts + 7), a_head(cuts), rtol=1e-3, atol=1e-3)


def test_what_is_not_known_has_no_vote(a_head: ProfileHead):
    cuts = torch.randn(1, 3, 8, 24)
    known = torch.ones(1, 3, 8, 24, dtype=torch.bool)
    known[:, 2] = False
    torch.testing.assert_close(a_head(cuts, known), a_head(cuts[:, :2]))


def test_the_shortest_cut_has_a_vote(a_head: ProfileHead):
    assert a_head.votes(torch.randn(1, 4, a_head.shortest_cut)).shape == (1, 2)
    with pytest.raises(RuntimeError):
        a_head.votes(torch.randn(1, 4, a_head.shortest_cut - 2))
