"""Before, after and their difference on one grid, read as values and as the pixels of the slice logics."""

from __future__ import annotations

import tracemalloc
from unittest import mock

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the comparison needs slicer-core")

from medical_super_resolution.errors import VolumeError  # noqa: E402
from medical_super_resolution.volumes.grid import Grid  # noqa: E402
from MedicalSuperResolutionLib.compare.common_grid import before_on_grid_of  # noqa: E402
from MedicalSuperResolutionLib.compare.view_settings import add_legend  # noqa: E402
from MedicalSuperResolutionLib.scene import uncertainty_node  # noqa: E402
from slicer_host import hierarchy_of, ijk_to_ras, load_bundle, node_ids, save_bundle  # noqa: E402

FOUR_UP = 3


@pytest.fixture
def a_pair(a_scene):
    """A ramp along k in slices of 4 mm, and the same ramp, raised by 10, in slices of 1 mm."""
    thick = np.broadcast_to(np.arange(12.0)[:, None, None] * 40, (12, 40, 40)).astype(np.float32)
    fine = np.broadcast_to((np.arange(48.0) - 1.5)[:, None, None] * 10 + 10, (48, 40, 40)).astype(np.float32)
    matrix = np.diag([1.0, 1.0, 1.0, 1.0])
    matrix[2, 3] = -1.5  # both have the same outer boundary
    before = slicer.util.addVolumeFromArray(thick, np.diag([1.0, 1.0, 4.0, 1.0]), "Thick")
    return before, slicer.util.addVolumeFromArray(fine, matrix, "Fine")


def hidden_volumes():
    return [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetHideFromEditors()]


def test_before_is_resampled_onto_the_grid_of_after(a_pair):
    values = before_on_grid_of(*a_pair)
    assert values.shape == (48, 40, 40)
    np.testing.assert_allclose(values[12:36, 20, 20], (np.arange(12, 36) - 1.5) * 10, atol=1.5)


def flipped(grid: Grid, axes: tuple[int, ...]) -> Grid:
    """The same voxels, counted from the other end along some of i, j and k."""
    turn = np.eye(4)
    for axis in axes:
        turn[axis, axis], turn[axis, 3] = -1, grid.count("ijk"[axis]) - 1
    return Grid(grid.shape_kji, grid.ijk_to_ras @ turn)


@pytest.mark.usefixtures("a_scene")
@pytest.mark.parametrize("against", [(), (0,), (1, 2)])
@pytest.mark.parametrize("factors", [(1, 1, 3), (2, 1, 2.5), (1.5, 2, 1)])
def test_parallel_grids_are_resampled_as_any_others(a_volume, factors, against):
    from medical_super_resolution.volumes.resampling import resampled

    target = flipped(a_volume.grid, against)
    for axis, factor in zip("ijk", factors, strict=True):
        target = target.refined(axis, factor) if factor != 1 else target
    nodes = [
        slicer.util.addVolumeFromArray(np.broadcast_to(array, grid.shape_kji).copy(), grid.ijk_to_ras)
        for array, grid in ((a_volume.array, a_volume.grid), (np.uint8(0), target))
    ]
    np.testing.assert_allclose(before_on_grid_of(*nodes), resampled(a_volume, target), atol=0.05)


@pytest.mark.parametrize("is_turned", [False, True])
def test_a_value_that_is_no_number_stays_in_its_place(a_pair, is_turned):
    before, after = a_pair
    expected = before_on_grid_of(before, after)
    slicer.util.arrayFromVolume(before)[6, 20, 20] = np.nan
    if is_turned:
        flip = np.array([[-1.0, 0, 0, 39], [0, 1, 0, 0], [0, 0, 1, -1.5], [0, 0, 0, 1]])
        after = slicer.util.addVolumeFromArray(np.zeros((48, 40, 40), np.float32), flip)
        expected = expected[:, :, ::-1]
    values = before_on_grid_of(before, after)
    unknown = np.argwhere(np.isnan(values))
    assert [25, 20, 19 if is_turned else 20] in unknown.tolist()
    assert np.abs(unknown - [25.5, 20, 19.5]).max() < 4 * 4  # within four slices of 4 mm
    np.testing.assert_allclose(values, np.where(np.isnan(values), np.nan, expected), atol=5)


