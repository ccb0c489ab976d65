"""The network of the slice profile: it compares groups of cuts, whatever their contrast, and sees nothing in air."""

from __future__ import annotations

import pytest
import torch

from medical_super_resolution.networks.profile_head import ProfileHead, ProfileHeadConfig


@pytest.fixture
def a_head() -> ProfileHead:
    torch.manual_seed(0)
    return ProfileHead(ProfileHeadConfig(channels=6, layers=2, hidden=5, joint=4)).eval()


def groups(*, count: int = 3) -> torch.Tensor:
    """Cuts of one scan: across the slices, and two groups to compare with."""
    return torch.randn(1, 3, count, 8, 24, generator=torch.Generator().manual_seed(1))


def test_cuts_of_a_group_count_together_as_the_whole(a_head: ProfileHead):
    cuts = torch.randn(5, 8, 24)
    torch.testing.assert_close(a_head.sums(cuts).sum(0), a_head.sums(cuts[:2]).sum(0) + a_head.sums(cuts[2:]).sum(0))


@pytest.mark.parametrize("gain", [1.0, 100.0])
def test_neither_gain_nor_offset_of_the_scan_matters(a_head: ProfileHead, gain: float):
    torch.testing.assert_close(a_head(gain * groups() + 7), a_head(groups()), rtol=1e-3, atol=1e-3)


def test_what_is_not_known_does_not_count(a_head: ProfileHead):
    known = torch.ones(1, 3, 3, 8, 24, dtype=torch.bool)
    known[:, :, 2] = False
    torch.testing.assert_close(a_head(groups(), known), a_head(groups()[:, :, :2]))


def test_the_same_cuts_compared_with_others_show_another_width(a_head: ProfileHead):
    others = groups()
    others[:, 1:] = others[:, 1:].cumsum(dim=-2)
    assert not torch.allclose(a_head(others)[0], a_head(groups())[0], rtol=0, atol=1e-5)


def test_a_cut_must_be_longer_than_the_receptive_field(a_head: ProfileHead):
    assert a_head.sums(torch.randn(1, 4, 10)).shape == (1, 3 * 5 + 4)
    with pytest.raises(RuntimeError):
        a_head.sums(torch.randn(1, 4, 8))
