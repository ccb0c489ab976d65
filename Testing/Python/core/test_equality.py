"""Values that hold arrays can be compared: an array has no single truth, so a generated comparison would fail."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from import_rules import modules
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume

REPOSITORY = Path(__file__).parents[3]


def test_grids_with_the_same_place_are_equal_and_have_the_same_hash(a_grid: Grid):
    same = Grid(tuple(np.array(a_grid.shape_kji)), a_grid.ijk_to_ras.copy())

    assert same == a_grid
    assert len({same, a_grid}) == 1


def test_a_grid_that_lies_elsewhere_or_has_another_size_differs(a_grid: Grid):
    moved = a_grid.ijk_to_ras.copy()
    moved[0, 3] += 0.5

    assert Grid(a_grid.shape_kji, moved) != a_grid
    assert a_grid.refined("k", 2) != a_grid
    assert a_grid != "a grid"


def test_a_grid_does_not_change_with_the_matrix_that_it_was_made_from(a_grid: Grid):
    matrix = a_grid.ijk_to_ras.copy()
    grid = Grid(a_grid.shape_kji, matrix)
    matrix[0, 3] = 99

    assert grid == a_grid


def test_a_copied_or_stored_grid_is_the_same_and_cannot_be_changed_either(a_grid: Grid):
    named = replace(a_grid, slice_axis="j")
    for again in (copy.copy(named), copy.deepcopy(named), pickle.loads(pickle.dumps(named))):
        assert again == named
        with pytest.raises(ValueError, match="read-only"):
            again.ijk_to_ras[0, 3] = 99


def test_volumes_are_equal_where_everything_is(a_volume: Volume):
    assert replace(a_volume, array=a_volume.array.copy()) == a_volume
    assert replace(a_volume, array=a_volume.array + 1) != a_volume
    assert replace(a_volume, array=a_volume.array.astype(np.float32)) != a_volume
    assert replace(a_volume, modality="mr") != a_volume
    assert replace(a_volume, grid=Grid(a_volume.grid.shape_kji, np.eye(4))) != a_volume


def test_no_dataclass_compares_arrays_field_by_field():
    found = []
    for name in modules(REPOSITORY):
        if not name.startswith("medical_super_resolution") or name.endswith("__main__"):
            continue
        for kind in vars(importlib.import_module(name)).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == name:
                types = " ".join(str(one.type) for one in dataclasses.fields(kind))
                if ("ndarray" in types or "Tensor" in types) and kind.__dataclass_params__.eq:
                    found.append(f"{name}.{kind.__name__}")
    assert found == []
