"""In another language the panel says refusals, the self-check and the recipes in that language, with their values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from widget.helpers import wait


@pytest.fixture
def in_brackets(a_panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A language in which every sentence of the package stands in brackets."""
    monkeypatch.setattr("MedicalSuperResolutionLib.translation.translate", lambda context, text: f"[{text}]")


def test_why_a_volume_cannot_be_enhanced_is_translated(a_panel: Any, in_brackets: None):
    import slicer

    fine = slicer.util.addVolumeFromArray(np.ones((8, 8, 8), np.int16), np.eye(4), "Fine")
    a_panel._parameterNode.inputVolume = fine
    assert a_panel.ui.descriptionLabel.text.startswith("[nothing to refine: the volume, 8x8x8 at")
    assert a_panel.ui.descriptionLabel.text.endswith("is as fine as asked already].")


def test_what_the_engine_refuses_is_translated(a_panel: Any, a_runner: Any, a_thick_volume: Any, in_brackets: None):
    a_panel._parameterNode.inputVolume = a_thick_volume
    a_panel.ui.enhanceButton.click()
    a_runner.fail(VolumeError("the folder /scans does not exist; make it first"))
    wait(lambda: a_panel._run.current is None)
    assert a_panel.ui.statusLabel.text == "[the folder /scans does not exist; make it first]."


def test_the_failure_of_a_self_check_is_translated(
    a_panel: Any, a_runner: Any, the_module: Any, in_brackets: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(the_module.torch_setup, "is_installed", lambda name: True)
    a_panel.ui.selfCheckButton.click()
    a_runner.fail(VolumeError("the volumes do not overlap in space; are they of the same scan?"))
    wait(lambda: a_panel.ui.selfCheckButton.enabled)
    assert "[the volumes do not overlap in space; are they of the same scan?]" in a_panel.ui.selfCheckTextEdit.plainText