@pytest.mark.usefixtures("a_scene")
def test_grids_that_are_turned_against_each_other_are_resampled(a_volume):
    before = slicer.util.addVolumeFromArray(a_volume.array, a_volume.grid.ijk_to_ras)
    turned = a_volume.grid.ijk_to_ras[:, [1, 0, 2, 3]]
    after = slicer.util.addVolumeFromArray(a_volume.array.transpose(0, 2, 1).copy(), turned)
    np.testing.assert_allclose(before_on_grid_of(before, after), a_volume.array.transpose(0, 2, 1), atol=0.05)


@pytest.mark.parametrize(("spacing", "is_resampled"), [(1.0005, True), (1.000001, False)])
def test_grids_whose_last_voxels_lie_apart_are_not_the_same(a_pair, spacing, is_resampled):
    other = slicer.util.addVolumeFromArray(np.zeros((12, 40, 40), np.float32), np.diag([spacing, 1.0, 4.0, 1.0]))
    assert (before_on_grid_of(a_pair[0], other) is not None) == is_resampled


def test_the_difference_is_after_minus_before(a_comparison, a_pair):
    a_comparison.enter(*a_pair)
    difference = hidden_volumes()[1]
    assert difference.GetName() == "Difference"
    np.testing.assert_allclose(ijk_to_ras(difference), ijk_to_ras(a_pair[1]))
    np.testing.assert_allclose(slicer.util.arrayFromVolume(difference)[12:36], 10, atol=1.5)


def test_the_difference_has_a_symmetric_window_around_zero(a_comparison, a_pair, a_screen):
    a_comparison.enter(*a_pair)
    display, limit = hidden_volumes()[1].GetDisplayNode(), a_comparison.shown.limit
    assert (display.GetWindow(), display.GetLevel()) == (2 * limit, 0)
    assert not display.GetAutoWindowLevel()
    assert 5 < limit < 60


def test_the_rounding_of_values_that_do_not_differ_is_not_colored(a_comparison, a_pair):
    for volume in a_pair:
        slicer.util.arrayFromVolume(volume)[:] = 42
    a_comparison.enter(*a_pair)
    largest = np.abs(slicer.util.arrayFromVolume(hidden_volumes()[1])).max()
    assert 0 < largest < 0.1 * a_comparison.shown.limit


def test_no_difference_stays_dark_where_the_user_changes_the_window(a_comparison, a_pair, a_screen):
    a_comparison.enter(*a_pair)
    display = hidden_volumes()[1].GetDisplayNode()
    display.SetWindowLevel(80, 30)  # as the mouse does it: both at once
    assert (display.GetWindow(), display.GetLevel(), a_comparison.shown.limit) == (80, 0, 40)


@pytest.mark.parametrize(("raised_by", "redder"), [(0, 0), (60, 1), (-60, -1)])
def test_higher_is_orange_and_lower_is_blue_and_no_difference_is_dark(
    a_comparison, a_pair, a_screen, raised_by, redder
):
    before, _ = a_pair
    after = slicer.util.addVolumeFromArray(
        slicer.util.arrayFromVolume(before) + np.float32(raised_by), ijk_to_ras(before), "After"
    )
    a_comparison.enter(before, after)
    red, green, blue = a_screen.color(2)
    assert np.sign(round((red - blue) / 20)) == redder
    assert (max(red, green, blue) < 40) == (raised_by == 0)


