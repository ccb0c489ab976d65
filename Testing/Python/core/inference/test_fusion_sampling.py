from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.inference.fusion.sampling import PlaneSampling, plane_sampling

SHAPE = (22, 24, 26)
SAMPLES = (5, 9, 8)


def a_turned_sampling(degrees: float) -> tuple[PlaneSampling, np.ndarray]:
    """Samples around the middle of the volume, and their indices (i, j, k) in it, (3, S, A, B)."""
    axis = np.array([0.6, 0.8, 0.0]) @ np.array([[1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    to_target = np.eye(4)
    to_target[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    to_target[:3, 3] = (12.3, 11.6, 10.8) - to_target[:3, :3] @ ((np.array(SAMPLES) - 1) / 2)[::-1]
    s, a, b = np.indices(SAMPLES).reshape(3, -1)
    places = (to_target @ np.stack([b, a, s, np.ones_like(s)]))[:3].reshape(3, *SAMPLES)
    return plane_sampling(to_target, 0, SAMPLES, SHAPE), places


@pytest.mark.parametrize("degrees", [0, 2, 10, 25, 45, 80])
def test_a_ramp_is_sampled_exactly_at_any_angle(degrees):
    sampling, (i, j, k) = a_turned_sampling(degrees)
    z, y, x = np.indices(SHAPE)
    ramp = torch.from_numpy(2.0 * x - 3.0 * y + z).float()
    assert sampling.sampled(ramp).numpy() == pytest.approx(2 * i - 3 * j + k, abs=1e-3)
    assert bool((sampling.inside() == 1).all())


@pytest.mark.parametrize("degrees", [0, 2, 10, 25, 45, 80])
def test_spreading_is_the_adjoint_of_sampling_at_any_angle(degrees):
    sampling, _ = a_turned_sampling(degrees)
    generator = torch.Generator().manual_seed(0)
    volume, samples = torch.randn(SHAPE, generator=generator), torch.randn(SAMPLES, generator=generator)
    spread = torch.zeros(SHAPE)
    sampling.spread(samples, spread)
    one, other = (sampling.sampled(volume) * samples).double().sum(), (spread * volume).double().sum()
    assert float(one) == pytest.approx(float(other), rel=1e-4, abs=1e-3)
