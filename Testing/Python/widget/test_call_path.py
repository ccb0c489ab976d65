"""From the click on Enhance to the node in the scene, as docs/reference/architecture.md describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import walk
from engine_double import engine_command
from made_up_report import made_up_report
from widget.helpers import entered, settle, volume_names, wait


def test_the_path_in_slicer_is_as_documented(
    the_module: Any,
    errors_shown: list[str],
    raised_in_slots: list[BaseException],
    a_thick_volume: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    from MedicalSuperResolutionLib.process.runner import Runner

    report = made_up_report(spacing_after_ijk_mm=(1.0, 1.0, 1.0), factor_ijk=(1.0, 1.0, 3.0))
    runner = Runner(engine_command(tmp_path, report.as_dict(), "finish()"))
    monkeypatch.setattr(the_module, "Runner", lambda: runner)
    with entered(the_module.MedicalSuperResolutionWidget) as panel:
        settle()  # of the updates that were put off, also by panels of other tests
        with walk.Walk(leave_out=("_updatePanel",)) as walked:
            panel.ui.enhanceButton.click()
            wait(lambda: panel._run.current is None)
        assert errors_shown == []
    assert volume_names() == ["Thick", "Thick 1 mm"]
    path = walk.documented("A volume's path in Slicer")
    assert walk.gaps(path, walked) == []
    assert len(walked.callers) <= 51  # with the details, as the page states


def test_both_paths_of_a_volume_are_25_files():
    paths = ("A volume's path in Slicer", "A volume's path in the engine")
    assert len({file for path in paths for file in walk.documented(path)}) == 25
