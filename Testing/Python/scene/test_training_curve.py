"""The curves of a run: reading the file, and the nodes in the scene."""

from __future__ import annotations

import math
import types
from pathlib import Path

import pytest

from MedicalSuperResolutionTrainingLib import curve


@pytest.fixture
def plot(a_scene: object) -> types.ModuleType:
    from MedicalSuperResolutionTrainingLib import plot

    return plot


def written(folder: Path, text: str) -> Path:
    (folder / curve.FILE).write_text(text)
    return folder


def test_a_curve_without_a_header_has_steps_and_losses(tmp_path: Path):
    assert curve.read(written(tmp_path, "50,0.5\n100,0.25\n")) == {"step": [50, 100], "loss": [0.5, 0.25]}


def test_a_header_names_the_columns(tmp_path: Path):
    curves = curve.read(written(tmp_path, "step,loss,psnr\n50,0.5,\n100,0.25,31.5\n"))
    assert list(curves) == ["step", "loss", "psnr"]
    assert math.isnan(curves["psnr"][0])
    assert curves["psnr"][1] == 31.5
    assert curve.quantities(curves) == ["loss", "psnr"]
    assert curve.latest(curves, "psnr") == (100, 31.5)


def test_a_column_that_holds_nothing_is_not_offered(tmp_path: Path):
    assert curve.quantities(curve.read(written(tmp_path, "step,loss,psnr\n50,0.5,\n"))) == ["loss"]


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path):
    assert curve.read(written(tmp_path, "50,0.5\n100,0.2"))["step"] == [50]


def test_a_run_that_went_on_counts_with_its_later_values(tmp_path: Path):
    curves = curve.read(written(tmp_path, "step,loss\n50,0.5\n100,0.4\nstep,loss\n100,0.3\n150,0.2\n"))
    assert curves == {"step": [50, 100, 150], "loss": [0.5, 0.3, 0.2]}


@pytest.mark.parametrize("text", ["", "step,loss\n", "\n", "a,b,c\n1\n"])
def test_a_file_without_values_has_no_curve(tmp_path: Path, text: str):
    assert curve.read(written(tmp_path, text)) == {}
    assert curve.latest({}, "loss") is None


def test_a_run_without_a_file_has_no_curve(tmp_path: Path):
    assert curve.read(tmp_path) == {}


def test_scores_of_validation_are_a_column_of_their_own(tmp_path: Path):
    written(tmp_path, "step,loss\n50,0.5\n100,0.25\n")
    (tmp_path / curve.VALIDATION_FILE).write_text("step,volume,psnr_db\n100,a,30\n100,b,32\n120,a,33\n")
    curves = curve.read(tmp_path)
    assert list(curves) == ["step", "loss", "validation_psnr_db"]
    assert (curves["step"], curves["validation_psnr_db"][1:]) == ([50, 100, 120], [31, 33])
    assert curve.latest(curves, "loss") == (100, 0.25)


def test_the_trainer_names_its_files_so():
    pytest.importorskip("torch")
    from medical_super_resolution_training.training.monitoring import curves, validation

    assert (curve.FILE, curve.VALIDATION_FILE) == (curves.CURVES, validation.VALIDATION)
    assert list(curves.COLUMNS[:2]) == [curve.STEP, curve.LOSS]


def values(chart: object, name: str) -> list[float]:
    table = chart.GetPlotSeriesNode().GetTableNode().GetTable()
    column = table.GetColumnByName(name)
    return [column.GetValue(row) for row in range(table.GetNumberOfRows())]


