"""A model and its detail model: interpolation between them, its description, and refusals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from command_line import Medsr, refused
from medical_super_resolution.errors import ModelError, SettingsError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.uncertainty import widened
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.models import weight_interpolation as detail
from medical_super_resolution.models.card import described
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.dicom.derived import derivation
from medical_super_resolution.volumes.volume import Volume
from model_samples import write_model

TWICE = {"factor": 2.0, "axes": "k", "slice_profile": "gaussian"}


@pytest.fixture
def a_detail_pair(tmp_path: Path) -> tuple[Path, Path]:
    """A model that names "soft-detail" as its detail model, and that detail model."""
    return (
        write_model(tmp_path / "soft.safetensors", 1, {"summary": "soft", "detail_model": "soft-detail"}),
        write_model(tmp_path / "soft-detail.safetensors", 2, {"summary": "sharp"}),
    )


def refusal(path: Path, amount: float) -> str:
    with pytest.raises(ModelError) as caught:
        detail.load(path, amount)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("amount", [0.25, 0.5, 1.0])
def test_weights_lie_on_the_line_between_the_detail_models(a_detail_pair: tuple[Path, Path], amount: float):
    soft, detailed = map(load_file, a_detail_pair)
    mixed = detail.load(a_detail_pair[0], amount).generator.state_dict()
    for name, tensor in mixed.items():
        np.testing.assert_allclose(tensor, (1 - amount) * soft[name] + amount * detailed[name], atol=1e-6)


def test_detail_1_is_the_detail_model_exactly(a_detail_pair: tuple[Path, Path]):
    detailed = load_file(a_detail_pair[1])
    for name, tensor in detail.load(a_detail_pair[0], 1).generator.state_dict().items():
        np.testing.assert_array_equal(tensor, detailed[name])


def test_detail_0_is_the_model_itself_and_the_detail_model_is_not_opened(a_detail_pair: tuple[Path, Path]):
    path, detail_model = a_detail_pair
    detail_model.write_bytes(b"damaged")
    model = detail.load(path, 0)
    for name, tensor in load_file(path).items():
        np.testing.assert_array_equal(model.generator.state_dict()[name], tensor)
    assert (model.detail, model.detail_sha256) == (0, "")


def test_the_mixed_model_is_ready_to_use_and_says_what_it_is(a_detail_pair: tuple[Path, Path]):
    path, detail_model = a_detail_pair
    model = detail.load(path, 0.5)
    assert not model.generator.training
    assert not any(parameter.requires_grad for parameter in model.generator.parameters())
    assert (model.name, model.sha256) == ("soft", digest(path))
    assert (model.detail, model.detail_sha256) == (0.5, digest(detail_model))


def test_a_model_without_a_detail_model_has_no_detail(a_model_file: Path):
    assert "the model tiny has no detail model; ask for detail 0" in refusal(a_model_file, 0.5)


def test_a_missing_detail_model_is_named(a_detail_pair: tuple[Path, Path]):
    a_detail_pair[1].unlink()
    assert "soft-detail.safetensors, which the detail of the model soft needs, is missing; put it beside" in refusal(
        a_detail_pair[0], 0.5
    )


def test_a_damaged_detail_model_is_refused(a_detail_pair: tuple[Path, Path]):
    a_detail_pair[1].write_bytes(a_detail_pair[1].read_bytes()[:-100])
    assert "soft-detail.safetensors" in refusal(a_detail_pair[0], 0.5)


def test_a_detail_model_of_another_configuration_is_refused(a_detail_pair: tuple[Path, Path]):
    write_model(a_detail_pair[1], 2, {}, channels=16)
    assert "is another kind of network" in refusal(a_detail_pair[0], 0.5)


@pytest.mark.parametrize("name", ["../soft-detail", "/soft-detail", "a\\b", "C:soft", 7, ["soft-detail"]])
def test_a_detail_model_elsewhere_is_refused(tmp_path: Path, name: object):
    path = write_model(tmp_path / "soft.safetensors", 1, {"detail_model": name})
    assert "the file is damaged" in refusal(path, 0)


@pytest.mark.parametrize("amount", [-0.1, 1.01, float("nan"), float("inf")])
def test_a_detail_that_is_none_is_refused(a_detail_pair: tuple[Path, Path], amount: float):
    for ask in (lambda: EnhanceSettings(detail=amount), lambda: detail.load(a_detail_pair[0], amount)):
        with pytest.raises(SettingsError, match="detail must be at least 0"):
            ask()


def test_a_detail_model_is_not_listed_as_a_model_of_its_own(a_detail_pair: tuple[Path, Path], monkeypatch):
    path, detail_model = a_detail_pair
    monkeypatch.setattr(store, "SHIPPED_FOLDER", path.parent)
    assert store.installed() == [path]
    assert store.find("soft-detail") == detail_model  # but it can be asked for
    path.unlink()
    assert store.installed() == [detail_model]


def test_models_that_name_each_other_or_themselves_or_cannot_be_read_are_listed(tmp_path: Path):
    for name, detail_model in (("a", "b"), ("b", "a"), ("c", "c")):
        write_model(tmp_path / f"{name}.safetensors", 1, {"detail_model": detail_model})
    (tmp_path / "d.safetensors").write_bytes(b"damaged")
    assert [path.stem for path in store.models_in(tmp_path)] == ["a", "b", "c", "d"]


def test_the_card_names_the_detail_model(a_detail_pair: tuple[Path, Path], a_model_file: Path):
    path, detail_model = a_detail_pair
    (line,) = [line for line in described(path) if line.lstrip().startswith("detail model")]
    assert line.split() == ["detail", "model", "soft-detail,", "sha256", digest(detail_model)]
    detail_model.unlink()
    assert any("detail model  soft-detail, which is missing" in line for line in described(path))
    assert any("detail model  none" in line for line in described(a_model_file))


def test_the_result_changes_with_the_detail(a_detail_pair: tuple[Path, Path], a_volume: Volume):
    results = [
        enhance(a_volume, detail.load(a_detail_pair[0], amount), EnhanceSettings(**TWICE, detail=amount))
        for amount in (0, 0.5, 1)
    ]
    assert len({result.volume.array.tobytes() for result in results}) == 3
    assert [result.report.detail for result in results] == [0, 0.5, 1]
    assert [bool(result.report.detail_sha256) for result in results] == [False, True, True]


def test_the_engine_refuses_a_model_of_another_detail(a_detail_pair: tuple[Path, Path], a_volume: Volume):
    with pytest.raises(SettingsError, match=r"detail 0.5 is asked for, but the model was loaded with 0"):
        enhance(a_volume, models.load(a_detail_pair[0]), EnhanceSettings(**TWICE, detail=0.5))


def test_the_command_line_mixes_and_reports_it(
    medsr: Medsr, scan: Path, folder: Path, a_detail_pair: tuple[Path, Path]
):
    path, detail_model = a_detail_pair
    options = ("--factor", 2, "--model", path, "--detail", 0.5, "--report", folder / "report.json")
    assert medsr("enhance", scan, folder / "fine.nii.gz", *options)[0] == 0
    facts = json.loads((folder / "report.json").read_text())
    assert (facts["detail"], facts["settings"]["detail"]) == (0.5, 0.5)
    assert (facts["model_sha256"], facts["detail_sha256"]) == (digest(path), digest(detail_model))


def test_the_command_line_refuses_what_cannot_be(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--detail")
    assert "has no detail model" in refused(medsr, folder, *arguments, 0.5)
    assert "detail must be" in refused(medsr, folder, *arguments, 2)


def test_dicom_names_both_files(a_detail_pair: tuple[Path, Path], a_volume: Volume):
    path, detail_model = a_detail_pair
    settings = EnhanceSettings(**TWICE, detail=0.5)
    said = derivation.described(enhance(a_volume, detail.load(path, 0.5), settings).report)
    assert (
        f"model soft (sha256 {digest(path)[:12]}), detail 0.5 (detail model sha256 {digest(detail_model)[:12]}):"
        in said
    )


def test_independent_deviations_add_up_as_squares():
    found = widened(np.full(2, 3.0, np.float32), np.array([10, 10], np.uint8), np.array([18, 2], np.uint8))
    np.testing.assert_allclose(found, [5, 5])
    assert found.dtype == np.float32


@pytest.mark.parametrize("amount", [0.0, 1.0])
def test_the_difference_of_the_detail_models_is_part_of_the_uncertainty(
    a_detail_pair: tuple[Path, Path], a_volume: Volume, amount: float
):
    model = detail.load(a_detail_pair[0], amount)
    settings = EnhanceSettings(**TWICE, detail=amount, uncertainty=True)
    steps: list[tuple[int, int]] = []
    found = enhance(a_volume, model, settings, lambda *step: steps.append(step))
    detail_model_digest = digest(a_detail_pair[1])
    a_detail_pair[1].unlink()
    alone = enhance(a_volume, model, settings)

    assert found.uncertainty is not None
    assert alone.uncertainty is not None
    assert (found.uncertainty.array >= alone.uncertainty.array).all()
    assert found.uncertainty.array.mean() > 1.01 * alone.uncertainty.array.mean()
    assert found.report.detail_sha256 == detail_model_digest
    assert found.report.uncertainty.endswith("half the difference between the model and its detail model")
    assert alone.report.uncertainty == "the standard deviation over 8 mirror images of the scan"
    assert steps[-1][0] == steps[-1][1]
    assert sum(done == total for done, total in steps) == 1
