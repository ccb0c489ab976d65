"""One table of loss terms: weights of recipes, the training step and the columns of the curves derive from it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from medical_super_resolution.objectives.terms import CONTENT_TERMS, LOSS_TERMS
from medical_super_resolution_training.config.losses import LossWeights
from medical_super_resolution_training.training.monitoring.curves import COLUMNS, Means


def test_every_term_has_a_weight_in_recipes_and_a_column_in_curves():
    assert {entry.name for entry in dataclasses.fields(LossWeights)} == set(LOSS_TERMS)
    assert set(LOSS_TERMS) <= set(COLUMNS)


def test_a_recipe_without_weights_minimizes_the_absolute_error():
    assert {name: weight for name, weight in dataclasses.asdict(LossWeights()).items() if weight} == {"l1": 1.0}


@pytest.mark.parametrize("name", CONTENT_TERMS)
def test_a_content_term_measures_an_error_and_counts_in_the_loss_of_the_curves(name: str):
    hr = torch.rand(1, 1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    distance = LOSS_TERMS[name].distance
    assert float(distance(hr, hr)) == 0
    assert 0 < float(distance(0.9 * hr, hr)) < float(distance(0.5 * hr, hr))
    means = Means()
    means.add({name: torch.tensor(2.0)})
    assert means.taken() == {name: 2.0, "loss": 2.0, "total": 2.0}