@pytest.mark.parametrize(("stacked_along", "plane"), [("S", "Coronal"), ("A", "Axial")])
def test_it_opens_across_the_thick_slices_though_before_is_resampled(
    a_comparison, a_pair, a_screen, stacked_along, plane
):
    turn = np.eye(4)
    turn[:3, :3] = np.roll(np.eye(3), "RAS".index(stacked_along) + 1, axis=0)
    for volume in a_pair:
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(turn @ ijk_to_ras(volume)))
    a_comparison.enter(*a_pair)
    assert a_comparison.shown.resampled
    assert a_screen.logic(0).GetSliceNode().GetOrientation() == plane


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 0.75), (1.5, 1.5, 3.0)])
def test_cubes_are_compared_across_the_slices_that_became_thinner_or_thicker(a_comparison, a_screen, spacing):
    cubes, other = (
        slicer.util.addVolumeFromArray(np.zeros((16, 16, 16)), np.diag([*sizes_mm, 1]))
        for sizes_mm in ((1.5, 1.5, 1.5), spacing)
    )
    a_comparison.enter(cubes, other)
    assert a_screen.logic(0).GetSliceNode().GetOrientation() == "Coronal"


@pytest.mark.parametrize(("value", "opacity"), [(np.nan, 0), (np.inf, 0), (0, 255)])
def test_a_difference_that_is_no_number_has_no_color(a_comparison, a_pair, a_screen, value, opacity):
    slicer.util.arrayFromVolume(a_pair[1])[:] = value
    a_comparison.enter(*a_pair)
    producer = a_screen.logic(2).GetImageDataConnection().GetProducer()
    producer.Update()
    assert producer.GetOutputDataObject(0).GetScalarComponentAsDouble(100, 100, 0, 3) == opacity


def test_a_plane_that_is_asked_for_is_shown(a_comparison, a_pair, a_screen):
    a_comparison.enter(*a_pair, plane="Sagittal")
    assert a_screen.logic(2).GetSliceNode().GetOrientation() == "Sagittal"


def test_legends_name_units_and_begin_where_the_colors_begin(a_comparison, a_pair, make_unsure):
    before, after = a_pair
    make_unsure(after, np.full((48, 40, 40), 8, np.float32), ijk_to_ras(after))
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    after.SetVoxelValueUnits(units)
    a_comparison.enter(before, after)
    legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert [legend.GetTitleText() for legend in legends] == ["Difference\n(HU)", "Uncertainty\n(HU)"]
    colored = legends[1].GetPrimaryDisplayNode()
    assert colored.GetLevel() - colored.GetWindow() / 2 == pytest.approx(colored.GetLowerThreshold()) == 2
    assert a_comparison.shown.uncertainty == (2, 8)


@pytest.mark.parametrize(
    ("largest", "numbers"),
    [
        (3.1e8, (" 3.1e+08 ", " 1.55e+08 ")),  # as plain numbers, Slicer would write them too small to be read
        (1200, (" 1200.0 ", " 600.0 ")),
        (48, (" 48.0 ", " 24.0 ")),
        (0.03, (" 0.0300 ", " 0.0150 ")),
        (3.9e-5, (" 3.9e-05 ", " 1.95e-05 ")),
    ],
)
def test_the_numbers_of_a_legend_have_three_digits_and_spaces_beside_them(a_pair, largest, numbers):
    volume = a_pair[0]
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(2 * largest, 0)
    legend = add_legend(volume, "Difference", "")
    assert tuple(legend.GetLabelFormat() % value for value in (largest, largest / 2)) == numbers


def test_the_uncertainty_lies_on_a_result_that_was_moved_since(a_comparison, a_pair, a_scene, make_unsure):
    before, after = a_pair
    make_unsure(after, np.full((48, 40, 40), 8, np.float32), ijk_to_ras(after))
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    for volume in a_pair:
        volume.SetAndObserveTransformNodeID(transform.GetID())
    a_comparison.enter(before, after)
    shown = next(node for node in hidden_volumes() if node.GetName() == "Uncertainty")
    assert shown.GetParentTransformNode() is transform


