"""Before or the uncertainty over after, in one view, read as the pixels of its slice logic."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the views need slicer-core")

from slicer_host import SLICE_VIEW_PIXELS, ijk_to_ras, node_ids  # noqa: E402

BEFORE, AFTER = 100, 200  # gray values
MIDDLE = 100  # the row of a view in its middle


@pytest.fixture(params=["straight", "oblique"])
def a_gray_pair(request, a_scene):
    """Two volumes, dark and bright, that fill the middle of a view."""
    matrix = np.eye(4)
    if request.param == "oblique":
        matrix[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    pair = [slicer.util.addVolumeFromArray(np.full((40, 40, 40), gray, np.int16), matrix) for gray in (BEFORE, AFTER)]
    for volume in pair:
        volume.GetDisplayNode().SetAutoWindowLevel(False)
        volume.GetDisplayNode().SetWindowLevel(255, 127.5)
    return pair


@pytest.fixture
def a_blend(a_comparison, a_gray_pair, a_screen):
    a_comparison.enter(*a_gray_pair)
    return a_comparison.views.blends[0]


@pytest.fixture
def an_unsure_blend(a_comparison, a_gray_pair, a_screen, make_unsure):
    """After is sure in its lower half, along k, and not sure in the upper."""
    values = np.zeros((40, 40, 40), np.float32)
    values[20:] = 50
    make_unsure(a_gray_pair[1], values, ijk_to_ras(a_gray_pair[1]))
    a_comparison.enter(*a_gray_pair)
    return a_comparison.views.blends[0]


def grays(screen):
    """The gray values in the view of after, but for the black around the volume."""
    return set(np.unique(screen.pixels(1))) - {0}


def border(screen, row=MIDDLE):
    """Where a row of the view of after, which begins with before, turns to after; the row must have no other step."""
    line = screen.pixels(1)[row]
    inside = np.flatnonzero(line)
    assert set(line[inside]) <= {BEFORE, AFTER}
    (step,) = np.flatnonzero(np.diff(line[inside])) + inside[0]
    assert (line[step], line[step + 1]) == (BEFORE, AFTER)
    return step + 1


def test_at_first_after_is_alone(a_blend, a_screen):
    assert grays(a_screen) == {AFTER}


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_left_of_the_wipe_is_before_and_right_of_it_after(a_blend, a_screen, share):
    a_blend.wipe(share)
    assert border(a_screen) == share * SLICE_VIEW_PIXELS[0]


def test_the_wipe_goes_from_nothing_to_all(a_blend, a_screen):
    for share, gray in ((0, AFTER), (1, BEFORE), (0, AFTER)):
        a_blend.wipe(share)
        assert grays(a_screen) == {gray}


def test_the_other_views_are_not_wiped(a_blend, a_screen):
    pictures = a_screen.pixels(0), a_screen.pixels(2)
    a_blend.wipe(0.5)
    for number, picture in zip((0, 2), pictures, strict=True):
        np.testing.assert_array_equal(a_screen.pixels(number), picture)


def test_the_wipe_stays_on_the_screen_while_the_user_scrolls_and_zooms(a_blend, a_screen):
    a_blend.wipe(0.4)
    a_screen.scroll(1, 3.0)
    assert border(a_screen) == 80
    a_screen.scroll(0, -5.0)
    a_screen.zoom(1, 2)
    assert border(a_screen) == 80


@pytest.mark.parametrize("size", [(300, 120), (120, 300)])
def test_the_wipe_follows_the_size_of_the_view(a_blend, a_screen, size):
    a_blend.wipe(0.5)
    a_screen.logic(1).ResizeSliceNode(*size)
    assert border(a_screen, size[1] // 2) == size[0] // 2


def test_a_checkerboard_shows_before_in_every_other_square(a_blend, a_screen):
    a_screen.zoom(1, 4)  # the volume fills the view
    a_blend.checkerboard()
    picture = a_screen.pixels(1)[::-1]  # bottom row first
    side = SLICE_VIEW_PIXELS[0] // 8
    centers = picture[side // 2 :: side, side // 2 :: side]
    board = np.where(np.indices(centers.shape).sum(axis=0) % 2 == 0, BEFORE, AFTER)
    np.testing.assert_array_equal(np.kron(board, np.ones((side, side))), picture)


def test_fading_goes_from_after_to_before(a_blend, a_screen):
    for opacity, gray in ((0, AFTER), (0.5, (BEFORE + AFTER) / 2), (1, BEFORE)):
        a_blend.fade(opacity)
        assert a_screen.pixels(1)[MIDDLE, MIDDLE] == pytest.approx(gray, abs=1)


def test_one_way_of_mixing_follows_another(a_blend, a_screen):
    a_blend.wipe(0.5)
    a_blend.fade(1)
    assert grays(a_screen) == {BEFORE}
    a_blend.checkerboard()
    a_blend.clear()
    assert grays(a_screen) == {AFTER}


def test_the_view_hears_that_it_has_to_draw_itself(a_blend, a_screen):
    heard = []
    a_screen.logic(1).AddObserver("ModifiedEvent", lambda *_: heard.append(1))
    a_blend.wipe(0.5)
    first = len(heard)
    a_blend.wipe(0.6)
    assert 0 < first < len(heard)


def test_what_is_not_to_be_changed_is_not_drawn_again(a_blend, a_screen):
    a_blend.wipe(0.5)
    reslice = a_screen.logic(1).GetForegroundLayer().GetReslice()
    before = reslice.GetMTime()
    a_blend.wipe(0.5)
    assert reslice.GetMTime() == before


def test_leaving_leaves_no_stencil_behind(a_blend, a_comparison, a_gray_pair, a_screen):
    a_blend.wipe(0.5)
    logic = a_screen.logic(1)
    a_comparison.exit()
    assert a_comparison.views.blends == []
    assert logic.GetForegroundLayer().GetReslice().GetStencil() is None
    logic.GetSliceCompositeNode().SetForegroundVolumeID(a_gray_pair[0].GetID())
    logic.GetSliceCompositeNode().SetForegroundOpacity(1)
    assert grays(a_screen) == {BEFORE}


def test_a_layout_chosen_meanwhile_leaves_no_stencil_either(a_blend, a_comparison, a_screen):
    a_blend.checkerboard()
    logic = a_screen.logic(1)
    a_screen.layout.SetViewArrangement(6)
    a_comparison.exit()
    assert logic.GetForegroundLayer().GetReslice().GetStencil() is None


def test_a_volume_that_leaves_the_scene_is_no_longer_mixed(a_blend, a_gray_pair, a_scene, a_screen):
    a_blend.wipe(0.5)
    a_scene.RemoveNode(a_gray_pair[0])
    a_blend.wipe(0.6)
    assert grays(a_screen) == {AFTER}


def test_uncertainty_colors_what_is_not_sure(an_unsure_blend, a_screen):
    assert an_unsure_blend.has_colors
    an_unsure_blend.color(1)
    a_screen.scroll(1, 10.0)
    unsure = a_screen.color(1)
    a_screen.scroll(1, -20.0)
    sure = a_screen.color(1)
    assert len(set(sure)) == 1  # gray
    assert unsure != sure


def test_the_colors_can_be_seen_through(an_unsure_blend, a_screen):
    a_screen.scroll(1, 10.0)
    pictures = []
    for opacity in (0, 0.5, 1):
        an_unsure_blend.color(opacity)
        pictures.append(np.array(a_screen.color(1)))
    np.testing.assert_allclose(pictures[1], (pictures[0] + pictures[2]) / 2, atol=1)
    assert set(pictures[0]) == {AFTER}


def test_the_colors_have_a_legend(an_unsure_blend, a_comparison):
    _, legend = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")  # the first is of the difference
    assert legend.GetTitleText() == "Uncertainty\n(unit unknown)"
    assert legend.GetPrimaryDisplayNode().GetColorNode().GetName() == "Iron"
    assert legend.GetDisplayableNode().GetName() == "Uncertainty"
    assert a_comparison.shown.uncertainty == (12.5, 50)
    assert not legend.GetSaveWithScene()


def test_the_colors_begin_with_the_legend_also_after_the_user_has_changed_their_window(an_unsure_blend, a_comparison):
    _, legend = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    colored = legend.GetPrimaryDisplayNode()
    colored.SetWindowLevel(20, 30)
    assert (colored.GetLowerThreshold(), a_comparison.shown.uncertainty) == (20, (20, 40))


def test_the_legend_is_redrawn_when_the_colors_come_and_go(an_unsure_blend):
    _, legend = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")  # the first is of the difference
    for show in (lambda: an_unsure_blend.color(1), an_unsure_blend.clear):
        before = legend.GetMTime()
        show()
        assert legend.GetMTime() > before


def test_the_legend_comes_after_the_views_which_do_not_see_an_older_one(
    an_unsure_blend, a_comparison, a_gray_pair, monkeypatch
):
    a_comparison.exit()
    opened, legends = a_comparison.views.enter, []

    def enter(*volumes, **options):
        legends.append(slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"))
        opened(*volumes, **options)

    monkeypatch.setattr(a_comparison.views, "enter", enter)
    a_comparison.enter(*a_gray_pair)
    assert legends == [[]]
    assert slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")


def test_the_colored_copy_and_its_legend_leave(an_unsure_blend, a_comparison, a_gray_pair, a_scene):
    a_comparison.exit()
    nodes = node_ids(a_scene)
    a_comparison.enter(*a_gray_pair)
    a_comparison.views.blends[0].color(1)
    a_comparison.exit()
    assert node_ids(a_scene) == nodes
    assert slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode") == []


def test_without_a_map_there_are_no_colors(a_blend, a_comparison, a_screen):
    assert not a_blend.has_colors
    assert a_comparison.shown.uncertainty is None
    a_blend.color(1)
    assert grays(a_screen) == {AFTER}
