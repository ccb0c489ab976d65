"""Linked views, read as the pixels that the slice logics make: no graphics driver is needed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the views need slicer-core")

from medical_super_resolution.errors import SuperResolutionError, VolumeError  # noqa: E402
from MedicalSuperResolutionLib.compare.views import PANES, CompareViews, revealing_orientation  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import write_to_node  # noqa: E402
from slicer_host import SLICE_VIEW_PIXELS, Screen, load_bundle, save_bundle  # noqa: E402

FOUR_UP, ONE_RED = 3, 6  # Slicer's numbers of two of its layouts


@pytest.fixture
def a_screen(a_slicer):
    a_slicer.mrmlScene().GetFirstNodeByClass("vtkMRMLLayoutNode").SetViewArrangement(FOUR_UP)
    return Screen(a_slicer, [pane.tag for pane in PANES])


@pytest.fixture
def some_views(a_slicer):
    views = CompareViews(a_slicer.applicationLogic())
    yield views
    views.exit()


@pytest.fixture
def a_pair(a_volume_node, an_enhanced):
    """The CT, and the same voxels on a grid with three times as many slices."""
    after = write_to_node(an_enhanced, a_volume_node)
    slicer.util.arrayFromVolume(after)[:] -= 1
    slicer.util.arrayFromVolumeModified(after)
    return a_volume_node, after


def window(volume):
    return volume.GetDisplayNode().GetWindow(), volume.GetDisplayNode().GetLevel()


def test_before_and_after_fill_their_views_with_the_same_picture(some_views, a_pair, a_screen):
    some_views.enter(*a_pair, orientation="Axial")
    before, after = a_screen.pixels(0), a_screen.pixels(1)
    assert before.shape == SLICE_VIEW_PIXELS
    assert before.std() > 20
    inside = slice(20, -20)  # a pixel on the very edge of the volume may fall to either side
    np.testing.assert_allclose(after[inside, inside], before[inside, inside], atol=1)


def test_each_view_shows_its_own_volume(some_views, a_pair, a_screen):
    before, after = a_pair
    slicer.util.arrayFromVolume(after)[:] = 3000
    slicer.util.arrayFromVolumeModified(after)
    some_views.enter(before, after)
    assert a_screen.pixels(0).mean() < 200
    assert a_screen.pixels(1)[100, 100] == 255


def test_the_volume_is_fitted_into_the_view(some_views, a_pair, a_screen):
    some_views.enter(*a_pair, orientation="Axial")
    bounds, view = np.zeros(6), a_screen.logic(0).GetSliceNode()
    a_pair[0].GetSliceBounds(bounds, view.GetSliceToRAS())
    filled = (bounds[1::2] - bounds[::2])[:2] / view.GetFieldOfView()[:2]
    assert filled.max() == pytest.approx(1, abs=0.05)


def test_the_planes_lie_along_the_axes_of_an_oblique_volume(some_views, a_pair, a_screen, a_volume):
    some_views.enter(*a_pair, orientation="Axial")
    plane = slicer.util.arrayFromVTKMatrix(a_screen.logic(1).GetSliceNode().GetSliceToRAS())[:3, :2]
    assert np.abs(a_volume.grid.direction.T @ plane).max(axis=0) == pytest.approx([1, 1])


def test_scrolling_one_view_scrolls_the_other(some_views, a_pair, a_screen):
    some_views.enter(*a_pair, orientation="Axial")
    picture = a_screen.pixels(1)
    offset = a_screen.logic(1).GetSliceOffset()
    a_screen.scroll(0, 9.0)
    assert a_screen.logic(1).GetSliceOffset() == pytest.approx(offset + 9)
    assert np.abs(a_screen.pixels(1) - picture).mean() > 1
    a_screen.scroll(1, -9.0)
    assert a_screen.logic(0).GetSliceOffset() == pytest.approx(offset)


def test_the_other_view_follows_while_the_mouse_still_moves(some_views, a_pair, a_screen):
    some_views.enter(*a_pair)
    composites = [a_screen.logic(number).GetSliceCompositeNode() for number in range(2)]
    assert [(one.GetLinkedControl(), one.GetHotLinkedControl()) for one in composites] == [(1, 1), (1, 1)]


def test_zooming_one_view_zooms_the_other(some_views, a_pair, a_screen):
    some_views.enter(*a_pair)
    width_mm, height_mm, _ = a_screen.logic(1).GetSliceNode().GetFieldOfView()
    a_screen.zoom(0, 2)
    assert a_screen.logic(1).GetSliceNode().GetFieldOfView()[:2] == pytest.approx((width_mm / 2, height_mm / 2))


def test_scrolling_leaves_the_views_of_the_user_alone(some_views, a_pair, a_screen, a_slicer):
    red = a_slicer.applicationLogic().GetSliceLogicByLayoutName("Red")
    some_views.enter(*a_pair, orientation="Axial")
    red.GetSliceNode().GetSliceToRAS().DeepCopy(a_screen.logic(0).GetSliceNode().GetSliceToRAS())
    red.GetSliceNode().UpdateMatrices()
    offset = red.GetSliceOffset()
    a_screen.scroll(0, 9.0)
    assert red.GetSliceOffset() == offset


def test_views_of_different_width_show_the_same_place_at_the_same_scale(some_views, a_pair, a_screen):
    some_views.enter(*a_pair, orientation="Axial")
    a_screen.logic(1).ResizeSliceNode(150, 200)
    some_views.fit()
    np.testing.assert_allclose(a_screen.pixels(1), a_screen.pixels(0)[:, 25:175], atol=3)


def test_the_window_of_before_is_given_to_after_and_is_no_longer_automatic(some_views, a_pair):
    before, after = a_pair
    before.GetDisplayNode().SetAutoWindowLevel(False)
    before.GetDisplayNode().SetWindowLevel(400, 40)
    after.GetDisplayNode().SetAutoWindowLevel(True)
    some_views.enter(before, after)
    assert window(before) == window(after) == (400, 40)
    assert not after.GetDisplayNode().GetAutoWindowLevel()


def test_changing_one_window_changes_the_other_until_the_end(some_views, a_pair):
    before, after = a_pair
    some_views.enter(before, after)
    after.GetDisplayNode().SetWindowLevel(1500, -600)
    assert window(before) == (1500, -600)
    before.GetDisplayNode().SetWindowLevel(80, 40)
    assert window(after) == (80, 40)
    some_views.exit()
    assert window(after) == (80, 40)
    after.GetDisplayNode().SetWindowLevel(1500, -600)
    assert window(before) == (80, 40)


def test_leaving_brings_the_layout_back(some_views, a_pair, a_screen):
    some_views.enter(*a_pair)
    assert some_views.is_active
    assert a_screen.layout.GetViewArrangement() > 100
    some_views.enter(*a_pair)
    some_views.exit()
    assert a_screen.layout.GetViewArrangement() == FOUR_UP
    assert not some_views.is_active
    assert a_screen.logic(0).GetSliceCompositeNode().GetBackgroundVolumeID() is None


def test_leaving_keeps_a_layout_that_the_user_has_chosen_meanwhile(some_views, a_pair, a_screen):
    some_views.enter(*a_pair)
    a_screen.layout.SetViewArrangement(ONE_RED)
    some_views.exit()
    assert a_screen.layout.GetViewArrangement() == ONE_RED


def test_a_scene_saved_while_comparing_can_be_left_after_loading(some_views, a_pair, a_screen, a_slicer, tmp_path):
    scene = a_slicer.mrmlScene()
    some_views.enter(*a_pair)
    save_bundle(scene, tmp_path / "scene.mrb")
    some_views.exit()
    load_bundle(scene, tmp_path / "scene.mrb")
    assert some_views.is_active
    CompareViews(a_slicer.applicationLogic()).exit()
    assert a_screen.layout.GetViewArrangement() == FOUR_UP


def test_a_closed_scene_can_be_left(some_views, a_pair, a_screen, a_slicer):
    some_views.enter(*a_pair)
    a_slicer.mrmlScene().Clear(False)
    some_views.fit()
    some_views.exit()
    assert not some_views.is_active


def test_a_volume_loaded_meanwhile_does_not_take_a_view(some_views, a_pair, a_slicer):
    some_views.enter(*a_pair)
    newcomer = slicer.util.addVolumeFromArray(np.zeros((4, 4, 4)))
    a_slicer.applicationLogic().GetSelectionNode().SetActiveVolumeID(newcomer.GetID())
    a_slicer.applicationLogic().PropagateVolumeSelection()
    logics = [a_slicer.applicationLogic().GetSliceLogicByLayoutName(tag) for tag in ("Red", PANES[0].tag)]
    shown = [logic.GetSliceCompositeNode().GetBackgroundVolumeID() for logic in logics]
    assert shown == [newcomer.GetID(), a_pair[0].GetID()]


def test_a_difference_is_shown_in_a_third_view_with_its_own_window(some_views, a_pair, a_screen):
    before, after = a_pair
    difference = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(after) * 0, name="Difference")
    difference.CopyOrientation(after)
    difference.GetDisplayNode().SetAutoWindowLevel(False)
    difference.GetDisplayNode().SetWindowLevel(100, 0)
    some_views.enter(before, after, difference)
    assert a_screen.pixels(2)[100, 100] == pytest.approx(127, abs=1)
    assert window(difference) == (100, 0)
    a_screen.scroll(0, 3.0)
    assert a_screen.logic(2).GetSliceOffset() == pytest.approx(a_screen.logic(0).GetSliceOffset())


@pytest.mark.parametrize(
    ("stacked_along", "spacing_mm", "plane"),
    [("S", 5, "Coronal"), ("A", 5, "Axial"), ("R", 5, "Axial"), ("S", 1, "Axial")],
)
def test_the_views_cut_across_thick_slices(a_scene, stacked_along, spacing_mm, plane):
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.roll(np.eye(3), "RAS".index(stacked_along) + 1, axis=0) * (1, 1, spacing_mm)
    assert revealing_orientation(slicer.util.addVolumeFromArray(np.zeros((3, 4, 5)), ijk_to_ras)) == plane


def test_one_volume_is_not_enough(some_views, a_volume_node, a_screen):
    with pytest.raises(VolumeError, match="choose both"):
        some_views.enter(a_volume_node, None)
    assert a_screen.layout.GetViewArrangement() == FOUR_UP


def test_a_label_map_is_not_compared(some_views, a_volume_node, a_volume):
    labels = slicer.util.addVolumeFromArray(a_volume.array, name="Bones", nodeClassName="vtkMRMLLabelMapVolumeNode")
    with pytest.raises(VolumeError, match="Bones is a label map"):
        some_views.enter(a_volume_node, labels)


def test_without_slice_views_there_is_a_sentence(some_views, a_pair, a_screen, a_slicer):
    a_slicer.applicationLogic().GetSliceLogics().RemoveAllItems()
    a_slicer.mrmlScene().RemoveAllObservers()
    with pytest.raises(SuperResolutionError, match="there are no slice views to compare in"):
        some_views.enter(*a_pair)
    assert a_screen.layout.GetViewArrangement() == FOUR_UP


def test_the_layout_is_well_formed(some_views, a_pair, a_screen):
    some_views.enter(*a_pair)
    views = ElementTree.fromstring(a_screen.layout.GetCurrentLayoutDescription()).findall("item/view")
    assert [view.get("singletontag") for view in views] == [pane.tag for pane in PANES[:2]]
