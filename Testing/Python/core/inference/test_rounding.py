"""From the range of the network to the type of the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.inference.refiners.axis_request import Denormalizer
from medical_super_resolution.volumes.intensity import IntensityRange


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"])
def test_a_value_is_stored_as_the_nearest_that_the_type_holds_whatever_the_type(kind: str):
    values = torch.tensor([[[-1e6, -0.5, 0.5, 1.5, 2.5, 99.49, 1e6]]])
    expected = values.numpy().astype(np.float64)
    if np.dtype(kind).kind != "f":
        limits = np.iinfo(kind)
        expected = np.rint(expected).clip(limits.min, limits.max)

    found = Denormalizer(IntensityRange(0, 1), np.dtype(kind), None).denormalized(values.clone())

    assert found.dtype == kind
    np.testing.assert_array_equal(found, expected.astype(kind))


def test_nothing_is_stored_below_the_floor():
    found = Denormalizer(IntensityRange(0, 100), np.dtype("int16"), floor=0).denormalized(torch.tensor([[[-0.2, 0.3]]]))

    np.testing.assert_array_equal(found, np.int16([[[0, 30]]]))


def test_half_precision_is_clipped_to_its_range_instead_of_becoming_infinite():
    found = Denormalizer(IntensityRange(0, 1), np.dtype("float16"), None).denormalized(
        torch.tensor([[[-7e4, 0.5, 7e4]]])
    )

    np.testing.assert_array_equal(found, np.float16([[[-65504, 0.5, 65504]]]))
