"""The detail of one pair of models, added to the result of a larger model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import ModelError
from medical_super_resolution.inference.cost import START_SECONDS, estimate
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.inference.refiners import throughplane, tile_stream
from medical_super_resolution.models import weight_interpolation as detail
from medical_super_resolution.models.card import described
from medical_super_resolution.models.store import detail_files_of
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from model_samples import write_model

TWICE = {"factor": 2.0, "axes": "k", "slice_profile": "gaussian"}


@pytest.fixture
def three_models(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A large model that borrows the detail of "soft", and that pair."""
    return (
        write_model(tmp_path / "large.safetensors", 3, {"detail_model": "soft-detail"}, channels=12, blocks=2),
        write_model(tmp_path / "soft.safetensors", 1, {"detail_model": "soft-detail"}),
        write_model(tmp_path / "soft-detail.safetensors", 2, {"detail_model_of": "soft"}),
    )


@pytest.fixture
def a_head() -> Volume:
    """Noise around 0, so that nothing is cut off at a lowest value."""
    array = np.random.default_rng(4).normal(0, 120, (9, 44, 40)).astype(np.float32)
    return Volume(array, Grid(array.shape, np.diag([1.0, 1.0, 4.0, 1.0])), modality="mr")


def refined(path: Path, volume: Volume, amount: float) -> np.ndarray:
    settings = EnhanceSettings(**TWICE, detail=amount)
    return enhance(volume, detail.load(path, amount), settings).volume.array


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        detail.load(path, 0.5)
    return str(caught.value)


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_what_detail_adds_to_its_own_model_is_added_to_the_large_one(
    three_models: tuple[Path, ...], a_head: Volume, amount: float
):
    large, soft, _ = three_models
    added = refined(soft, a_head, amount) - refined(soft, a_head, 0)
    found = refined(large, a_head, amount) - refined(large, a_head, 0)
    assert np.abs(added).max() > 1
    np.testing.assert_allclose(found, added, atol=0.01)


def test_a_small_model_takes_the_detail_of_a_deeper_pair(tmp_path: Path, a_head: Volume):
    """Whose results come later; the stream does not end before them."""
    small = write_model(tmp_path / "small.safetensors", 3, {"detail_model": "deep-detail"})
    deep = write_model(tmp_path / "deep.safetensors", 1, {"detail_model": "deep-detail"}, channels=12, blocks=2)
    write_model(tmp_path / "deep-detail.safetensors", 2, {"detail_model_of": "deep"}, channels=12, blocks=2)
    added, found = (refined(path, a_head, 1) - refined(path, a_head, 0) for path in (deep, small))
    assert np.abs(added).max() > 1
    np.testing.assert_allclose(found, added, atol=0.01)


def test_tiles_leave_no_seams(three_models: tuple[Path, ...], a_head: Volume, monkeypatch: pytest.MonkeyPatch):
    whole = refined(three_models[0], a_head, 1)
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": 16})
    np.testing.assert_allclose(refined(three_models[0], a_head, 1), whole, atol=0.01)


def test_several_slices_at_a_time_give_the_same(
    three_models: tuple[Path, ...], a_head: Volume, monkeypatch: pytest.MonkeyPatch
):
    one_by_one = refined(three_models[0], a_head, 1)
    monkeypatch.setattr(tile_stream, "SLICES_A_PUSH", {"cpu": 4})
    np.testing.assert_allclose(refined(three_models[0], a_head, 1), one_by_one, atol=0.01)


def test_half_precision_is_near(three_models: tuple[Path, ...]):
    generator = detail.load(three_models[0], 1).generator
    generator.halve_blocks()
    parts = list(generator.parts)
    assert {part.stem.differences.weight.dtype for part in parts} == {torch.float32}
    assert {weight.dtype for part in parts for weight in part.refine.parameters()} == {torch.bfloat16}


def test_the_files_that_it_takes_are_named(three_models: tuple[Path, ...]):
    large, soft, detail_model = three_models
    assert detail_files_of(large) == [detail_model, soft]
    assert detail_files_of(soft) == [detail_model]
    assert any("soft-detail, that of soft, sha256" in line for line in described(large))


def test_a_missing_file_is_named(three_models: tuple[Path, ...]):
    large, soft, _ = three_models
    soft.unlink()
    assert "soft.safetensors, which the detail of the model large needs, is missing" in refusal(large)
    assert any("detail model  soft, which is missing" in line for line in described(large))


def test_a_pair_of_two_kinds_is_refused(three_models: tuple[Path, ...]):
    large, soft, _ = three_models
    write_model(soft, 1, {"detail_model": "soft-detail"}, channels=6)
    assert "is another kind of network" in refusal(large)


def test_the_time_of_the_pair_is_foreseen(three_models: tuple[Path, ...], a_head: Volume):
    def seconds(amount: float) -> float:
        settings = EnhanceSettings(**TWICE, model=str(three_models[0]), detail=amount)
        return estimate(plan(a_head.grid, settings), 4, settings).cpu_seconds

    assert seconds(1) > seconds(0)


def test_the_time_of_their_uncertainty_is_foreseen(three_models: tuple[Path, ...], a_head: Volume):
    def seconds(amount: float, *, uncertainty: bool = False) -> float:
        settings = EnhanceSettings(**TWICE, model=str(three_models[0]), detail=amount, uncertainty=uncertainty)
        return estimate(plan(a_head.grid, settings), 4, settings).cpu_seconds - START_SECONDS

    mirrors = len(plan(a_head.grid, EnhanceSettings(**TWICE)).mirrors)
    assert seconds(0, uncertainty=True) == pytest.approx(mirrors * seconds(0) + seconds(1))
    assert seconds(1, uncertainty=True) == pytest.approx(mirrors * seconds(1) + seconds(0))
