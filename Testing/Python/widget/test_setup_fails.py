"""A module that cannot be set up shows one reason."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from widget.helpers import made


@pytest.mark.parametrize("failing", ["MedicalSuperResolutionLogic", "CompareSection", "DicomSection", "SetupSection"])
def test_a_panel_that_was_half_set_up_can_be_cleaned_up(the_module: Any, monkeypatch: pytest.MonkeyPatch, failing: str):
    monkeypatch.setattr(the_module, failing, mock.Mock(side_effect=LookupError("the real error")))
    with made(the_module.MedicalSuperResolutionWidget) as panel:
        with pytest.raises(LookupError, match="the real error"):
            panel.setup()
        panel.cleanup()
        assert panel.Observations == []


def test_a_module_without_its_form_can_be_cleaned_up(
    the_module: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(slicer_python.util, "loadUI", mock.Mock(side_effect=FileNotFoundError("the form")))
    with made(the_module.MedicalSuperResolutionWidget) as panel:
        with pytest.raises(FileNotFoundError, match="the form"):
            panel.setup()
        panel.cleanup()
        assert panel.Observations == []
