"""A region in the panel: offered, laid over the volume, and all that is enhanced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from widget.helpers import enhance


@pytest.fixture
def a_region(a_panel: Any, a_thick_volume: Any, slicer_python: Any) -> Any:
    """A region as a click on "Create new" makes it."""
    roi = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
    a_panel.ui.regionSelector.setCurrentNode(roi)
    a_panel.ui.regionSelector.nodeAddedByUserAction.emit(roi)
    return roi


def test_a_new_region_starts_in_the_middle_of_the_volume(a_panel: Any, a_region: Any):
    assert a_region.GetSize() == (10, 9, 12)
    assert "10x10x4 at 1.00x1.00x3.00 mm becomes 10x10x12" in a_panel.ui.descriptionLabel.text


def test_the_panel_follows_the_handles_of_the_region(a_panel: Any, a_region: Any):
    a_region.SetSize(4, 4, 6)
    assert "4x4x2" in a_panel.ui.descriptionLabel.text
    a_region.SetCenter(500, 0, 0)
    assert not a_panel.ui.enhanceButton.enabled
    assert "Lesion lies outside of the volume Thick" in a_panel.ui.enhanceButton.toolTip


def test_a_region_in_one_slice_is_not_taken_for_the_volume(a_panel: Any, a_region: Any):
    a_region.SetCenter(10, 9, 9)
    a_region.SetSize(4, 4, 3)
    assert a_panel.ui.descriptionLabel.text == "There is a single slice along k, and nothing to refine between."


def test_the_panel_follows_the_transform_of_the_volume(
    a_panel: Any, a_region: Any, a_thick_volume: Any, slicer_python: Any
):
    transform = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    a_thick_volume.SetAndObserveTransformNodeID(transform.GetID())
    far = np.eye(4)
    far[0, 3] = 500
    for matrix, is_outside in ((far, True), (np.eye(4), False)):
        transform.SetMatrixTransformToParent(slicer_python.util.vtkMatrixFromArray(matrix))
        assert ("lies outside of the volume" in a_panel.ui.descriptionLabel.text) == is_outside
        assert a_panel.ui.enhanceButton.enabled != is_outside


def test_only_the_region_is_enhanced(a_panel: Any, a_region: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    assert a_panel._parameterNode.resultVolume.GetImageData().GetDimensions() == (10, 10, 12)


def test_a_script_can_enhance_a_region(the_module: Any, a_region: Any, a_thick_volume: Any):
    result = the_module.MedicalSuperResolutionLogic().enhance(a_thick_volume, factor=2, roi=a_region)
    assert result.GetImageData().GetDimensions() == (10, 10, 8)
