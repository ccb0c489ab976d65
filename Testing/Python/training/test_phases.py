"""Whether a result pulses with the factor, and how good its last slices are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medical_super_resolution_training.evaluation.cases import Case
from medical_super_resolution_training.evaluation.measures.phases import changes_by_phase, error_of_last, pulse


@pytest.fixture
def a_truth() -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(size=(24, 16, 16)), axis=0).astype(np.float32)


def everywhere(array: np.ndarray) -> np.ndarray:
    return np.ones(array.shape, bool)


def test_repeated_slices_change_only_from_one_to_the_next(a_truth: np.ndarray):
    thick = a_truth[:6] * np.arange(6, dtype=np.float32)[:, None, None]  # changes more and more
    changes = changes_by_phase(np.repeat(thick, 4, axis=0), 4, everywhere(a_truth))
    np.testing.assert_array_equal(changes[:3], 0)
    assert changes[3] == pytest.approx(np.sqrt(np.square(np.diff(thick, axis=0)).mean()))


@pytest.mark.parametrize("body", [slice(0, 12), slice(12, 24)])
def test_the_change_from_body_to_air_does_not_count(body: slice):
    array, inside = np.zeros((24, 16, 16), np.float32), np.zeros((24, 16, 16), bool)
    array[body], inside[body] = 100, True
    np.testing.assert_array_equal(changes_by_phase(array, 4, inside), 0)


def test_the_truth_does_not_pulse_and_a_result_that_doubles_one_change_does(a_truth: np.ndarray):
    steps = np.diff(a_truth, axis=0)
    steps[1::4] *= 2
    doubled = np.concatenate([a_truth[:1], a_truth[:1] + np.cumsum(steps, axis=0)])
    assert pulse(a_truth, a_truth, everywhere(a_truth), Case("k", 4)) == 1
    assert pulse(doubled, a_truth, everywhere(a_truth), Case("k", 4)) == pytest.approx(2, rel=1e-3)


def test_phases_exist_for_whole_factors_alone(a_truth: np.ndarray):
    assert math.isnan(pulse(a_truth, a_truth, everywhere(a_truth), Case("k", 2.5)))


def test_the_error_of_the_last_slices_is_compared_with_the_middle(a_truth: np.ndarray):
    made = a_truth + 1
    made[:8] += 2
    made[-8:] += 2
    assert error_of_last(made, a_truth, everywhere(a_truth), Case("k", 4)) == pytest.approx(3)
    assert math.isnan(error_of_last(a_truth, a_truth, everywhere(a_truth), Case("k", 4)))