def test_a_curve_becomes_a_table_a_series_and_a_chart(plot: types.ModuleType, a_scene: object):
    chart = plot.draw(a_scene, {"step": [50.0, 100.0], "loss": [0.5, 0.25], "rate": [1.0, 2.0]}, "loss", "My run")
    series = chart.GetPlotSeriesNode()
    assert (series.GetXColumnName(), series.GetYColumnName()) == ("step", "loss")
    assert (series.GetPlotType(), series.GetLineStyle()) == (series.PlotTypeScatter, series.LineStyleSolid)
    assert [values(chart, name) for name in ("step", "loss", "rate")] == [[50, 100], [0.5, 0.25], [1, 2]]
    assert (chart.GetTitle(), chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("My run", "step", "loss")


def test_a_curve_that_grows_stays_in_its_nodes_and_updates_the_chart_once(plot: types.ModuleType, a_scene: object):
    chart = plot.draw(a_scene, {"step": [50.0, 100.0], "loss": [0.5, 0.25]}, "loss", "My run")
    told = []
    chart.AddObserver("ModifiedEvent", lambda *event: told.append(event))
    nodes = a_scene.GetNumberOfNodes()
    assert plot.draw(a_scene, {"step": [50.0, 100.0, 150.0], "loss": [0.5, 0.25, 0.125]}, "loss", "My run") is chart
    assert values(chart, "loss") == [0.5, 0.25, 0.125]
    assert (a_scene.GetNumberOfNodes(), len(told)) == (nodes, 1)


def test_a_column_that_most_steps_lack_is_drawn_as_points(plot: types.ModuleType, a_scene: object):
    values = {"step": [50.0, 100.0, 150.0], "loss": [0.3, 0.2, math.nan], "psnr": [math.nan, 31.0, math.nan]}
    series = plot.draw(a_scene, values, "psnr", "My run").GetPlotSeriesNode()
    assert series.GetMarkerStyle() == series.MarkerStyleCircle
    plot.draw(a_scene, values, "loss", "My run")
    assert (series.GetLineStyle(), series.GetMarkerStyle()) == (series.LineStyleSolid, series.MarkerStyleNone)


def test_a_curve_of_one_point_is_seen(plot: types.ModuleType, a_scene: object):
    chart = plot.draw(a_scene, {"step": [50.0], "loss": [0.5]}, "loss", "Run")
    assert chart.GetPlotSeriesNode().GetMarkerStyle() == chart.GetPlotSeriesNode().MarkerStyleCircle
    assert chart.GetXAxisRange() == pytest.approx((47.5, 52.5))
    assert chart.GetYAxisRange() == pytest.approx((0.475, 0.525))


def test_a_curve_of_one_point_is_no_line_of_one_point_which_vtk_reports_as_an_error(
    plot: types.ModuleType, a_scene: object
):
    chart = plot.draw(a_scene, {"step": [50.0], "loss": [0.5]}, "loss", "Run")
    assert values(chart, "step") == [50, 50]
    assert values(chart, "loss") == pytest.approx([0.5, math.nan], nan_ok=True)


def test_the_axes_show_all_points_of_a_curve_that_grows(plot: types.ModuleType, a_scene: object):
    plot.draw(a_scene, {"step": [50.0], "loss": [0.5]}, "loss", "Run")
    chart = plot.draw(a_scene, {"step": [50.0, 100.0, 150.0], "loss": [0.5, math.nan, 0.3]}, "loss", "Run")
    assert not chart.GetXAxisRangeAuto()
    assert chart.GetXAxisRange() == pytest.approx((45, 155))
    assert chart.GetYAxisRange() == pytest.approx((0.29, 0.51))


@pytest.mark.parametrize("removed", ["vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode"])
def test_what_the_user_has_deleted_is_made_anew(plot: types.ModuleType, a_scene: object, removed: str):
    plot.draw(a_scene, {"step": [50.0], "loss": [0.5]}, "loss", "My run")
    count = a_scene.GetNumberOfNodes()
    a_scene.RemoveNode(a_scene.GetFirstNodeByClass(removed))
    chart = plot.draw(a_scene, {"step": [50.0, 100.0], "loss": [0.5, 0.25]}, "loss", "My run")
    assert values(chart, "loss") == [0.5, 0.25]
    assert chart.GetNumberOfPlotSeriesNodes() == 1
    assert a_scene.GetNumberOfNodes() == count  # what belonged to it is taken again


def test_the_curve_comes_back_with_a_saved_scene(plot: types.ModuleType, a_scene: object, tmp_path: Path):
    import slicer_host

    plot.draw(a_scene, {"step": [50.0], "loss": [0.5]}, "loss", "My run")
    slicer_host.save_bundle(a_scene, tmp_path / "scene.mrb")
    a_scene.Clear(False)
    slicer_host.load_bundle(a_scene, tmp_path / "scene.mrb")
    chart = plot.draw(a_scene, {"step": [50.0, 100.0], "loss": [0.5, 0.25]}, "loss", "My run")
    assert values(chart, "loss") == [0.5, 0.25]
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1


def test_the_chart_is_shown_in_a_layout_with_a_plot_view(plot: types.ModuleType, a_slicer: object):
    import slicer

    a_slicer._add_module("Plots", slicer.vtkSlicerPlotsLogic())
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    chart = plot.draw(slicer.mrmlScene, {"step": [50.0], "loss": [0.5]}, "loss", "My run")
    plot.show(chart)
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpPlotView
    assert a_slicer.applicationLogic().GetSelectionNode().GetActivePlotChartID() == chart.GetID()
