"""The self-check ends in a useful text, also where nothing works."""

from __future__ import annotations

from typing import Any

import pytest

from medical_super_resolution.errors import SuperResolutionError
from widget.helpers import volume_names, wait


@pytest.fixture
def everything_installed(a_panel: Any, the_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(the_module.torch_setup, "is_installed", lambda name: True)


def said(panel: Any) -> dict[str, str]:
    lines = panel.ui.selfCheckTextEdit.plainText.strip().splitlines()
    return dict(line.split(": ", 1) for line in lines)


def test_it_tries_the_engine_and_says_what_is_installed(a_panel: Any, a_runner: Any, everything_installed: None):
    assert a_panel.ui.selfCheckTextEdit.isHidden()
    a_panel.ui.threadsSpinBox.value = 2
    a_panel.ui.selfCheckButton.click()
    assert (a_panel.ui.selfCheckButton.text, a_panel.ui.selfCheckButton.enabled) == ("Checking...", False)
    assert a_runner.settings.threads == 2
    a_runner.finish()
    wait(lambda: a_panel.ui.selfCheckButton.enabled)
    facts = said(a_panel)
    assert facts["Test run"].startswith("passed in ")
    assert facts["Slicer"] == "5.13.0 (revision 34045)"
    assert {"Medical Super-Resolution", "Python", "System", "torch", "numpy", "SimpleITK"} <= set(facts)
    assert (a_panel.ui.selfCheckButton.text, a_panel.ui.copyButton.isHidden()) == ("Self-check", False)
    assert volume_names() == []


def test_without_torch_it_says_what_is_missing(a_panel: Any, the_module: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(the_module.torch_setup, "is_installed", lambda name: name != "torch")
    a_panel.ui.selfCheckButton.click()
    assert said(a_panel)["Test run"] == "not possible; missing: torch"
    assert a_panel.ui.selfCheckButton.enabled


@pytest.mark.parametrize("path", ["/home/jane doe/my scans/x.nrrd", r"C:\Users\jane doe\x.nrrd"])
def test_a_failure_is_shown_without_paths(
    a_panel: Any, a_runner: Any, everything_installed: None, errors_shown: Any, path: str
):
    a_panel.ui.selfCheckButton.click()
    a_runner.fail(SuperResolutionError(path + " could not be read"))
    wait(lambda: a_panel.ui.selfCheckButton.enabled)
    assert said(a_panel)["Test run"] == "<path> could not be read"
    assert errors_shown == []


def test_the_text_can_be_copied(a_panel: Any, a_slicer: Any, the_module: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(the_module.torch_setup, "is_installed", lambda name: False)
    a_panel.ui.selfCheckButton.click()
    a_panel.ui.copyButton.click()
    assert a_slicer.clipboard().text() == a_panel.ui.selfCheckTextEdit.plainText


def test_leaving_slicer_ends_the_test_run(a_panel: Any, a_runner: Any, everything_installed: None):
    a_panel.ui.selfCheckButton.click()
    a_panel.cleanup()
    assert a_runner.was_cancelled
