"""Volume nodes of a scene to volumes and back. The scene is changed only when everything has succeeded."""

from __future__ import annotations

import numpy as np
import slicer

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.report import Report
from medical_super_resolution.volumes.grid import Grid, in_digits
from medical_super_resolution.volumes.tilt import straight_grid
from medical_super_resolution.volumes.volume import Enhanced, Volume
from MedicalSuperResolutionLib.scene import acquisition_transform, dicom_source, kinds, provenance, region
from MedicalSuperResolutionLib.translation import tr as _

_SHOWN_ALIKE = ("ApplyThreshold", "InvertDisplayScalarRange", "Interpolate", "WindowMappingMethod")


def volume_from_node(
    node: slicer.vtkMRMLScalarVolumeNode,
    roi: slicer.vtkMRMLMarkupsROINode | None = None,
    shown_by: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> Volume:
    """The voxels of a node and their grid, before its parent transform but after its acquisition transform.

    Parameters
    ----------
    roi
        Only the voxels that this region touches.
    shown_by
        The node that shows it in the scene, where it is an item of a sequence.

    Returns
    -------
    Volume
        The array (K, J, I) is a read-only view. Slice thickness (mm) and modality are those of DICOM, or None.

    Raises
    ------
    VolumeError
        The node is no scalar volume, is a label map, is empty, or its slices cannot be straightened, see
        `tilt.straight_grid`; or the region lies outside of it.
    """
    kinds.check_readable(node)
    if node.GetImageData() is None or node.GetImageData().GetPointData().GetScalars() is None:
        message = _("the volume {name} has no voxels; load an image into it, or choose another volume")
        raise VolumeError(message.format(name=node.GetName()))
    array = slicer.util.arrayFromVolume(node).view()
    array.flags.writeable = False
    grid = Grid(array.shape, acquisition_transform.ijk_to_ras_of(node, shown_by))
    straight_grid(grid)  # refuses what cannot be straightened
    known = shown_by or node
    volume = Volume(array, grid, dicom_source.slice_thickness_mm(known), dicom_source.modality(known))
    return volume if roi is None else region.cropped(volume, region.box_over(known, roi))


def straight_grid_of(node: slicer.vtkMRMLScalarVolumeNode | None) -> Grid:
    """The grid that the engine refines: that of `volume_from_node`, straightened if its slices are tilted.

    Raises
    ------
    VolumeError
        See `volume_from_node`.
    """
    return straight_grid(volume_from_node(node).grid)


def write_to_node(
    enhanced: Enhanced,
    source_node: slicer.vtkMRMLScalarVolumeNode,
    output_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    name: str | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Write a result into the scene of its source, with the source's display, transform, units, place, and a note.

    The voxels are copied. An output node that is given keeps its name; without one a new node is made,
    called ``name`` or after its source.

    Raises
    ------
    VolumeError
        The source has left the scene meanwhile, or the output node cannot take the result.
    """
    scene = source_node.GetScene()
    if scene is None:
        raise VolumeError(
            _("the volume {name} was removed meanwhile; choose a volume and try again").format(
                name=source_node.GetName()
            )
        )
    if output_node is not None:
        kinds.check_output(output_node, source_node)
        _hand_over(draft(enhanced, source_node), output_node)
        copy_display(source_node, output_node)
        dicom_source.place_beside(source_node, output_node)
        note = provenance.sentences(enhanced.report, region.anatomical_axes(output_node))
        dicom_source.place_beside(output_node, provenance.write_note(note, output_node))
        provenance.name_sources(output_node, [source_node])
        return output_node
    node = add_draft(
        draft(enhanced, source_node),
        name or free_name(scene, result_name(source_node.GetName(), enhanced.report)),
        source_node,
        provenance.sentences(enhanced.report, region.anatomical_axes(source_node)),
    )
    provenance.name_sources(node, [source_node])
    return node


def add_draft(
    made: slicer.vtkMRMLScalarVolumeNode, name: str, source_node: slicer.vtkMRMLScalarVolumeNode, note: str
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a draft to the scene, with the display and place of its source and a note; on failure, remove it again."""
    made.SetName(name)
    source_node.GetScene().AddNode(made)
    try:
        copy_display(source_node, made)
        dicom_source.place_beside(source_node, made)
        dicom_source.place_beside(made, provenance.write_note(note, made))
    except BaseException:
        if provenance.note_of(made) is not None:
            remove(provenance.note_of(made))
        remove(made)
        raise
    return made


def result_name(source: str, report: Report) -> str:
    """The name of a result, with its goal: "Chest x4", "Chest in-plane x2" or "Chest 0.7 mm"."""
    factor, axes = report.settings.get("factor"), report.settings.get("axes")
    if factor is not None:
        return f"{source} {'in-plane ' if axes == 'in-plane' else ''}x{factor:g}"
    pairs = zip(report.spacing_after_ijk_mm, report.factor_ijk, strict=True)
    refined = [spacing for spacing, factor in pairs if factor != 1]
    return f"{source} {in_digits(min(refined or report.spacing_after_ijk_mm), 2)} mm"


def free_name(scene: slicer.vtkMRMLScene, wanted: str) -> str:
    """The wanted name, or a numbered one if a node has it."""
    return wanted if scene.GetFirstNodeByName(wanted) is None else scene.GenerateUniqueName(wanted)


def draft(enhanced: Enhanced, source_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """The result as a node outside any scene, so that a failure leaves the scene as it was."""
    return draft_of(enhanced.volume, source_node, provenance.attributes(enhanced.report, source_node))


def draft_of(
    volume: Volume, source_node: slicer.vtkMRMLScalarVolumeNode, attributes: dict[str, str]
) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume as a node outside of any scene, in the coordinates and units of its source."""
    made = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(made, _storable(volume.array))
    made.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.grid.ijk_to_ras))
    parent = acquisition_transform.parent_of(source_node)
    made.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    made.SetVoxelValueQuantity(source_node.GetVoxelValueQuantity())
    made.SetVoxelValueUnits(dicom_source.stated_units(source_node))
    for name, value in attributes.items():
        made.SetAttribute(name, value)
    return made


def _storable(array: np.ndarray) -> np.ndarray:
    """The array in a type that Slicer supports: neither half precision nor 64-bit integers."""
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        limits = np.iinfo(np.int32)
        fits = limits.min <= array.min() and array.max() <= limits.max
        return array.astype(np.int32 if fits else np.float64)
    return array


def _hand_over(draft: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Move the contents of a draft into a node of the scene, whose observers are called once."""
    with slicer.util.NodeModify(node):
        provenance.forget(node)
        for name in draft.GetAttributeNames():
            node.SetAttribute(name, draft.GetAttribute(name))
        node.SetVoxelValueQuantity(draft.GetVoxelValueQuantity())
        node.SetVoxelValueUnits(draft.GetVoxelValueUnits())
        node.CopyOrientation(draft)
        node.SetAndObserveTransformNodeID(draft.GetTransformNodeID())
        node.SetAndObserveImageData(draft.GetImageData())


def copy_display(source_node: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Copy the display of the source: an automatic window would differ and mislead a comparison."""
    node.CreateDefaultDisplayNodes()
    source, display = source_node.GetDisplayNode(), node.GetDisplayNode()
    if source is None:
        return
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(source.GetWindow(), source.GetLevel())
        display.SetAutoThreshold(False)
        display.SetThreshold(source.GetLowerThreshold(), source.GetUpperThreshold())
        for name in _SHOWN_ALIKE:
            if hasattr(source, f"Get{name}"):  # Slicer 5.12 knows one way from values to gray only
                getattr(display, f"Set{name}")(getattr(source, f"Get{name}")())
        display.SetAndObserveColorNodeID(source.GetColorNodeID())
        display.ResetWindowLevelPresets()
        for number in range(source.GetNumberOfWindowLevelPresets()):
            display.AddWindowLevelPreset(source.GetWindowPreset(number), source.GetLevelPreset(number))


def remove(node: slicer.vtkMRMLNode) -> None:
    """Take a node out of its scene with all that belongs to it, also a sequence of results that it shows."""
    scene = node.GetScene()
    browser = kinds.browser_of(node)
    sequence = None if browser is None else browser.GetSequenceNode(node)
    if sequence is not None and provenance.was_made_here(sequence):
        browser.RemoveSynchronizedSequenceNode(sequence.GetID())  # else it would show the volume again at once
        remove(sequence)
    if dicom_source.is_in_hierarchy(node):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        hierarchy.RemoveItem(hierarchy.GetItemByDataNode(node), False, False)
    kept_by_it = [getattr(node, name, lambda: None)() for name in ("GetStorageNode", "GetDisplayNode")]
    for belonging in (node, *kept_by_it):  # a slice view gives a volume that loses its display node a new one
        if belonging is not None and scene.IsNodePresent(belonging):
            scene.RemoveNode(belonging)
