"""Linked views, read as the pixels that the slice logics make: no graphics driver is needed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the views need slicer-core")

import vtk  # noqa: E402

from medical_super_resolution.errors import SuperResolutionError, VolumeError  # noqa: E402
from MedicalSuperResolutionLib.compare import fitting  # noqa: E402
from MedicalSuperResolutionLib.compare.fitting import revealing_orientation  # noqa: E402
from MedicalSuperResolutionLib.compare.layouts import ALL_PLANES, ARRANGEMENTS, COLUMNS, ROW, STACK, TWO_PLANES  # noqa: E402
from MedicalSuperResolutionLib.compare.views import CompareViews  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import write_to_node  # noqa: E402
from slicer_host import SLICE_VIEW_PIXELS, Screen, load_bundle, save_bundle  # noqa: E402

FOUR_UP, ONE_RED = 3, 6  # Slicer's numbers of two of its layouts


@pytest.fixture
def some_views(a_slicer):
    views = CompareViews(a_slicer.applicationLogic())
    yield views
    views.exit()


@pytest.fixture
def a_trio(a_volume_node, an_enhanced):
    """The CT, the same voxels on a grid with three times as many slices, and zeros there as their difference."""
    after = write_to_node(an_enhanced, a_volume_node)
    slicer.util.arrayFromVolume(after)[:] -= 1
    slicer.util.arrayFromVolumeModified(after)
    difference = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(after) * 0, name="Difference")
    difference.CopyOrientation(after)
    return a_volume_node, after, difference


def window(volume):
    return volume.GetDisplayNode().GetWindow(), volume.GetDisplayNode().GetLevel()


def test_before_and_after_fill_their_views_with_the_same_picture(some_views, a_trio, a_screen):
    some_views.enter(*a_trio, plane="Axial")
    before, after = a_screen.pixels(0), a_screen.pixels(1)
    assert before.shape == SLICE_VIEW_PIXELS
    assert before.std() > 20
    inside = slice(20, -20)  # a pixel on the very edge of the volume may fall to either side
    np.testing.assert_allclose(after[inside, inside], before[inside, inside], atol=1)


def test_each_view_shows_its_own_volume(some_views, a_trio, a_screen):
    before, after, difference = a_trio
    slicer.util.arrayFromVolume(after)[:] = 3000
    slicer.util.arrayFromVolumeModified(after)
    some_views.enter(before, after, difference)
    assert a_screen.pixels(0).mean() < 200
    assert a_screen.pixels(1)[100, 100] == 255


def test_the_volume_is_fitted_into_the_view(some_views, a_trio, a_screen):
    some_views.enter(*a_trio, plane="Axial")
    bounds, view = np.zeros(6), a_screen.logic(0).GetSliceNode()
    a_trio[0].GetSliceBounds(bounds, view.GetSliceToRAS())
    filled = (bounds[1::2] - bounds[::2])[:2] / view.GetFieldOfView()[:2]
    assert filled.max() == pytest.approx(1, abs=0.05)


def test_the_planes_lie_along_the_axes_of_an_oblique_volume(some_views, a_trio, a_screen, a_volume):
    some_views.enter(*a_trio, plane="Axial")
    plane = slicer.util.arrayFromVTKMatrix(a_screen.logic(1).GetSliceNode().GetSliceToRAS())[:3, :2]
    assert np.abs(a_volume.grid.direction.T @ plane).max(axis=0) == pytest.approx([1, 1])


def test_scrolling_one_view_scrolls_the_other(some_views, a_trio, a_screen):
    some_views.enter(*a_trio, plane="Axial")
    picture = a_screen.pixels(1)
    offset = a_screen.logic(1).GetSliceOffset()
    a_screen.scroll(0, 9.0)
    assert a_screen.logic(1).GetSliceOffset() == pytest.approx(offset + 9)
    assert np.abs(a_screen.pixels(1) - picture).mean() > 1
    a_screen.scroll(1, -9.0)
    assert a_screen.logic(0).GetSliceOffset() == pytest.approx(offset)


def test_the_other_view_follows_while_the_mouse_still_moves(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    composites = [a_screen.logic(number).GetSliceCompositeNode() for number in range(2)]
    assert [(one.GetLinkedControl(), one.GetHotLinkedControl()) for one in composites] == [(1, 1), (1, 1)]


def test_zooming_one_view_zooms_the_other(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    width_mm, height_mm, _ = a_screen.logic(1).GetSliceNode().GetFieldOfView()
    a_screen.zoom(0, 2)
    assert a_screen.logic(1).GetSliceNode().GetFieldOfView()[:2] == pytest.approx((width_mm / 2, height_mm / 2))


def test_scrolling_leaves_the_views_of_the_user_alone(some_views, a_trio, a_screen, a_slicer):
    red = a_slicer.applicationLogic().GetSliceLogicByLayoutName("Red")
    some_views.enter(*a_trio, plane="Axial")
    red.GetSliceNode().GetSliceToRAS().DeepCopy(a_screen.logic(0).GetSliceNode().GetSliceToRAS())
    red.GetSliceNode().UpdateMatrices()
    offset = red.GetSliceOffset()
    a_screen.scroll(0, 9.0)
    assert red.GetSliceOffset() == offset


def test_views_of_different_width_show_the_same_place_at_the_same_scale(some_views, a_trio, a_screen):
    some_views.enter(*a_trio, plane="Axial")
    a_screen.logic(1).ResizeSliceNode(150, 200)
    some_views._fitted.fit()
    inside = slice(5, -5)  # the volume ends on the very edge of the narrow view
    np.testing.assert_allclose(a_screen.pixels(1)[:, inside], a_screen.pixels(0)[:, 25:175][:, inside], atol=3)


def is_whole(screen, number, volume):
    """Whether a view shows all of a volume."""
    node, bounds = screen.logic(number).GetSliceNode(), np.zeros(6)
    to_slice = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetSliceToRAS(), to_slice)
    volume.GetSliceBounds(bounds, to_slice)
    edges = np.abs(bounds[:4]) * 2  # the plane goes through the middle of the volume
    return bool((edges.reshape(2, 2).max(axis=1) <= np.array(node.GetFieldOfView()[:2]) * 1.001).all())


@pytest.mark.parametrize("size", [(400, 200), (90, 300), (150, 150)])
def test_every_view_shows_the_whole_volume_at_any_size(some_views, a_trio, a_screen, size):
    some_views.enter(*a_trio, plane="Coronal")
    for number in range(3):  # as Qt resizes them, one after the other
        a_screen.logic(number).ResizeSliceNode(*size)
    a_screen.logic(1).ResizeSliceNode(size[0] - 30, size[1])
    assert [is_whole(a_screen, number, a_trio[0]) for number in range(3)] == [True] * 3
    nodes = [a_screen.logic(number).GetSliceNode() for number in range(3)]
    scales = [node.GetFieldOfView()[0] / node.GetDimensions()[0] for node in nodes]
    assert scales == pytest.approx([scales[0]] * 3)


@pytest.mark.parametrize(("size", "is_below"), [((120, 400), True), ((400, 120), False)])
def test_a_legend_lies_where_the_volume_leaves_room(some_views, a_trio, a_screen, size, is_below):
    some_views.enter(*a_trio, plane="Axial")
    legend = some_views.add_legend(a_trio[2], "Difference", "HU")
    for number in range(3):
        a_screen.logic(number).ResizeSliceNode(*size)
    assert (legend.GetOrientation() == legend.Horizontal) == is_below
    assert legend.GetTitleText() == ("Difference (HU)" if is_below else "Difference\n(HU)")
    if is_below:
        height_mm = a_trio[2].GetImageData().GetDimensions()[1] * a_trio[2].GetSpacing()[1]
        below = (1 - height_mm / a_screen.logic(2).GetSliceNode().GetFieldOfView()[1]) / 2
        short, at = legend.GetSize()[0], legend.GetPosition()[1]
        assert at * (1 - short) + short == pytest.approx(below - 8 / size[1])  # its upper edge, as Slicer places it
    slicer.mrmlScene.RemoveNode(legend)


@pytest.mark.parametrize("size", [(200, 200), (500, 90), (90, 100)])
def test_a_legend_gets_room_where_the_volume_leaves_none(some_views, a_trio, a_screen, size):
    some_views.enter(*a_trio, plane="Axial")
    legend = some_views.add_legend(a_trio[2], "Difference", "HU")
    for number in range(3):
        a_screen.logic(number).ResizeSliceNode(*size)
    some_views._fitted.fit()
    node, bounds, to_view = a_screen.logic(2).GetSliceNode(), np.zeros(6), vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), to_view)
    a_trio[2].GetSliceBounds(bounds, to_view)  # in pixels from the lower left corner
    assert bounds[0] > -1
    assert bounds[3] < size[1] + 1
    is_below = legend.GetOrientation() == legend.Horizontal
    assert bounds[2] > 55 if is_below else size[0] - bounds[1] > 0.29 * size[0]
    if is_below:  # its colors do not touch the lower edge of the view, where they would look cut off
        assert legend.GetPosition()[1] * (1 - legend.GetSize()[0]) * size[1] > 7
    slicer.mrmlScene.RemoveNode(legend)


def test_while_fitting_no_view_is_drawn_at_a_scale_that_is_not_the_last(some_views, a_trio, a_slicer):
    some_views.enter(*a_trio, arrangement=ALL_PLANES)
    screen, drawn = Screen(a_slicer, [tags[0] for tags in ALL_PLANES.tags]), set()
    nodes = [screen.logic(row).GetSliceNode() for row in range(3)]
    for node in nodes:
        node.SetFieldOfView(7, 7, 1)
    changed = vtk.vtkCommand.ModifiedEvent
    tags = [node.AddObserver(changed, lambda one, _: drawn.add(round(one.GetFieldOfView()[0], 6))) for node in nodes]
    some_views._fitted.fit()
    for node, tag in zip(nodes, tags, strict=True):
        node.RemoveObserver(tag)
    assert drawn == {round(node.GetFieldOfView()[0], 6) for node in nodes}


def test_views_that_are_resized_together_are_fitted_once(a_slicer, a_trio, monkeypatch):
    waiting, fits, fit = [], [], fitting.fit
    monkeypatch.setattr(fitting, "fit", lambda rows, **how: fits.append(rows) or fit(rows, **how))
    views = CompareViews(a_slicer.applicationLogic(), waiting.append)
    views.enter(*a_trio)
    screen = Screen(a_slicer, [column.tag for column in COLUMNS])
    center = screen.logic(0).GetSliceOffset()
    screen.logic(0).SetSliceOffset(1e3)  # as Slicer does when it shows new views
    for size in ((300, 150), (200, 150)):
        for number in range(3):
            screen.logic(number).ResizeSliceNode(*size)
        assert len(waiting) == 1
        waiting.pop()()
        assert is_whole(screen, 2, a_trio[0])
    assert len(fits) == 3  # when they were opened, and after each change of size
    assert screen.logic(0).GetSliceOffset() == pytest.approx(center)
    screen.logic(0).ResizeSliceNode(300, 150)
    views.exit()
    waiting.pop()()  # the views have left meanwhile
    assert len(fits) == 3


def test_a_view_that_the_user_has_zoomed_is_not_fitted_again(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    a_screen.zoom(0, 4)
    height_mm = a_screen.logic(0).GetSliceNode().GetFieldOfView()[1]
    a_screen.logic(0).ResizeSliceNode(300, 200)
    assert a_screen.logic(0).GetSliceNode().GetFieldOfView()[1] == pytest.approx(height_mm)


def test_a_view_that_was_zoomed_by_itself_stays_so_while_another_is_enlarged(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    for number in range(2):
        a_screen.logic(number).GetSliceCompositeNode().SetLinkedControl(False)
    a_screen.zoom(0, 4)
    height_mm = a_screen.logic(0).GetSliceNode().GetFieldOfView()[1]
    a_screen.layout.AddMaximizedViewNode(a_screen.logic(1).GetSliceNode())
    a_screen.logic(1).ResizeSliceNode(600, 600)
    a_screen.layout.RemoveAllMaximizedViewNodes()
    a_screen.logic(1).ResizeSliceNode(*SLICE_VIEW_PIXELS)
    assert a_screen.logic(0).GetSliceNode().GetFieldOfView()[1] == pytest.approx(height_mm)


def test_fitting_after_a_change_of_size_keeps_the_slice(some_views, a_trio, a_screen):
    some_views.enter(*a_trio, plane="Axial")
    a_screen.scroll(0, 6.0)
    offset = a_screen.logic(0).GetSliceOffset()
    a_screen.logic(0).ResizeSliceNode(90, 200)
    assert a_screen.logic(0).GetSliceOffset() == pytest.approx(offset)


def test_volumes_that_replace_others_are_shown_at_the_place_of_the_user_and_fitted_as_they_were(
    some_views, a_trio, a_screen
):
    some_views.enter(*a_trio, plane="Axial")
    a_screen.scroll(0, 6.0)
    offset, (before, after, difference) = a_screen.logic(0).GetSliceOffset(), a_trio
    some_views.replace(after, before, difference)
    assert a_screen.logic(0).GetSliceCompositeNode().GetBackgroundVolumeID() == after.GetID()
    assert a_screen.logic(0).GetSliceOffset() == offset
    a_screen.logic(1).ResizeSliceNode(90, 200)
    assert [is_whole(a_screen, number, before) for number in range(3)] == [True] * 3


def test_a_label_map_that_was_laid_over_a_view_leaves_it(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    a_screen.logic(1).GetSliceCompositeNode().SetLabelVolumeID(label.GetID())
    some_views.replace(*a_trio)
    assert a_screen.logic(1).GetSliceCompositeNode().GetLabelVolumeID() is None
    slicer.mrmlScene.RemoveNode(label)


def test_a_volume_that_was_laid_over_a_view_leaves_it(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    composite = a_screen.logic(0).GetSliceCompositeNode()
    composite.SetForegroundVolumeID(a_trio[1].GetID())
    composite.SetForegroundOpacity(0.5)
    some_views.replace(*a_trio)
    assert (composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()) == (None, 0)


def test_the_layout_that_comes_back_shows_all_its_views_though_one_was_enlarged(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    a_screen.layout.AddMaximizedViewNode(a_screen.logic(1).GetSliceNode())
    some_views.exit()
    assert a_screen.layout.GetMaximizedViewNode(0) is None


def test_an_enlarged_view_is_fitted_by_itself_and_the_others_after_it(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    before = a_screen.logic(1).GetSliceNode().GetFieldOfView()
    a_screen.layout.AddMaximizedViewNode(a_screen.logic(1).GetSliceNode())  # what a double-click does
    a_screen.logic(1).ResizeSliceNode(600, 600)
    assert is_whole(a_screen, 1, a_trio[0])
    a_screen.layout.RemoveAllMaximizedViewNodes()
    a_screen.logic(1).ResizeSliceNode(*SLICE_VIEW_PIXELS)
    assert a_screen.logic(1).GetSliceNode().GetFieldOfView()[:2] == pytest.approx(before[:2])


def test_a_view_is_fitted_before_it_is_drawn_enlarged_and_before_it_is_drawn_small_again(a_slicer, a_trio):
    waiting = []
    views = CompareViews(a_slicer.applicationLogic(), waiting.append)
    views.enter(*a_trio)
    waiting.pop()()
    screen = Screen(a_slicer, [column.tag for column in COLUMNS])
    node, drawn = screen.logic(1).GetSliceNode(), []
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda one, _: drawn.append(one.GetFieldOfView()[:2]))
    small_mm = node.GetFieldOfView()[:2]
    screen.layout.AddMaximizedViewNode(node)
    screen.logic(1).ResizeSliceNode(600, 400)
    views._fitted.fit()
    assert drawn[0] == pytest.approx(node.GetFieldOfView()[:2])
    drawn.clear()
    screen.layout.RemoveAllMaximizedViewNodes()
    screen.logic(1).ResizeSliceNode(*SLICE_VIEW_PIXELS)
    assert (drawn[0], waiting) == (pytest.approx(small_mm), [])
    node.RemoveObserver(tag)
    views.exit()


@pytest.mark.parametrize(
    ("arrangement", "planes"),
    [
        (ROW, ["Axial"]),
        (STACK, ["Axial"]),
        (TWO_PLANES, ["Coronal", "Sagittal"]),
        (ALL_PLANES, ["Axial", "Coronal", "Sagittal"]),
    ],
)
def test_each_row_of_an_arrangement_shows_its_plane(some_views, a_volume, a_slicer, arrangement, planes):
    straight = np.diag([*a_volume.grid.spacing_ijk_mm, 1.0])
    trio = [slicer.util.addVolumeFromArray(a_volume.array, straight) for _ in range(3)]
    some_views.enter(*trio, arrangement=arrangement, plane="Axial")
    named = a_slicer.applicationLogic().GetSliceLogicByLayoutName
    shown = [[named(tag).GetSliceNode().GetOrientation() for tag in row] for row in arrangement.tags]
    assert shown == [[plane] * arrangement.columns for plane in planes]
    volumes = [[named(tag).GetSliceCompositeNode().GetBackgroundVolumeID() for tag in row] for row in arrangement.tags]
    assert volumes == [[one.GetID() for one in trio[: arrangement.columns]]] * len(planes)


def test_the_crosshair_is_as_before_when_the_comparison_ends(some_views, a_trio, a_screen, a_slicer):
    node = a_slicer.mrmlScene().GetFirstNodeByClass("vtkMRMLCrosshairNode") or a_slicer.mrmlScene().AddNewNodeByClass(
        "vtkMRMLCrosshairNode"
    )
    node.SetCrosshairMode(node.ShowHashmarks)
    some_views.enter(*a_trio)
    some_views.show_crosshair(True)
    assert node.GetCrosshairMode() == node.ShowSmallBasic
    some_views.show_crosshair(False)
    assert node.GetCrosshairMode() == node.NoCrosshair
    some_views.exit()
    assert node.GetCrosshairMode() == node.ShowHashmarks


def test_a_window_that_is_asked_for_is_that_of_before_and_after(some_views, a_trio):
    some_views.enter(*a_trio)
    some_views.set_window(-1350, 150)
    assert window(a_trio[0]) == window(a_trio[1]) == (1500, -600)


def test_the_window_of_before_is_given_to_after_and_is_no_longer_automatic(some_views, a_trio):
    before, after, difference = a_trio
    before.GetDisplayNode().SetAutoWindowLevel(False)
    before.GetDisplayNode().SetWindowLevel(400, 40)
    after.GetDisplayNode().SetAutoWindowLevel(True)
    some_views.enter(before, after, difference)
    assert window(before) == window(after) == (400, 40)
    assert not after.GetDisplayNode().GetAutoWindowLevel()


def test_changing_one_window_changes_the_other_until_the_end(some_views, a_trio):
    before, after, difference = a_trio
    some_views.enter(before, after, difference)
    after.GetDisplayNode().SetWindowLevel(1500, -600)
    assert window(before) == (1500, -600)
    before.GetDisplayNode().SetWindowLevel(80, 40)
    assert window(after) == (80, 40)
    some_views.exit()
    assert window(after) == (80, 40)
    after.GetDisplayNode().SetWindowLevel(1500, -600)
    assert window(before) == (80, 40)


def test_leaving_brings_the_layout_back(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    assert some_views.is_active
    assert a_screen.layout.GetViewArrangement() > 100
    some_views.enter(*a_trio)
    some_views.exit()
    assert a_screen.layout.GetViewArrangement() == FOUR_UP
    assert not some_views.is_active
    assert a_screen.logic(0).GetSliceCompositeNode().GetBackgroundVolumeID() is None


def test_leaving_keeps_a_layout_that_the_user_has_chosen_meanwhile(some_views, a_trio, a_screen):
    some_views.enter(*a_trio)
    a_screen.layout.SetViewArrangement(ONE_RED)
    some_views.exit()
    assert a_screen.layout.GetViewArrangement() == ONE_RED


def test_a_scene_saved_while_comparing_can_be_left_after_loading(some_views, a_trio, a_screen, a_slicer, tmp_path):
    scene = a_slicer.mrmlScene()
    some_views.enter(*a_trio)
    save_bundle(scene, tmp_path / "scene.mrb")
    some_views.exit()
    load_bundle(scene, tmp_path / "scene.mrb")
    assert some_views.is_active
    CompareViews(a_slicer.applicationLogic()).exit()
    assert a_screen.layout.GetViewArrangement() == FOUR_UP


@pytest.mark.parametrize("layout", [None, ONE_RED], ids=["compared again", "another layout chosen"])
def test_regions_segmentations_and_crosshair_are_as_before_in_a_scene_saved_while_comparing(
    some_views, a_trio, a_screen, a_slicer, tmp_path, layout
):
    scene = a_slicer.mrmlScene()
    kinds = {
        "vtkMRMLMarkupsROI": lambda display: display.GetFillVisibility(),
        "vtkMRMLSegmentation": lambda display: display.GetVisibility2DFill(),
        "vtkMRMLCrosshair": lambda crosshair: crosshair.GetCrosshairMode() == crosshair.ShowHashmarks,
    }

    def are_as_before():
        nodes = [scene.GetFirstNodeByClass(f"{kind}DisplayNode") for kind in list(kinds)[:2]]
        nodes.append(scene.GetFirstNodeByClass("vtkMRMLCrosshairNode"))
        return [bool(kinds[kind](node)) for kind, node in zip(kinds, nodes, strict=True)]

    for kind in list(kinds)[:2]:
        scene.AddNewNodeByClass(f"{kind}Node").CreateDefaultDisplayNodes()
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") or scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairMode(crosshair.ShowHashmarks)
    some_views.enter(*a_trio)
    some_views.show_crosshair(True)
    assert are_as_before() == [False, False, False]
    save_bundle(scene, tmp_path / "scene.mrb")
    some_views.exit()
    assert are_as_before() == [True, True, True]
    load_bundle(scene, tmp_path / "scene.mrb")
    assert are_as_before() == [False, False, False]
    views = CompareViews(a_slicer.applicationLogic())
    if layout is None:
        views.enter(*(scene.GetFirstNodeByName(volume.GetName()) for volume in a_trio))
    else:
        a_screen.layout.SetViewArrangement(layout)
    views.exit()
    assert are_as_before() == [True, True, True]


def test_a_closed_scene_can_be_left(some_views, a_trio, a_screen, a_slicer):
    some_views.enter(*a_trio)
    a_slicer.mrmlScene().Clear(False)
    some_views._fitted.fit()
    some_views.exit()
    assert not some_views.is_active


def test_a_volume_loaded_meanwhile_does_not_take_a_view(some_views, a_trio, a_slicer):
    some_views.enter(*a_trio)
    newcomer = slicer.util.addVolumeFromArray(np.zeros((4, 4, 4)))
    a_slicer.applicationLogic().GetSelectionNode().SetActiveVolumeID(newcomer.GetID())
    a_slicer.applicationLogic().PropagateVolumeSelection()
    logics = [a_slicer.applicationLogic().GetSliceLogicByLayoutName(tag) for tag in ("Red", COLUMNS[0].tag)]
    shown = [logic.GetSliceCompositeNode().GetBackgroundVolumeID() for logic in logics]
    assert shown == [newcomer.GetID(), a_trio[0].GetID()]


def test_a_difference_is_shown_in_a_third_view_with_its_own_window(some_views, a_trio, a_screen):
    difference = a_trio[2]
    difference.GetDisplayNode().SetAutoWindowLevel(False)
    difference.GetDisplayNode().SetWindowLevel(100, 0)
    some_views.enter(*a_trio)
    assert a_screen.pixels(2)[100, 100] == pytest.approx(127, abs=1)
    assert window(difference) == (100, 0)
    a_screen.scroll(0, 3.0)
    assert a_screen.logic(2).GetSliceOffset() == pytest.approx(a_screen.logic(0).GetSliceOffset())


@pytest.mark.parametrize(
    ("stacked_along", "spacing_mm", "plane"),
    [("S", 5, "Coronal"), ("A", 5, "Axial"), ("R", 5, "Axial"), ("S", 1, None)],
)
def test_the_views_cut_across_thick_slices(a_scene, stacked_along, spacing_mm, plane):
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.roll(np.eye(3), "RAS".index(stacked_along) + 1, axis=0) * (1, 1, spacing_mm)
    assert revealing_orientation(slicer.util.addVolumeFromArray(np.zeros((3, 4, 5)), ijk_to_ras)) == plane


def test_one_volume_is_not_enough(some_views, a_volume_node, a_screen):
    with pytest.raises(VolumeError, match="choose both"):
        some_views.enter(a_volume_node, None, None)
    assert a_screen.layout.GetViewArrangement() == FOUR_UP


def test_a_label_map_is_not_compared(some_views, a_volume_node, a_volume):
    labels = slicer.util.addVolumeFromArray(a_volume.array, name="Bones", nodeClassName="vtkMRMLLabelMapVolumeNode")
    with pytest.raises(VolumeError, match="Bones is a label map"):
        some_views.enter(a_volume_node, labels, labels)


def test_without_slice_views_there_is_a_sentence(some_views, a_trio, a_screen, a_slicer):
    a_slicer.applicationLogic().GetSliceLogics().RemoveAllItems()
    a_slicer.mrmlScene().RemoveAllObservers()
    with pytest.raises(SuperResolutionError, match="there are no slice views to compare in"):
        some_views.enter(*a_trio)
    assert a_screen.layout.GetViewArrangement() == FOUR_UP


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_every_layout_is_well_formed(some_views, a_trio, a_screen, arrangement):
    some_views.enter(*a_trio, arrangement=arrangement)
    layout = ElementTree.fromstring(a_screen.layout.GetCurrentLayoutDescription())
    assert [view.get("singletontag") for view in layout.iter("view")] == [
        tag for row in arrangement.tags for tag in row
    ]
    assert layout.get("type") == ("horizontal" if arrangement is ROW else "vertical")
