from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medical_super_resolution.inference.refiners.tiling import tiles


@settings(deadline=None, derandomize=True, max_examples=80)
@given(shape=st.tuples(st.integers(1, 70), st.integers(1, 70)), side=st.integers(1, 40), margin=st.integers(0, 15))
def test_cores_cover_the_plane_once_and_are_no_larger_than_asked(shape, side, margin):
    covered = np.zeros(shape, int)
    for tile in tiles(shape, side, margin):
        covered[tile.core_j, tile.core_i] += 1
        assert max(covered[tile.core_j, tile.core_i].shape) <= side
        assert tile.core_size == covered[tile.core_j, tile.core_i].size > 0
    np.testing.assert_array_equal(covered, 1)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(shape=st.tuples(st.integers(1, 70), st.integers(1, 70)), side=st.integers(1, 40), margin=st.integers(0, 15))
def test_the_inner_part_is_the_core_seen_from_the_outer_part(shape, side, margin):
    plane = np.arange(shape[0] * shape[1]).reshape(shape)
    for tile in tiles(shape, side, margin):
        outer = plane[tile.outer_j, tile.outer_i]
        np.testing.assert_array_equal(outer[tile.inner_j, tile.inner_i], plane[tile.core_j, tile.core_i])


@pytest.mark.parametrize("side", [7, 16, 30])
def test_a_filter_that_reaches_as_far_as_the_margin_is_exact_in_every_core(side: int):
    plane = np.random.default_rng(0).normal(size=(61, 47))
    whole = ndimage.uniform_filter(plane, 9, mode="constant")  # reaches 4 voxels
    for tile in tiles(plane.shape, side, 4):
        part = ndimage.uniform_filter(plane[tile.outer_j, tile.outer_i], 9, mode="constant")
        np.testing.assert_allclose(part[tile.inner_j, tile.inner_i], whole[tile.core_j, tile.core_i], atol=1e-12)


def test_edges_at_the_border_of_the_plane_are_not_cut():
    edges = [tile.cut_edges for tile in tiles((20, 30), 10, 4)]
    top_left, bottom_right = edges[0], edges[-1]
    assert top_left == (False, True, False, True)
    assert bottom_right == (True, False, True, False)
    middle = list(tiles((9, 9), 3, 4))[4]  # its margin reaches the border on all sides
    assert middle.cut_edges == (False, False, False, False)


def test_a_plane_smaller_than_a_tile_is_one_tile():
    only = list(tiles((20, 30), 64, 12))
    assert len(only) == 1
    assert only[0].cut_edges == (False, False, False, False)


def test_tiles_are_of_about_the_same_size():
    sizes = [tile.core_size for tile in tiles((101, 64), 50, 4)]
    assert max(sizes) <= 1.2 * min(sizes)
