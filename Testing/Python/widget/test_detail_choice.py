"""What the panel reads from the file of a model: its detail, which is offered with a detail model, and its factor."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest


def write_header(path: Path, card: dict[str, Any], config: dict[str, Any] | None = None) -> None:
    """A model file without weights: the panel reads only its header."""
    ours = json.dumps({"format_version": 1, "generator": "through-plane", "config": config or {}, "card": card})
    text = json.dumps({"__metadata__": {"medical_super_resolution": ours}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


@pytest.fixture
def a_model_folder(the_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the panel finds its models: general, with a detail model, and plain, without."""
    from MedicalSuperResolutionLib.setup import models as installed

    write_header(tmp_path / "general.safetensors", {"detail_model": "general-detail"})
    write_header(tmp_path / "general-detail.safetensors", {})
    write_header(tmp_path / "plain.safetensors", {})
    monkeypatch.setattr(installed.store, "SHIPPED_FOLDER", tmp_path)
    monkeypatch.setattr(installed, "installed_models", lambda: ["general", "plain"])
    return tmp_path


def test_detail_is_offered_with_a_detail_model_and_reaches_the_engine(
    a_model_folder: Path, a_panel: Any, a_thick_volume: Any, a_runner: Any
):
    slider = a_panel.ui.detailSlider
    assert (slider.enabled, slider.minimum, slider.maximum, slider.value) == (True, 0, 1, 0)
    slider.value = 0.5
    a_panel.ui.enhanceButton.click()
    assert a_runner.settings.detail == 0.5
    a_runner.finish()


def test_the_steps_of_the_slider_do_not_add_up_to_a_detail_that_it_does_not_show(
    a_model_folder: Path, a_panel: Any, a_thick_volume: Any
):
    slider = a_panel.ui.detailSlider
    for value, detail in ((0.37000000000000005, 0.37), (8.9e-18, 0)):
        slider.value = value
        assert a_panel._parameterNode.detail == detail
    assert slider.singleStep == 10**-slider.decimals  # a larger one would not reach both ends from a typed number


def test_without_a_detail_model_the_slider_says_why_it_is_of_no_use(
    a_model_folder: Path, a_panel: Any, a_thick_volume: Any
):
    a_panel.ui.detailSlider.value = 0.5
    a_panel._parameterNode.model = "plain"
    assert not a_panel.ui.detailSlider.enabled
    assert a_panel.ui.detailSlider.toolTip == "The model plain has no detail model, so it knows fidelity only."
    assert a_panel._parameterNode.settings().detail == 0
    assert a_panel.ui.enhanceButton.enabled
    a_panel._parameterNode.model = "general"
    assert a_panel._parameterNode.settings().detail == 0.5


def test_a_missing_detail_model_is_named(a_model_folder: Path, a_panel: Any, a_thick_volume: Any):
    (a_model_folder / "general-detail.safetensors").unlink()
    a_panel.enter()
    assert a_panel.ui.detailSlider.toolTip == (
        "The file general-detail.safetensors, which the detail of the model general needs, is missing."
    )


def test_a_model_that_cannot_be_read_has_no_detail(a_model_folder: Path, a_panel: Any, a_thick_volume: Any):
    (a_model_folder / "general.safetensors").write_bytes(b"damaged")
    a_panel.enter()
    assert "damaged" in a_panel.ui.detailSlider.toolTip
    assert a_panel._parameterNode.settings().detail == 0


def test_the_detail_survives_saving_the_scene(a_model_folder: Path, a_panel: Any, slicer_python: Any, tmp_path: Path):
    import slicer_host

    a_panel._parameterNode.detail = 0.25
    slicer_host.save_bundle(slicer_python.mrmlScene, tmp_path / "scene.mrb")
    slicer_python.mrmlScene.Clear(False)
    assert a_panel.ui.detailSlider.value == 0
    slicer_host.load_bundle(slicer_python.mrmlScene, tmp_path / "scene.mrb")
    assert (a_panel._parameterNode.detail, a_panel.ui.detailSlider.value) == (0.25, 0.25)


def test_the_forecast_is_that_of_a_model_which_knows_a_single_factor(a_panel: Any, a_thick_volume: Any, tmp_path: Path):
    write_header(tmp_path / "mine.safetensors", {}, {"factor": 2})
    a_panel._parameterNode.model = str(tmp_path / "mine.safetensors")
    assert "becomes 40x36x8 at 0.50x0.50x3.00 mm" in a_panel.ui.descriptionLabel.text
    assert a_panel._parameterNode.settings().axes == "in-plane"
    assert a_panel.ui.settingsLabel.text.startswith("mine, detail 0, ")  # without the path, which may name a patient


def test_a_goal_that_a_model_does_not_reach_is_refused_before_the_click(
    a_panel: Any, a_thick_volume: Any, tmp_path: Path
):
    write_header(tmp_path / "mine.v2.safetensors", {}, {"factor": 2})
    a_panel._parameterNode.model = str(tmp_path / "mine.v2.safetensors")
    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).THIN_SLICES_2
    assert not a_panel.ui.enhanceButton.enabled
    assert a_panel.ui.descriptionLabel.text == a_panel.ui.enhanceButton.toolTip
    assert a_panel.ui.descriptionLabel.text == (
        "The model mine.v2 refines both in-plane axes 2 times and nothing else;"
        " ask for in-plane refinement by 2, or choose the model general."
    )
    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).IN_PLANE_2
    assert a_panel.ui.enhanceButton.enabled


def test_the_tool_tip_of_a_model_writes_the_lists_of_its_card_in_words(the_module: Any, tmp_path: Path):
    from MedicalSuperResolutionLib.panel.sections.selectors import card_of

    write_header(tmp_path / "mine.safetensors", {"trained_for": {"modalities": ["ct", "mr"], "loss": {"mse": 1.0}}})
    assert card_of(tmp_path / "mine.safetensors") == "mine\ntrained for: modalities ct, mr; loss mse 1.0"
