"""Several volumes one after the other: progress of each, and a way out for one or all."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from widget.helpers import settle, volume_names, wait


@pytest.fixture
def three(a_panel: Any) -> list[Any]:
    """Three thick volumes, all of them checked."""
    import slicer

    volumes = [
        slicer.util.addVolumeFromArray(np.full((8, 18, 20), 7, np.int16), np.diag([1.0, 1.0, 3.0, 1.0]), name)
        for name in ("A", "B", "C")
    ]
    for volume in volumes:
        a_panel.ui.queueSelector.check(volume)
    return volumes


def rows(panel: Any) -> list[tuple[str, str]]:
    table = panel.ui.queueTable
    return [tuple(table.item(row, column).text() for column in range(2)) for row in range(table.rowCount)]


def test_the_button_says_why_it_is_disabled(a_panel: Any):
    import slicer

    button, selector = a_panel.ui.queueButton, a_panel.ui.queueSelector
    assert (button.enabled, button.toolTip) == (False, "Check a volume first.")
    selector.check(
        slicer.util.addVolumeFromArray(np.full((8, 18, 20), 7, np.int16), np.diag([1.0, 1.0, 3.0, 1.0]), "A")
    )
    assert button.enabled
    assert button.toolTip.startswith("Enhance the checked volumes one after the other")


def test_checked_volumes_are_enhanced_one_after_the_other(a_panel: Any, three: list[Any], a_runner: Any):
    assert a_panel.ui.queueButton.enabled
    a_panel.ui.queueButton.click()
    assert rows(a_panel) == [("A", "waiting"), ("B", "waiting"), ("C", "waiting")]
    a_runner.progress = (1, 4)
    wait(lambda: rows(a_panel)[0] == ("A", "25 %"))
    assert a_panel.ui.queueTable.item(0, 1).toolTip() == "25 %"  # where the panel is too narrow for the text
    for number in range(3):
        assert not a_runner.is_closed  # the process, which is the same for all
        a_runner.finish()
        wait(lambda number=number: rows(a_panel)[number][1].startswith("done"))
    assert volume_names() == ["A", "B", "C", "A 1 mm", "B 1 mm", "C 1 mm"]
    assert (a_panel._queue.is_running, a_runner.is_closed) == (False, True)
    for volume, name in zip(three, ("A 1 mm", "B 1 mm", "C 1 mm"), strict=True):
        a_panel.ui.inputSelector.setCurrentNode(volume)
        assert a_panel.ui.compareButton.toolTip.startswith(f"Show {volume.GetName()}, {name} and")


def test_all_volumes_share_one_process(a_panel: Any, three: list[Any], a_runner: Any, monkeypatch: pytest.MonkeyPatch):
    closed_after: list[int] = []
    monkeypatch.setattr(a_runner, "close", lambda: closed_after.append(number))
    a_panel.ui.queueButton.click()
    for number in range(3):
        a_runner.finish()
        wait(lambda number=number: rows(a_panel)[number][1].startswith("done"))
    assert closed_after == [2]


def test_an_axis_without_a_custom_spacing_stays_as_it_is_in_every_volume(
    a_panel: Any, three: list[Any], a_runner: Any, the_module: Any
):
    three[1].SetSpacing(2, 2, 6)
    a_panel._parameterNode.goal, a_panel._parameterNode.spacingK = the_module.Goal.CUSTOM_SPACING, 2.0
    a_panel.ui.queueButton.click()
    spacings = []
    for number in range(2):
        spacings.append(a_runner.settings.spacing_ijk_mm)
        a_runner.finish()
        wait(lambda number=number: rows(a_panel)[number][1].startswith("done"))
    assert spacings == [(1, 1, 2), (2, 2, 2)]


def test_a_volume_that_cannot_be_read_does_not_stop_the_others_where_an_axis_keeps_its_spacing(
    a_panel: Any, three: list[Any], a_runner: Any, the_module: Any, errors_shown: list[str]
):
    three[1].SetAndObserveImageData(None)
    a_panel._parameterNode.goal, a_panel._parameterNode.spacingK = the_module.Goal.CUSTOM_SPACING, 2.0
    a_panel.ui.queueButton.click()
    assert errors_shown == []
    for number in (0, 2):
        a_runner.finish()
        wait(lambda number=number: rows(a_panel)[number][1].startswith("done"))
    assert rows(a_panel)[1][1].startswith("The volume B has no voxels;")


def test_what_counts_for_a_single_volume_only_is_named(a_panel: Any, three: list[Any], slicer_python: Any):
    label, chosen = a_panel.ui.queueNoteLabel, a_panel._parameterNode
    assert label.isHidden()
    chosen.region = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    chosen.outputVolume = three[1]
    assert label.text == "Not used here, but for a single volume only: region, output volume."
    assert not label.isHidden()


def test_one_volume_can_be_taken_out(a_panel: Any, three: list[Any], a_runner: Any):
    a_panel.ui.queueButton.click()
    a_panel.ui.queueTable.selectRow(1)
    a_panel.ui.cancelOneButton.click()
    assert rows(a_panel)[1] == ("B", "cancelled")
    for _ in range(2):
        a_runner.finish()
        wait(lambda: a_runner._ending is None or not a_panel._queue.is_running)
    assert [result for _, result in rows(a_panel)] == ["done: A 1 mm", "cancelled", "done: C 1 mm"]


def test_cancel_all_stops_and_keeps_what_is_done(a_panel: Any, three: list[Any], a_runner: Any):
    a_panel.ui.queueButton.click()
    a_runner.finish()
    wait(lambda: rows(a_panel)[0][1].startswith("done"))
    a_panel.ui.cancelAllButton.click()
    assert a_runner.was_cancelled
    assert [result for _, result in rows(a_panel)][1:] == ["cancelled", "cancelled"]
    assert volume_names() == ["A", "B", "C", "A 1 mm"]


def test_a_queue_that_is_over_keeps_no_volume(a_panel: Any, three: list[Any], a_runner: Any, slicer_python: Any):
    freed = set()
    for number, volume in enumerate(three):
        volume.AddObserver("DeleteEvent", lambda *_, number=number: freed.add(number))
    a_panel.ui.queueButton.click()
    a_panel.ui.queueTable.selectRow(1)
    a_panel.ui.cancelOneButton.click()
    a_runner.fail(VolumeError("no"))
    wait(lambda: rows(a_panel)[0][1] == "No.")
    a_runner.finish()
    wait(lambda: not a_panel._queue.is_running)
    three.clear()
    for node in slicer_python.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        slicer_python.mrmlScene.RemoveNode(node)
    del volume, node
    settle()
    gc.collect()
    assert freed == {0, 1, 2}
    assert rows(a_panel) == [("A", "No."), ("B", "cancelled"), ("C", "done: C 1 mm")]


def test_a_failure_of_one_does_not_stop_the_others(a_panel: Any, three: list[Any], a_runner: Any):
    a_panel.ui.queueButton.click()
    a_runner.fail(VolumeError("the volume is flat"))
    wait(lambda: rows(a_panel)[0][1] == "The volume is flat.")
    a_runner.was_cancelled = False
    a_runner.finish()
    wait(lambda: rows(a_panel)[1][1] == "done: B 1 mm")


def test_a_volume_that_is_removed_while_it_waits_is_named(
    a_panel: Any, three: list[Any], a_runner: Any, slicer_python: Any
):
    a_panel.ui.queueButton.click()
    slicer_python.mrmlScene.RemoveNode(three[1])
    a_runner.finish()
    wait(lambda: rows(a_panel)[0][1] == "done: A 1 mm")
    assert rows(a_panel)[1:] == [("B", "The volume B was removed meanwhile; nothing was made."), ("C", "waiting")]


def test_the_process_of_a_volume_that_is_removed_while_it_is_enhanced_is_ended(
    a_panel: Any, three: list[Any], a_runner: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    a_panel.ui.queueButton.click()
    was_closed, start = [], a_runner.start

    def start_next(*volume_and_settings: Any, **also: Any) -> None:
        was_closed.append(a_runner.is_closed)
        start(*volume_and_settings, **also)

    monkeypatch.setattr(a_runner, "start", start_next)
    slicer_python.mrmlScene.RemoveNode(three[0])
    wait(lambda: rows(a_panel)[0] == ("A", "The volume A was removed meanwhile; nothing was made."))
    assert was_closed == [True]


def test_an_unforeseen_failure_to_start_one_does_not_stop_the_others(
    a_panel: Any, three: list[Any], a_runner: Any, monkeypatch: pytest.MonkeyPatch
):
    a_panel.ui.queueButton.click()
    start = a_runner.start

    def start_without_memory(volume: Any, settings: Any, **_: Any) -> None:
        monkeypatch.setattr(a_runner, "start", start)
        raise MemoryError

    monkeypatch.setattr(a_runner, "start", start_without_memory)
    for number in (0, 2):
        a_runner.finish()
        wait(lambda number=number: rows(a_panel)[number][1].startswith("done"))
    assert rows(a_panel)[1] == ("B", "MemoryError.")
    assert a_panel.ui.enhanceButton.enabled


def test_one_engine_works_at_a_time(a_panel: Any, three: list[Any], errors_shown: list[str]):
    assert a_panel.ui.queueButton.enabled
    a_panel.ui.enhanceButton.click()
    assert not a_panel.ui.queueButton.enabled
    a_panel.enhanceThroughPlane(three[:2])
    assert errors_shown == ["An enhancement is running already; wait for it, or cancel it first."]
    assert not a_panel._queue.is_running
    a_panel.ui.enhanceButton.click()
    assert a_panel.ui.queueButton.enabled


def test_enhance_is_free_again_when_the_queue_was_cancelled(a_panel: Any, three: list[Any]):
    a_panel.ui.queueButton.click()
    assert not a_panel.ui.enhanceButton.enabled
    a_panel.ui.cancelAllButton.click()
    assert a_panel.ui.enhanceButton.enabled


def test_a_queue_is_not_said_to_be_stopped_as_the_run_before_it(a_panel: Any, three: list[Any]):
    a_panel.ui.enhanceButton.click()
    a_panel.ui.enhanceButton.click()
    assert a_panel.ui.statusLabel.text == "Stopped. Nothing was changed."
    a_panel.ui.queueButton.click()
    assert a_panel.ui.statusLabel.isHidden()


def test_enhance_waits_for_the_queue(a_panel: Any, three: list[Any]):
    a_panel.ui.queueButton.click()
    assert (a_panel.ui.enhanceButton.enabled, a_panel.ui.enhanceButton.toolTip) == (
        False,
        "Several volumes are being enhanced.",
    )


def test_a_volume_of_the_data_module_does_not_overwrite_the_output_of_another(
    a_panel: Any, three: list[Any], a_runner: Any, slicer_python: Any
):
    chosen = a_panel._parameterNode
    chosen.inputVolume, chosen.outputVolume = three[:2]
    chosen.compareVolume = three[1]
    chosen.region = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    chosen.segmentation = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    a_panel.enhanceThroughPlane([three[2]])
    a_runner.finish()
    wait(lambda: not a_panel._run.is_busy)
    assert volume_names() == ["A", "B", "C", "C 1 mm"]
    left = (chosen.outputVolume, chosen.region, chosen.segmentation, chosen.compareVolume)
    assert left == (None, None, None, None)


def test_a_volume_of_the_data_module_is_enhanced_where_the_panel_is_not_open(
    a_panel: Any, three: list[Any], a_runner: Any
):
    a_panel.exit()
    a_panel.enhanceThroughPlane([three[2]])
    a_runner.finish()
    wait(lambda: not a_panel._run.is_busy)
    assert volume_names() == ["A", "B", "C", "C 1 mm"]


def test_the_data_module_offers_to_enhance_volumes_and_folders_of_them(
    a_panel: Any, three: list[Any], slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    import types

    import slicer_host

    hierarchy = slicer_host.hierarchy_of(slicer_python.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    items = [hierarchy.CreateItem(folder, volume) for volume in three]
    selected = []
    handler = types.SimpleNamespace(
        registerPlugin=lambda plugin: None,
        currentItems=lambda ids: [ids.InsertNextId(item) for item in selected],
    )
    monkeypatch.setattr(
        slicer_python,
        "qSlicerSubjectHierarchyPluginHandler",
        types.SimpleNamespace(instance=lambda: handler),
        raising=False,
    )
    monkeypatch.setattr(slicer_python.util, "selectModule", lambda name: None)
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: a_panel)
    from MedicalSuperResolutionLib.panel import MedicalSuperResolutionSubjectHierarchyPlugin as data_menu

    plugin = data_menu.MedicalSuperResolutionSubjectHierarchyPlugin.__new__(
        data_menu.MedicalSuperResolutionSubjectHierarchyPlugin
    )
    plugin.action = types.SimpleNamespace(visible=False)
    for item, offered in ((items[0], True), (folder, True), (0, False)):
        plugin.showContextMenuActionsForItem(item)
        assert plugin.action.visible == offered
    selected[:] = [folder]
    plugin.enhance()
    assert [item.node.GetName() for item in a_panel._queue.queue.items] == ["A", "B", "C"]
    a_panel._queue.abandon()
    selected[:] = [items[1]]
    plugin.enhance()
    assert a_panel._run.current.source is three[1]


def test_of_a_folder_no_result_is_enhanced_again_but_one_that_is_selected_itself(three: list[Any], slicer_python: Any):
    import slicer_host
    from MedicalSuperResolutionLib.panel import MedicalSuperResolutionSubjectHierarchyPlugin as data_menu

    hierarchy = slicer_host.hierarchy_of(slicer_python.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    items = [hierarchy.CreateItem(folder, volume) for volume in three]
    three[1].SetAttribute("MedicalSuperResolution.SourceName", "A")
    assert data_menu._volumes([folder]) == [three[0], three[2]]
    assert data_menu._volumes([items[1]]) == [three[1]]


def test_of_a_study_no_result_that_was_loaded_from_dicom_is_enhanced_again(
    three: list[Any], slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    import slicer_host
    from MedicalSuperResolutionLib.panel import MedicalSuperResolutionSubjectHierarchyPlugin as data_menu

    class Database:
        isOpen = True

        def instanceValue(self, uid: str, tag: str) -> str:
            return derivations[uid] if tag == "0008,2111" else ""

    derivations = {"1.1": "", "1.2": "super-resolution 1x1x3 by MedicalSuperResolution 0.1.0"}
    monkeypatch.setattr(slicer_python, "dicomDatabase", Database(), raising=False)
    hierarchy = slicer_host.hierarchy_of(slicer_python.mrmlScene)
    study = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    for volume, uid in zip(three, derivations, strict=False):
        hierarchy.CreateItem(study, volume)
        volume.SetAttribute("DICOM.instanceUIDs", uid)
    assert data_menu._volumes([study]) == [three[0]]
