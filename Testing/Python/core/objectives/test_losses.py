"""The losses against arithmetic done another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from medical_super_resolution.networks.discriminators.sequence_lstm import SequenceLstmConfig, SequenceLstmDiscriminator
from medical_super_resolution.objectives import losses

REAL = torch.tensor([[1.5, 0.5], [2.0, -1.0]])
FAKE = torch.tensor([[-0.5, 0.25], [1.0, -2.0]])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def a_pair() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.rand(2, 1, 3, 4, 5, generator=random), torch.rand(2, 1, 3, 4, 5, generator=random)


def test_content_losses_agree_with_numpy(a_pair):
    sr, hr = (one.numpy().astype(float) for one in a_pair)
    assert float(losses.absolute_error(*a_pair)) == pytest.approx(np.abs(sr - hr).mean(), rel=1e-6)
    assert float(losses.squared_error(*a_pair)) == pytest.approx(((sr - hr) ** 2).mean(), rel=1e-6)


def test_the_gradient_error_agrees_with_numpy(a_pair):
    sr, hr = (one.numpy().astype(float) for one in a_pair)
    expected = np.mean([np.abs(np.diff(sr, axis=axis) - np.diff(hr, axis=axis)).mean() for axis in (2, 3, 4)])
    assert float(losses.gradient_error(*a_pair)) == pytest.approx(expected, rel=1e-6)


def test_the_squared_gradient_error_agrees_with_numpy(a_pair):
    sr, hr = (one.numpy().astype(float) for one in a_pair)
    expected = np.mean([np.square(np.diff(sr - hr, axis=axis)).mean() for axis in (2, 3, 4)])
    assert float(losses.squared_gradient_error(*a_pair)) == pytest.approx(expected, rel=1e-5)


def test_the_gradient_error_of_single_slices_leaves_out_their_axis(a_pair):
    sr, hr = (one[:, :, :1] for one in a_pair)
    assert torch.isfinite(losses.gradient_error(sr, hr))


def test_the_gradient_difference_variation_agrees_with_numpy(a_pair):
    sr, hr = (one.numpy().astype(float) for one in a_pair)
    total = 0.0
    for n, k, j, i in np.ndindex(2, 3, 4, 5):
        if i < 4:
            total += abs((hr[n, 0, k, j, i + 1] - hr[n, 0, k, j, i]) - (sr[n, 0, k, j, i + 1] - sr[n, 0, k, j, i]))
        if j < 3:
            total += abs((hr[n, 0, k, j + 1, i] - hr[n, 0, k, j, i]) - (sr[n, 0, k, j + 1, i] - sr[n, 0, k, j, i]))
    assert float(losses.gradient_difference_variation(*a_pair)) == pytest.approx(total / sr.size, rel=1e-5)


def test_a_constant_offset_has_no_gradient_difference(a_pair):
    hr = a_pair[1].double()
    assert float(losses.gradient_difference_variation(hr + 0.25, hr)) == pytest.approx(0, abs=1e-6)


def test_wasserstein_losses_are_differences_of_means():
    assert float(losses.wasserstein_critic_loss(REAL, FAKE)) == pytest.approx(-0.3125 - 0.75)
    assert float(losses.wasserstein_generator_loss(FAKE)) == pytest.approx(0.3125)


@pytest.mark.parametrize(
    ("real", "fake", "behind"),
    [
        (0.5, -0.5, False),
        (0.5, -0.26, False),
        (0.5, -0.24, True),
        (0.1, -0.3, True),
        (2.0, -0.1, True),
        (-1, -1.2, True),
    ],
)
def test_the_critic_is_behind_until_it_distinguishes_clearly(real: float, fake: float, behind: bool):
    assert losses.wasserstein_critic_is_behind(torch.tensor([[real]]), torch.tensor([[fake]])) is behind


def test_gan_losses_agree_with_the_logarithms():
    real, fake = REAL.numpy(), FAKE.numpy()
    expected = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    assert float(losses.gan_critic_loss(REAL, FAKE)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.gan_generator_loss(FAKE)) == pytest.approx(-np.log(sigmoid(fake)).mean(), rel=1e-5)


def test_relativistic_losses_agree_with_the_logarithms():
    real, fake = REAL.numpy().astype(float), FAKE.numpy().astype(float)
    more_real, less_real = sigmoid(real - fake.mean()), sigmoid(fake - real.mean())
    critic = -np.log(more_real).mean() - np.log(1 - less_real).mean()
    generator = -np.log(1 - more_real).mean() - np.log(less_real).mean()
    assert float(losses.relativistic_critic_loss(REAL, FAKE)) == pytest.approx(critic, rel=1e-5)
    assert float(losses.relativistic_generator_loss(REAL, FAKE)) == pytest.approx(generator, rel=1e-5)


def test_the_gradient_of_the_relativistic_loss_flows_through_the_means_too():
    real, fake = (scores.clone().requires_grad_() for scores in (REAL, FAKE))
    losses.relativistic_critic_loss(real, fake).backward()
    r, f = (scores.numpy().astype(float) for scores in (REAL, FAKE))
    missed, taken = sigmoid(f.mean() - r), sigmoid(f - r.mean())
    np.testing.assert_allclose(real.grad, -(missed + taken.mean()) / r.size, rtol=1e-5)
    np.testing.assert_allclose(fake.grad, (taken + missed.mean()) / f.size, rtol=1e-5)


def test_confident_scores_give_finite_losses():
    sure = torch.tensor([[1e4]])
    assert torch.isfinite(losses.gan_critic_loss(-sure, sure))
    assert torch.isfinite(losses.relativistic_generator_loss(sure, -sure))


def test_the_penalty_of_a_linear_critic_is_known():
    weights = torch.tensor([0.5, -1.0, 2.0])
    volumes = torch.zeros(2, 1, 1, 1, 3)
    penalty = losses.gradient_penalty(
        lambda x: (x * weights).flatten(1).sum(1, keepdim=True), volumes, volumes + 1, torch.rand(2)
    )
    assert penalty.item() == pytest.approx((np.sqrt(5.25) - 1) ** 2, rel=1e-6)


def test_the_norm_is_taken_of_each_sample():
    volumes = torch.zeros(2, 1, 1, 1, 1)
    slopes = torch.tensor([1.0, 3.0])[:, None]
    penalty = losses.gradient_penalty(lambda x: slopes * x.flatten(1), volumes, volumes, torch.rand(2))
    assert penalty.item() == pytest.approx((0 + 4) / 2)


def test_the_penalty_is_taken_between_the_truth_and_what_was_made():
    real, fake = torch.full((1, 1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1, 1), 1.0)
    penalty = losses.gradient_penalty(lambda x: x.flatten(1).square(), real, fake, torch.tensor([0.25]))
    assert penalty.item() == pytest.approx((2 * 1.5 - 1) ** 2)  # the slope of x^2 at 0.25 * 3 + 0.75 * 1


@pytest.fixture
def a_critic() -> nn.Module:
    torch.manual_seed(1)
    return SequenceLstmDiscriminator(SequenceLstmConfig(channels=2, grid=1, hidden=3)).double()


@pytest.fixture
def three_volumes(a_pair) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    real, fake = (torch.randn(2, 1, 2, 8, 8, generator=random, dtype=torch.float64) for _ in range(2))
    return real, fake, torch.rand(2, generator=random, dtype=torch.float64)


def test_the_penalty_agrees_with_finite_differences(a_critic, three_volumes):
    real, fake, share = three_volumes
    between = share[:, None, None, None, None] * real + (1 - share)[:, None, None, None, None] * fake
    step = 1e-6
    norms = []
    with torch.no_grad():
        for sample in between:
            slopes = []
            for place in np.ndindex(*sample.shape):
                moved = torch.stack([sample, sample])
                moved[(0, *place)] += step
                moved[(1, *place)] -= step
                above, below = a_critic(moved).mean(dim=1)
                slopes.append(float(above - below) / (2 * step))
            norms.append(np.linalg.norm(slopes))
    expected = np.mean((np.array(norms) - 1) ** 2)
    assert losses.gradient_penalty(a_critic, real, fake, share).item() == pytest.approx(expected, rel=1e-6)


def test_the_slope_of_the_penalty_agrees_with_finite_differences(a_critic, three_volumes):
    penalty = losses.gradient_penalty(a_critic, *three_volumes)
    slopes = torch.autograd.grad(penalty, [a_critic.memory.gates.weight, a_critic.judge.weight])
    step = 1e-6
    for weight, slope in zip([a_critic.memory.gates.weight, a_critic.judge.weight], slopes, strict=True):
        for place in [(0, 0), (0, 2)]:
            values = []
            for sign in (1, -1):
                weight.data[place] += sign * step
                values.append(losses.gradient_penalty(a_critic, *three_volumes).item())
                weight.data[place] -= sign * step
            assert float(slope[place]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-9)


def test_the_penalty_leaves_the_generator_alone(a_critic, three_volumes):
    real, fake, share = three_volumes
    fake.requires_grad_()
    losses.gradient_penalty(a_critic, real, fake, share).backward()
    assert fake.grad is None


def test_the_penalty_is_computed_in_single_precision_within_mixed_precision():
    real, fake = (torch.rand(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16() for _ in range(2))
    layer, types = nn.Linear(16, 1), []

    def critic(volumes: torch.Tensor) -> torch.Tensor:
        scores = layer(volumes.flatten(1))
        types.extend([volumes.dtype, scores.dtype])
        return scores

    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses.gradient_penalty(critic, real, fake, torch.rand(2))
    assert types == [torch.float32, torch.float32]


def test_features_of_real_volumes_get_no_gradient_and_those_of_made_ones_do():
    real, fake = (torch.tensor([start], requires_grad=True) for start in (1.0, 3.0))
    losses.adversarial_feature_loss([real], [fake]).backward()
    assert real.grad is None
    assert fake.grad.item() == 4.0


def test_feature_losses_are_means_over_the_stages():
    real, fake = [torch.zeros(1, 2), torch.zeros(1, 3)], [torch.ones(1, 2), torch.full((1, 3), 2.0)]
    assert float(losses.adversarial_feature_loss(real, fake)) == pytest.approx((1 + 4) / 2)


def test_accuracy_counts_judgments_on_the_right_side():
    assert losses.discriminator_accuracy(REAL, FAKE) == pytest.approx(5 / 8)
    assert losses.discriminator_accuracy(REAL + 10, FAKE + 10, zero=10) == pytest.approx(5 / 8)
    assert losses.discriminator_accuracy(torch.zeros(2, 1), torch.zeros(2, 1)) == 0  # undecided


def test_the_hinge_loss_agrees_with_numpy():
    real, fake = REAL.numpy(), FAKE.numpy()
    expected = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    assert float(losses.hinge_critic_loss(REAL, FAKE)) == pytest.approx(expected, rel=1e-6)


def test_paired_relativistic_losses_agree_with_numpy():
    real, fake = REAL.numpy(), FAKE.numpy()
    critic, generator = -np.log(sigmoid(real - fake)).mean(), -np.log(sigmoid(fake - real)).mean()
    assert float(losses.paired_relativistic_critic_loss(REAL, FAKE)) == pytest.approx(critic, rel=1e-5)
    assert float(losses.paired_relativistic_generator_loss(REAL, FAKE)) == pytest.approx(generator, rel=1e-5)
