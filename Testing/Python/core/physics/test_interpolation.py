from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.networks.generators.plane import enlarged
from medical_super_resolution.physics.interpolation import apply_along_sequence, cubic_matrix

POSITIONS = torch.linspace(-0.5, 8.5, 37, dtype=torch.float64)


def keys(distance: float) -> float:
    """Keys (1981), eq. 15, written out."""
    s = abs(distance)
    if s < 1:
        return 1.5 * s**3 - 2.5 * s**2 + 1
    return -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2 if s < 2 else 0.0


def test_weights_agree_with_the_definition_written_out():
    expected = np.zeros((len(POSITIONS), 9))
    for row, position in enumerate(POSITIONS.tolist()):
        for sample in range(-3, 12):
            expected[row, min(max(sample, 0), 8)] += keys(position - sample)
    np.testing.assert_allclose(cubic_matrix(9, POSITIONS), expected, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_a_constant_stays_the_same(count: int):
    np.testing.assert_allclose(cubic_matrix(count, POSITIONS.clamp(-0.5, count - 0.5)).sum(dim=1), 1, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2])
def test_lines_and_parabolas_come_out_exactly_inside(degree: int):
    inside = torch.linspace(1, 7, 25, dtype=torch.float64)
    values = torch.arange(9, dtype=torch.float64) ** degree
    np.testing.assert_allclose(cubic_matrix(9, inside) @ values, inside**degree, atol=1e-12)


def test_at_a_sample_the_value_is_that_sample():
    np.testing.assert_allclose(cubic_matrix(9, torch.arange(9, dtype=torch.float64)), np.eye(9), atol=1e-12)


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_a_matrix_acts_along_the_sequence_and_nowhere_else(leading: tuple[int, ...]):
    random = np.random.default_rng(0)
    volume, matrix = random.normal(size=(*leading, 5, 4, 3)), random.normal(size=(7, 5))
    result = apply_along_sequence(torch.from_numpy(matrix), torch.from_numpy(volume))
    np.testing.assert_allclose(result, np.einsum("mk,...kji->...mji", matrix, volume), rtol=1e-5, atol=1e-5)


def test_a_device_needs_no_autocast_to_be_computed_on():
    """As Apple's graphics cards, for which PyTorch had none before 2.5."""
    volume, matrix = torch.ones(5, 4, 3, device="meta"), torch.ones(7, 5, device="meta")
    assert apply_along_sequence(matrix, volume).shape == (7, 4, 3)
    assert enlarged(torch.ones(2, 1, 4, 3, device="meta"), 2).shape == (2, 1, 8, 6)


def test_interpolation_stays_in_single_precision_under_mixed_precision():
    volume, matrix = torch.rand(5, 4, 3), torch.rand(7, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = apply_along_sequence(matrix, volume)
    assert mixed.dtype == torch.float32
    np.testing.assert_array_equal(mixed, apply_along_sequence(matrix, volume))
