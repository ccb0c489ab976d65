"""The loss curve in the scene: a table, a series of it, and a chart."""

from __future__ import annotations

import math

import numpy as np
import slicer
from slicer import vtkMRMLPlotChartNode, vtkMRMLPlotSeriesNode, vtkMRMLScene

from MedicalSuperResolutionTrainingLib.curve import STEP, Curve

_MARK = "MedicalSuperResolutionTraining.Curve"
_BLUE = (0.12, 0.42, 0.70)
_MARGIN = 0.05  # of the range of the values, on either side


def draw(scene: vtkMRMLScene, curve: Curve, quantity: str, title: str) -> vtkMRMLPlotChartNode:
    """Put all columns of a curve into the table, and one of them into the chart, over the steps.

    Nodes of an earlier drawing in this scene are taken again; what the user has deleted is made anew.
    """
    chart = _chart(scene)
    series = chart.GetPlotSeriesNode()
    table = series.GetTableNode()
    if len(curve[STEP]) == 1:  # VTK reports a line of one point as an error, but not one with a gap
        curve = {name: [*values, values[0] if name == STEP else math.nan] for name, values in curve.items()}
    with slicer.util.NodeModify(chart):  # the plot is drawn once
        with slicer.util.NodeModify(table):
            slicer.util.updateTableFromArray(table, [np.array(curve[name]) for name in curve], list(curve))
        with slicer.util.NodeModify(series):
            series.SetName(quantity)
            series.SetYColumnName(quantity)
            _mark_points(series, curve[quantity])
        chart.SetTitle(title)
        chart.SetYAxisTitle(quantity)
        _fit(chart, curve[STEP], curve[quantity])
    return chart


def show(chart: vtkMRMLPlotChartNode) -> None:
    """Show a chart in a plot view, in the layout that is most like the present one."""
    if hasattr(slicer.modules, "plots"):  # Slicer can be built without it, and a training is not to end for that
        slicer.modules.plots.logic().ShowChartInLayout(chart)


def _chart(scene: vtkMRMLScene) -> vtkMRMLPlotChartNode:
    """The chart with its series and table, those that are there or new ones."""
    chart = _marked(scene, "vtkMRMLPlotChartNode")
    if chart is None:
        chart = _added(scene, "vtkMRMLPlotChartNode", "Training curve chart")
        chart.SetXAxisTitle(STEP)
        chart.SetLegendVisibility(False)
    series = chart.GetPlotSeriesNode() or _marked(scene, "vtkMRMLPlotSeriesNode")
    if series is None:
        series = _added(scene, "vtkMRMLPlotSeriesNode", "Training curve series")
        series.SetPlotType(vtkMRMLPlotSeriesNode.PlotTypeScatter)  # the one whose steps need not be equally far apart
        series.SetXColumnName(STEP)
        series.SetColor(*_BLUE)
        series.SetLineStyle(vtkMRMLPlotSeriesNode.LineStyleSolid)
    if chart.GetPlotSeriesNode() is not series:
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    if series.GetTableNode() is None:
        table = _marked(scene, "vtkMRMLTableNode") or _added(scene, "vtkMRMLTableNode", "Training curve")
        table.SetUseColumnTitleAsColumnHeader(True)
        series.SetAndObserveTableNodeID(table.GetID())
    return chart


def _marked(scene: vtkMRMLScene, kind: str) -> slicer.vtkMRMLNode | None:
    """The node of this class that was made here; a deleted chart leaves its series and its table."""
    return next((one for one in slicer.util.getNodesByClass(kind, scene) if one.GetAttribute(_MARK)), None)


def _added(scene: vtkMRMLScene, kind: str, name: str) -> slicer.vtkMRMLNode:
    """A new node, by which `_marked` finds it again."""
    node = scene.AddNewNodeByClass(kind, name)
    node.SetAttribute(_MARK, "yes")
    return node


def _mark_points(series: vtkMRMLPlotSeriesNode, values: list[float]) -> None:
    """Show points where most steps have no value: the line ends at every gap, and alone they would not be seen."""
    count = sum(map(math.isfinite, values))
    is_sparse = count < len(values) / 2 or count == 1
    series.SetMarkerStyle(series.MarkerStyleCircle if is_sparse else series.MarkerStyleNone)


def _fit(chart: vtkMRMLPlotChartNode, steps: list[float], values: list[float]) -> None:
    """Let the axes show all points: Slicer fits a chart to its points only once, and a curve grows."""
    for points, fit_itself, set_range in (
        (steps, chart.SetXAxisRangeAuto, chart.SetXAxisRange),
        (values, chart.SetYAxisRangeAuto, chart.SetYAxisRange),
    ):
        finite = [point for point in points if math.isfinite(point)]
        fit_itself(not finite)
        if finite:
            low, high = min(finite), max(finite)
            margin = _MARGIN * ((high - low) or abs(high) or 1.0)
            set_range(low - margin, high + margin)
