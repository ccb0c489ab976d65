"""Sequences: all items become a new sequence, complete or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

from medical_super_resolution.errors import Cancelled, SettingsError, VolumeError  # noqa: E402
from medical_super_resolution.report import Report  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from medical_super_resolution.volumes.volume import Enhanced, Volume  # noqa: E402
from MedicalSuperResolutionLib.engine import tasks  # noqa: E402
from MedicalSuperResolutionLib.scene import dicom_export, kinds, provenance  # noqa: E402
from slicer_host import add_sequence, hierarchy_of, ijk_to_ras, load_bundle, node_ids, save_bundle  # noqa: E402

SETTINGS = EnhanceSettings(factor=3)


@pytest.fixture
def a_proxy(a_scene, a_volume):
    """Shows the first of three items, of which each is brighter than the one before."""
    return add_sequence([a_volume.array + np.int16(100 * number) for number in range(3)], a_volume.grid.ijk_to_ras)


@pytest.fixture
def a_browser(a_proxy):
    return kinds.browser_of(a_proxy)


@pytest.fixture
def an_engine(an_enhanced):
    """Makes three slices of one, and reports the mean of its input, which distinguishes the items."""

    def enhance(volume: Volume, settings: EnhanceSettings, **_: object) -> Enhanced:
        finer = Volume(np.repeat(volume.array, 3, axis=0), volume.grid.refined("k", 3))
        return Enhanced(finer, replace(an_enhanced.report, consistency_error_rms=float(volume.array.mean())))

    return enhance


def voxels(node) -> np.ndarray:
    return slicer.util.arrayFromVolume(node)


def test_every_item_is_enhanced_into_a_sequence_with_the_same_index(a_proxy, a_browser, an_engine):
    a_browser.GetSequenceNode(a_proxy).SetNumericIndexValueTolerance(0.25)
    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)
    before, after = a_browser.GetSequenceNode(a_proxy), a_browser.GetSequenceNode(node)
    assert (after.GetName(), node.GetName()) == ("Phases x3", "Phases x3")
    assert (after.GetIndexName(), after.GetIndexUnit(), after.GetIndexType()) == ("time", "s", before.GetIndexType())
    assert after.GetNumericIndexValueTolerance() == 0.25
    assert [after.GetNthIndexValue(number) for number in range(after.GetNumberOfDataNodes())] == ["0.0", "0.5", "1.0"]
    for number in range(3):
        measured, made = before.GetNthDataNode(number), after.GetNthDataNode(number)
        np.testing.assert_array_equal(voxels(made)[1::3], voxels(measured))
        assert made.GetSpacing() == pytest.approx((0.8, 0.8, 1))


def test_one_browser_plays_both(a_proxy, a_browser, an_engine):
    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)
    for number in (2, 0, 1):
        a_browser.SetSelectedItemNumber(number)
        np.testing.assert_array_equal(voxels(node)[1::3], voxels(a_proxy))
    assert node.GetName() == "Phases x3"


def test_the_item_that_is_shown_is_shown_at_once(a_proxy, a_browser, an_engine):
    a_browser.SetSelectedItemNumber(1)
    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)
    np.testing.assert_array_equal(voxels(node)[1::3], voxels(a_proxy))
    np.testing.assert_allclose(ijk_to_ras(node)[:3, 2] * 3, ijk_to_ras(a_proxy)[:3, 2])


def test_every_item_is_described(a_proxy, a_browser, an_engine):
    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)
    residuals = []
    for number in range(3):
        a_browser.SetSelectedItemNumber(number)
        residuals.append(provenance.report_of(node).consistency_error_rms)
    assert np.diff(residuals) == pytest.approx([100, 100])
    assert "Not for diagnostic use" in provenance.note_of(node).GetText()


def test_every_item_names_the_images_that_it_was_made_of(a_proxy, a_browser, an_engine):
    sequence = a_browser.GetSequenceNode(a_proxy)
    for number in range(3):
        sequence.GetNthDataNode(number).SetAttribute("DICOM.instanceUIDs", f"1.{number} 2.{number}")
    a_browser.SetSelectedItemNumber(1)  # MultiVolumeImporter gives each item the images of its own phase
    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)
    items = [a_browser.GetSequenceNode(node).GetNthDataNode(number) for number in range(3)]
    assert list(map(provenance.source_instances, [*items, node])) == [[f"1.{n} 2.{n}"] for n in (0, 1, 2, 1)]


@pytest.mark.parametrize("first", [0, 1])
def test_the_slice_profile_that_was_estimated_first_is_that_of_all_items(a_proxy, an_engine, first):
    """Items of one scan, which would differ in sharpness otherwise; those before ``first`` show nothing."""
    asked, reports = [], []

    def enhance(volume: Volume, settings: EnhanceSettings, *, profile_of: Report | None) -> Enhanced:
        asked.append((settings, profile_of))
        done = an_engine(volume, settings)
        reports.append(replace(done.report, slice_profile_source="estimated" if len(asked) > first else "assumed"))
        return replace(done, report=reports[-1])

    tasks.run(tasks.task_of(a_proxy), SETTINGS, enhance)
    assert asked == [*(first + 1) * [(SETTINGS, None)], *(2 - first) * [(SETTINGS, reports[first])]]


def test_every_item_is_warned_of_by_itself(a_proxy, a_browser, an_engine):
    def enhance(volume: Volume, settings: EnhanceSettings, *, profile_of: Report | None) -> Enhanced:
        done = an_engine(volume, settings)
        facts = {"slice_profile_source": "estimated", "warnings": (f"the mean is {volume.array.mean():.0f}",)}
        return replace(done, report=replace(done.report, **facts))

    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, enhance)
    a_browser.SetSelectedItemNumber(2)
    assert provenance.report_of(node).warnings == (f"the mean is {voxels(a_proxy).mean():.0f}",)


def test_all_items_are_normalized_as_the_modality_of_the_one_that_gave_the_profile(a_proxy, an_engine):
    asked = []

    def enhance(volume: Volume, settings: EnhanceSettings, **_: object) -> Enhanced:
        asked.append(volume.modality)
        done = an_engine(volume, settings)
        return replace(done, report=replace(done.report, modality="ct", slice_profile_source="estimated"))

    tasks.run(tasks.task_of(a_proxy), SETTINGS, enhance)
    assert asked == [None, "ct", "ct"]


def test_the_result_is_shown_and_placed_as_its_source_is(a_proxy, an_engine):
    hierarchy = hierarchy_of(a_proxy.GetScene())
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, a_proxy)
    a_proxy.CreateDefaultDisplayNodes()
    a_proxy.GetDisplayNode().SetAutoWindowLevel(False)
    a_proxy.GetDisplayNode().SetWindowLevel(77, 11)
    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)
    assert (node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel()) == (77, 11)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def test_only_a_region_of_every_item_can_be_enhanced(a_proxy, a_browser, an_engine):
    roi = a_proxy.GetScene().AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
    roi.SetCenter(*(ijk_to_ras(a_proxy) @ [10, 9, 4, 1])[:3])
    roi.SetSize(3, 3, 3)
    node = tasks.run(tasks.task_of(a_proxy, roi=roi), SETTINGS, an_engine)
    sizes = {a_browser.GetSequenceNode(node).GetNthDataNode(number).GetImageData().GetDimensions() for number in (0, 2)}
    assert len(sizes) == 1
    assert max(sizes.pop()[:2]) < 8


def test_a_region_that_is_moved_meanwhile_stays_where_it_was_for_all_items(a_proxy, an_engine):
    roi = a_proxy.GetScene().AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
    roi.SetCenter(*(ijk_to_ras(a_proxy) @ [10, 9, 4, 1])[:3])
    roi.SetSize(3, 3, 3)
    grids = []

    def enhance_and_move(volume: Volume, settings: EnhanceSettings, **_: object) -> Enhanced:
        grids.append(volume.grid)
        roi.SetSize(6, 6, 6)
        return an_engine(volume, settings)

    tasks.run(tasks.task_of(a_proxy, roi=roi), SETTINGS, enhance_and_move)
    assert grids == 3 * grids[:1]


def test_a_saved_scene_brings_the_sequence_back(a_proxy, an_engine, tmp_path):
    scene = a_proxy.GetScene()
    before = voxels(tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)).copy()
    save_bundle(scene, tmp_path / "scene.mrb")
    scene.Clear(False)
    load_bundle(scene, tmp_path / "scene.mrb")
    (node,) = [one for one in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if "x3" in one.GetName()]
    assert kinds.browser_of(node).GetNumberOfItems() == 3
    np.testing.assert_array_equal(voxels(node), before)
    assert provenance.report_of(node) is not None


def test_one_progress_runs_over_all_items(a_proxy, an_engine):
    task, heard = tasks.task_of(a_proxy), []
    for _ in range(3):
        volume = task.volume()
        heard += [task.step(done, 7) for done in (0, 3, 7)]
        task.take(an_engine(volume, SETTINGS))
    fractions = [done / total for done, total in heard]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[2], fractions[-1]) == pytest.approx((0, 1 / 3, 1), abs=1e-4)


# ---- what does not end well leaves nothing


@pytest.mark.parametrize("failure", [Cancelled, VolumeError, MemoryError])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_run_that_ends_early_leaves_no_trace(a_proxy, a_browser, an_engine, failure, after):
    done = []

    def enhance(volume: Volume, settings: EnhanceSettings, **_: object) -> Enhanced:
        if len(done) == after:
            raise failure
        done.append(volume)
        return an_engine(volume, settings)

    scene = a_proxy.GetScene()
    before, changed = node_ids(scene), a_browser.GetMTime()
    with pytest.raises(failure):
        tasks.run(tasks.task_of(a_proxy), SETTINGS, enhance)
    assert node_ids(scene) == before
    assert a_browser.GetMTime() == changed
    assert a_browser.GetNumberOfSynchronizedSequenceNodes(True) == 1


@pytest.mark.parametrize("gone", ["proxy", "sequence", "browser", "scene"])
def test_what_is_removed_meanwhile_ends_in_a_sentence(a_proxy, a_browser, an_engine, gone):
    scene, sequence = a_proxy.GetScene(), a_browser.GetSequenceNode(a_proxy)
    task = tasks.task_of(a_proxy)
    task.take(an_engine(task.volume(), SETTINGS))
    if gone == "scene":
        scene.Clear(False)
    else:
        scene.RemoveNode({"proxy": a_proxy, "sequence": sequence, "browser": a_browser}[gone])
    before = node_ids(scene)
    with pytest.raises(VolumeError, match="the sequence Phases was removed meanwhile; nothing was made"):
        task.volume()
    assert node_ids(scene) == before


def test_an_item_that_is_removed_meanwhile_ends_in_a_sentence(a_proxy, a_browser, an_engine):
    task = tasks.task_of(a_proxy)
    a_browser.GetSequenceNode(a_proxy).RemoveDataNodeAtValue("0.5")
    task.take(an_engine(task.volume(), SETTINGS))
    with pytest.raises(VolumeError, match="items of Phases were removed meanwhile"):
        task.volume()


def test_an_output_volume_is_refused(a_proxy, a_volume_node):
    with pytest.raises(SettingsError, match="Phases is of a sequence, which becomes a new sequence"):
        tasks.task_of(a_proxy, a_volume_node)


def test_a_volume_of_no_sequence_is_one_task(a_volume_node, an_engine, a_proxy):
    task = tasks.task_of(a_volume_node)
    assert (task.count, task.step(3, 7)) == (1, (3, 7))
    assert tasks.run(tasks.task_of(a_volume_node), SETTINGS, an_engine).GetName() == "Chest x3"


def test_a_volume_of_a_sequence_without_items_is_one_task(a_proxy, a_browser):
    a_browser.GetSequenceNode(a_proxy).RemoveAllDataNodes()
    assert tasks.task_of(a_proxy).count == 1


def test_a_sequence_is_not_exported_as_one_volume(a_proxy, a_browser, an_engine):
    a_browser.GetSequenceNode(a_proxy).GetNthDataNode(0).SetAttribute("DICOM.instanceUIDs", "1.2.3")
    node = tasks.run(tasks.task_of(a_proxy), SETTINGS, an_engine)
    with pytest.raises(VolumeError, match=r"Phases x3 is of a sequence.*save the sequence as \.seq\.nrrd"):
        dicom_export.check_exportable(node)
