from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.networks.contracts import SequenceTile
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator
from medical_super_resolution.networks.residual_stream import ResidualStream
from medical_super_resolution.networks.sections import Sections, Turn
from medical_super_resolution.physics.acquisition import fine_centers

FACTORS = [1.25, 1.7, 2.0, 3.0, 4.0, 6.37, 8.0]


@pytest.fixture(scope="module")
def a_generator() -> ThroughPlaneGenerator:
    """Two blocks of two pairs: the smallest network with all connections between blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = ThroughPlaneConfig(channels=6, blocks=2, pairs=2, gate_channels=4, kernel_hidden=8)
        return ThroughPlaneGenerator(config).eval().requires_grad_(False)


def places(count: int, factor: float) -> torch.Tensor:
    return torch.from_numpy(fine_centers(round(count * factor), factor))


def a_sequence(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((1, 1, *shape), dtype=np.float32))


def residual(generator: ThroughPlaneGenerator, lr: torch.Tensor, factor: float, width: float = 1.0) -> torch.Tensor:
    return generator.residual(generator.features(lr, width), places(lr.shape[2], factor), factor, width)


def streamed(generator, lr, factor, width=1.0, *, chunks, cut_edges=(False,) * 4) -> torch.Tensor:
    """The residual computed in pushes of ``chunks`` slices, the last size again and again."""
    tile = SequenceTile(places(lr.shape[2], factor), factor, width, cut_edges)
    sections, stream = Sections(), ResidualStream(generator, tile)
    sizes, start, parts = iter(chunks), 0, []
    size = 1
    while start < lr.shape[2]:
        size = next(sizes, size)
        stop = min(start + size, lr.shape[2])
        following = lr[:, :, stop : stop + 1] if stop < lr.shape[2] else None
        with Turn(sections) as turn:
            parts += stream.push(turn, lr[:, :, start:stop], following)
        start = stop
    for _ in range(generator.delay):
        with Turn(sections) as turn:
            turn.is_ending = True
            parts += stream.push(turn, lr[:, :, :0], None)
    return torch.cat(parts, dim=2)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("value", [0.0, 0.37, 1.0, -0.2])
def test_a_constant_has_no_residual_at_all(a_generator, factor: float, value: float):
    assert not residual(a_generator, torch.full((1, 1, 7, 10, 11), value), factor).any()


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_comes_out_as_the_same_constant(a_generator, factor: float, value: float):
    result = a_generator(torch.full((1, 1, 7, 10, 11), value), places(7, factor), factor)
    np.testing.assert_allclose(result, value, atol=1e-6)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("count", [2, 3, 9])
def test_any_factor_gives_one_slice_for_each_place(a_generator, factor: float, count: int):
    result = a_generator(a_sequence(count, 6, 5), places(count, factor), factor)
    assert result.shape == (1, 1, round(count * factor), 6, 5)
    assert result.isfinite().all()


@pytest.mark.parametrize("factor", [1.7, 4.0])
def test_each_output_slice_depends_on_its_place_alone(a_generator, factor: float):
    lr = a_sequence(6, 5, 7)
    features, wanted = a_generator.features(lr, 1.0), places(6, factor)
    together = a_generator.residual(features, wanted, factor, 1.0)
    alone = torch.cat(
        [a_generator.residual(features, wanted[m : m + 1], factor, 1.0) for m in range(len(wanted))], dim=2
    )
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_the_upscaling_head_weighs_the_slices_before_and_after_each_place(a_generator):
    features = torch.randn(1, 6, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([-0.3, 0.25, 1.0, 2.9, 3.4], dtype=torch.float64)
    result = a_generator.residual(features, positions, 3.0, 1.2)
    for number, position in enumerate(positions.tolist()):
        base = int(np.floor(position))
        before, after = features[0, :, max(base, 0)], features[0, :, min(base + 1, 3)]
        kernel = a_generator.kernel(torch.tensor([position - base]), 3.0, 1.2)[0]
        expected = torch.einsum("c,cji->ji", kernel[0], before) + torch.einsum("c,cji->ji", kernel[1], after)
        np.testing.assert_allclose(result[0, 0, number], expected, atol=1e-5)


def test_the_factor_and_the_thickness_change_the_kernel(a_generator):
    phases = torch.tensor([0.3])
    kernel = a_generator.kernel(phases, 2.0, 1.0)
    assert (kernel - a_generator.kernel(phases, 4.0, 1.0)).abs().max() > 1e-4
    assert (kernel - a_generator.kernel(phases, 2.0, 1.3)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("factor", "chunks"),
    [
        *((1.7, chunks) for chunks in [(1,), (2,), (3,), (4,), (7,), (16,), (1, 5, 2), (8, 1), (3, 1, 1, 6)]),
        *((factor, (3, 1, 1, 6)) for factor in (1.25, 4.0)),
    ],
)
def test_a_stream_without_gradients_equals_the_whole_sequence_with_them(
    a_generator, factor: float, chunks: tuple[int, ...]
):
    lr = a_sequence(16, 9, 8)
    whole = residual(a_generator, lr, factor, 0.9)
    with torch.inference_mode():  # matrix products then take the place of convolutions
        parts = streamed(a_generator, lr, factor, 0.9, chunks=chunks)
    np.testing.assert_allclose(parts, whole, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("chunks", [(1,), (2,), (4,)])
def test_a_stream_shorter_than_the_network_is_deep_equals_the_whole(a_generator, count: int, chunks: tuple[int, ...]):
    lr = a_sequence(count, 9, 8)
    np.testing.assert_allclose(streamed(a_generator, lr, 2.5, chunks=chunks), residual(a_generator, lr, 2.5), atol=1e-6)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_stream_gives_every_output_slice_for_any_factor(a_generator, factor: float):
    lr = a_sequence(11, 6, 5)
    whole = residual(a_generator, lr, factor)
    np.testing.assert_allclose(streamed(a_generator, lr, factor, chunks=(4,)), whole, atol=1e-6)


@pytest.mark.parametrize("cut_edges", [
    (True, False, False, False), (False, True, False, False), (False, False, True, False), (False, False, False, True),
    (True, True, True, True),
])  # fmt: skip
def test_a_tile_cut_from_a_slice_equals_that_part_of_the_whole(a_generator, cut_edges: tuple[bool, ...]):
    lr = a_sequence(5, 40, 42)
    whole = residual(a_generator, lr, 2.5)
    top, bottom, left, right = (6 * cut for cut in cut_edges)
    tile = lr[..., top : 40 - bottom, left : 42 - right]
    result = streamed(a_generator, tile, 2.5, chunks=(2,), cut_edges=cut_edges)
    reach = a_generator.reach
    top, bottom, left, right = ((6 + reach) * cut for cut in cut_edges)
    np.testing.assert_allclose(result, whole[..., top : 40 - bottom, left : 42 - right], atol=1e-6)


def test_nothing_changes_beyond_the_reach(a_generator):
    lr = a_sequence(5, 40, 40)
    touched = lr.clone()
    touched[0, 0, 2, 20, 20] += 0.5
    changed = (residual(a_generator, touched, 2.0) - residual(a_generator, lr, 2.0))[0, 0].abs().amax(dim=0)
    where = changed.nonzero()
    assert (where - 20).abs().max() <= a_generator.reach
    assert changed[20, 20] > 1e-5


def test_brightness_changes_how_structure_is_refined(a_generator):
    """The intensity itself weighs the differences: bone at 0.9 need not be refined as lung at 0.1."""
    lr = a_sequence(5, 8, 8) * 0.1
    assert (residual(a_generator, lr + 0.8, 2.0) - residual(a_generator, lr, 2.0)).abs().max() > 1e-5


@pytest.mark.parametrize("size", [(2, 16, 20), (6, 1, 1), (2, 1, 9)])
def test_thin_volumes_are_refined_too(a_generator, size: tuple[int, int, int]):
    lr = a_sequence(*size)
    np.testing.assert_allclose(streamed(a_generator, lr, 2.0, chunks=(4,)), residual(a_generator, lr, 2.0), atol=1e-6)