def test_the_uncertainty_of_a_part_lies_where_the_part_does(a_comparison, a_pair, make_unsure):
    after = a_pair[1]
    part = ijk_to_ras(after) @ np.array([[1, 0, 0, 10], [0, 1, 0, 10], [0, 0, 1, 12], [0, 0, 0, 1.0]])
    make_unsure(after, np.full((24, 20, 20), 8, np.float32), part)
    a_comparison.enter(*a_pair)
    shown = next(node for node in hidden_volumes() if node.GetName() == "Uncertainty")
    np.testing.assert_allclose(ijk_to_ras(shown), part)


def test_the_highest_uncertainty_is_colored_though_it_lies_above_the_colors(a_comparison, a_pair, make_unsure):
    values = np.full((48, 40, 40), 8, np.float32)
    values[20, 20, 20] = 100
    make_unsure(a_pair[1], values, ijk_to_ras(a_pair[1]))
    a_comparison.enter(*a_pair)
    shown = next(node for node in hidden_volumes() if node.GetName() == "Uncertainty").GetDisplayNode()
    assert shown.GetLevel() + shown.GetWindow() / 2 < 50
    assert shown.GetUpperThreshold() == 100


@pytest.mark.parametrize(("air", "is_ct", "unit"), [(-1000, True, "HU"), (0, False, "unit unknown")])
def test_hounsfield_units_are_known_by_their_range_where_no_header_names_them(a_comparison, a_pair, air, is_ct, unit):
    before, after = a_pair
    array = np.full_like(slicer.util.arrayFromVolume(before), 100, dtype=np.int16)
    array[0] = air
    slicer.util.updateVolumeFromArray(before, array)
    a_comparison.enter(before, after)
    legend = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")[0]
    assert (a_comparison.shown.is_ct, legend.GetTitleText()) == (is_ct, f"Difference\n({unit})")
    assert after.GetVoxelValueUnits() is None  # what is guessed is not stored


def test_values_like_those_of_a_ct_are_no_hounsfield_units_where_dicom_names_another_modality(
    a_comparison, a_pair, a_screen, a_scene
):
    slicer.util.arrayFromVolume(a_pair[0])[0] = -1000
    hierarchy = hierarchy_of(a_scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_pair[0])
    for modality, units in (("CT", "HU"), ("MR", "")):
        hierarchy.SetItemAttribute(item, "DICOM.Modality", modality)
        a_comparison.enter(*a_pair)
        assert a_comparison.shown.units == units


@pytest.mark.parametrize(
    ("kind", "fill"),
    [("vtkMRMLMarkupsROINode", "GetFillVisibility"), ("vtkMRMLSegmentationNode", "GetVisibility2DFill")],
)
def test_regions_and_segmentations_do_not_tint_the_comparison(a_comparison, a_pair, a_scene, kind, fill):
    def displayed():
        node = a_scene.AddNewNodeByClass(kind)
        node.CreateDefaultDisplayNodes()
        return node.GetDisplayNode()

    def are_filled():
        return [bool(getattr(display, fill)()) for display in displays]

    displays = [displayed()]
    assert are_filled() == [True]
    a_comparison.enter(*a_pair)
    displays.append(displayed())
    assert are_filled() == [False, False]
    a_comparison.exit()
    displays.append(displayed())
    assert are_filled() == [True, True, True]


def test_before_and_after_share_the_window_that_before_had(a_comparison, a_pair):
    before, after = a_pair
    before.GetDisplayNode().SetAutoWindowLevel(False)
    before.GetDisplayNode().SetWindowLevel(400, 40)
    a_comparison.enter(before, after)
    shown = [node.GetDisplayNode() for node in (before, after, hidden_volumes()[0])]
    assert {(one.GetWindow(), one.GetLevel()) for one in shown} == {(400, 40)}
    after.GetDisplayNode().SetWindowLevel(300, 20)
    assert {(one.GetWindow(), one.GetLevel()) for one in shown} == {(300, 20)}


def test_a_volume_that_a_script_has_given_no_display_can_be_compared(a_comparison, a_pair, a_scene):
    before, after = a_pair
    a_scene.RemoveNode(before.GetDisplayNode())
    a_comparison.enter(before, after)
    before.GetDisplayNode().SetWindowLevel(77, 11)
    assert (after.GetDisplayNode().GetWindow(), after.GetDisplayNode().GetLevel()) == (77, 11)


