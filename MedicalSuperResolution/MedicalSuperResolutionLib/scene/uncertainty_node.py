"""The uncertainty of a result as a volume node beside it, referenced by it, in colors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer

from medical_super_resolution.volumes.volume import Enhanced
from MedicalSuperResolutionLib.scene import dicom_source, provenance
from MedicalSuperResolutionLib.scene import nodes as scene

_COLORS = ("vtkMRMLColorTableNodeFileInferno.txt", "vtkMRMLColorTableNodeIron")  # the first that this Slicer has
_ROLE = "MedicalSuperResolution.UncertaintyMap"  # the node reference from a result to its map
_ATTRIBUTE = provenance.ATTRIBUTE_PREFIX + "Uncertainty"
_WIDEST = 99.5  # percentile of the values that gets the brightest color
_SAMPLES = 1_000_000  # enough for a percentile


def map_of(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The uncertainty node of a result, or None."""
    return node.GetNodeReference(_ROLE)


def write(
    enhanced: Enhanced,
    source_node: slicer.vtkMRMLScalarVolumeNode,
    output_node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """`scene.write_to_node`, and beside the result its uncertainty, if there is one, as a second volume.

    The map of an earlier run in the same output node is removed.
    """
    made = None
    if enhanced.uncertainty is not None:  # may fail without harm
        made = scene.draft(replace(enhanced, volume=enhanced.uncertainty), source_node)
        provenance.keep_from_export(made)
    node = scene.write_to_node(enhanced, source_node, output_node)
    if map_of(node) is not None:
        scene.remove(map_of(node))
    if made is not None:
        attach(made, enhanced.report.uncertainty, node)
    return node


def attach(made: slicer.vtkMRMLScalarVolumeNode, described: str, node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Add the draft of a map to the scene of its result. ``described`` : how it was computed."""
    made.SetAttribute(_ATTRIBUTE, described)
    made.SetName(f"{node.GetName()} uncertainty")
    node.GetScene().AddNode(made)
    _color(made)
    dicom_source.place_beside(node, made)
    node.SetNodeReferenceID(_ROLE, made.GetID())


def limit(values: np.ndarray) -> float:
    """Upper end of a color scale, two digits: nearly all absolute values are below it."""
    size = np.abs(values.reshape(-1)[:: max(1, values.size // _SAMPLES)])
    size = size[np.isfinite(size)]
    widest = float(np.percentile(size, _WIDEST)) if size.size else 0.0
    return float(f"{widest or float(size.max(initial=0)) or 1.0:.2g}")


def _color(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.CreateDefaultDisplayNodes()
    display, brightest = node.GetDisplayNode(), limit(slicer.util.arrayFromVolume(node))
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(brightest, brightest / 2)
        display.SetAndObserveColorNodeID(next(filter(node.GetScene().GetNodeByID, _COLORS), None))
