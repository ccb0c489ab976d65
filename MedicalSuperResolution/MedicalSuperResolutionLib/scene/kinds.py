"""What kind of volume a node of the scene is: one that can be read, one that can be filled, one of a sequence."""

from __future__ import annotations

import slicer

from medical_super_resolution.errors import VolumeError
from MedicalSuperResolutionLib.scene import dicom_source
from MedicalSuperResolutionLib.translation import tr as _


def check_kind(kind: type, *nodes: object) -> None:
    """Refuse what is no node of a class, such as a name in its place, which only a script can pass.

    Raises
    ------
    VolumeError
        See above.
    """
    for node in nodes:
        if not isinstance(node, kind):
            message = _("{value} is no {kind}; give a node, such as slicer.util.getNode returns for a name")
            raise VolumeError(message.format(value=repr(node), kind=kind.__name__))


def check_readable(node: slicer.vtkMRMLNode | None) -> None:
    """Refuse what cannot be enhanced.

    Raises
    ------
    VolumeError
        It is none, has left the scene, or is no scalar volume.
    """
    if node is None or not node.IsA("vtkMRMLVolumeNode") or node.GetScene() is None:
        raise VolumeError(_("there is no volume to work on; choose one"))
    name = node.GetName()
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise VolumeError(
            _("{name} is a label map, between whose labels there are no values; choose an image volume").format(
                name=name
            )
        )
    components = node.GetImageData().GetNumberOfScalarComponents() if node.GetImageData() else 1
    if node.GetClassName() != "vtkMRMLScalarVolumeNode" or components != 1:
        raise VolumeError(
            _(
                "the volume {name} holds colors or vectors ({count} values a voxel); choose a"
                " volume with one value a voxel, or make one with the Vector to Scalar Volume"
                " module"
            ).format(name=name, count=components)
        )


def check_output(output_node: slicer.vtkMRMLNode, source_node: slicer.vtkMRMLNode) -> None:
    """Refuse, before any work, an output node that cannot take a result.

    Raises
    ------
    VolumeError
        It is the source, has left the scene, is no scalar volume, was loaded from DICOM, or is of a sequence.
    """
    if output_node is source_node:
        raise VolumeError(
            _("{name} is chosen as input and as output; choose another output volume").format(
                name=source_node.GetName()
            )
        )
    if output_node.GetScene() is None:
        raise VolumeError(
            _("the output volume {name} was removed meanwhile; choose another one").format(name=output_node.GetName())
        )
    check_readable(output_node)
    if output_node.GetAttribute(dicom_source.INSTANCES):
        raise VolumeError(
            _(
                "{name} was loaded from DICOM, and a result in it would pass for a measured series of that patient;"
                " choose another output volume"
            ).format(name=output_node.GetName())
        )
    if browser_of(output_node) is not None:
        raise VolumeError(
            _("{name} shows a sequence, whose next item would replace the result; choose another output volume").format(
                name=output_node.GetName()
            )
        )


def browser_of(node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """The browser that plays a sequence through a volume; None where the volume is of no sequence."""
    if node is None or node.GetScene() is None or not hasattr(slicer, "vtkMRMLSequenceBrowserNode"):
        return None
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", node.GetScene())
    return next((browser for browser in browsers if browser.GetSequenceNode(node) is not None), None)