def test_it_is_known_whether_before_is_resampled(a_comparison, a_pair):
    a_comparison.enter(*a_pair)
    assert a_comparison.shown.resampled
    a_comparison.enter(a_pair[0], slicer.util.addVolumeFromArray(np.ones((12, 40, 40)), ijk_to_ras(a_pair[0])))
    assert not a_comparison.shown.resampled


def test_what_was_resampled_is_not_held_twice_while_the_difference_is_made(a_comparison, a_pair, monkeypatch):
    monkeypatch.setattr(uncertainty_node, "_SAMPLES", 100)  # few beside the voxels, as in a large volume
    a_comparison.enter(*a_pair)  # imports
    tracemalloc.start()
    a_comparison.enter(*a_pair)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = slicer.util.arrayFromVolume(a_pair[1]).nbytes
    assert most < 1.75 * size


def test_a_transform_of_one_volume_counts(a_scene, a_pair):
    before, after = a_pair
    expected = before_on_grid_of(before, after)
    moved = np.eye(4)
    moved[:3, 3] = (100, -50, 30)
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(moved))
    before.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.linalg.inv(moved) @ ijk_to_ras(before)))
    before.SetAndObserveTransformNodeID(transform.GetID())
    np.testing.assert_allclose(before_on_grid_of(before, after), expected, atol=1e-2)


def test_volumes_that_do_not_overlap_are_refused_and_nothing_changes(a_comparison, a_pair, a_screen, a_scene):
    matrix = ijk_to_ras(a_pair[1])
    matrix[0, 3] = 500
    a_pair[1].SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    nodes = node_ids(a_scene)
    with pytest.raises(VolumeError, match="do not overlap"):
        a_comparison.enter(*a_pair)
    assert (node_ids(a_scene), a_comparison.is_active) == (nodes, False)


def test_leaving_takes_everything_away(a_comparison, a_pair, a_screen, a_scene):
    a_comparison.enter(*a_pair)
    a_comparison.exit()
    nodes = node_ids(a_scene)  # the views that the layout has made stay
    for _ in range(3):
        a_comparison.enter(*a_pair)
        a_comparison.enter(*a_pair)
        assert len(hidden_volumes()) == 2
        a_comparison.exit()
    assert node_ids(a_scene) == nodes
    assert a_screen.layout.GetViewArrangement() == FOUR_UP
    assert a_comparison.shown is None


def test_what_is_made_for_comparing_is_not_saved(a_comparison, a_pair, a_screen, a_scene, tmp_path):
    a_comparison.enter(*a_pair)
    save_bundle(a_scene, tmp_path / "scene.mrb")
    a_comparison.exit()
    load_bundle(a_scene, tmp_path / "scene.mrb")
    assert [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")] == ["Thick", "Fine"]
    assert a_scene.GetFirstNodeByName("Medical Super-Resolution difference") is None


def test_a_closed_scene_can_be_left(a_comparison, a_pair, a_screen, a_scene):
    a_comparison.enter(*a_pair)
    a_scene.Clear(False)
    a_comparison.exit()
    assert not a_comparison.is_active


def test_a_failure_while_the_views_open_leaves_nothing_behind(a_comparison, a_pair, a_screen, a_scene, monkeypatch):
    def fail(*volumes, **how):
        raise MemoryError

    nodes = node_ids(a_scene)
    monkeypatch.setattr(a_comparison.views, "enter", fail)
    with pytest.raises(MemoryError):
        a_comparison.enter(*a_pair)
    assert node_ids(a_scene) == nodes


def test_a_failure_while_comparing_leaves_nothing_behind_at_the_end(a_comparison, a_pair, a_screen, monkeypatch):
    a_comparison.enter(*a_pair)
    monkeypatch.setattr(a_comparison.views, "enter", mock.Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        a_comparison.enter(*a_pair)
    a_comparison.exit()
    assert hidden_volumes() == []
