"""The entry "Enhance through-plane" in the context menu of the module Data, for a volume or a folder of volumes.

Slicer loads this file by its path, and requires the class to have the name of the file.
"""

import qt
import slicer
import vtk

from MedicalSuperResolutionLib.scene import provenance
from MedicalSuperResolutionLib.translation import tr as _

_MODULE = "MedicalSuperResolution"


def register() -> None:
    """Register the entry, after Slicer has started; without a subject hierarchy, nothing happens."""
    if hasattr(slicer, "qSlicerSubjectHierarchyScriptedPlugin"):
        slicer.qSlicerSubjectHierarchyScriptedPlugin(None).setPythonSource(__file__)


class MedicalSuperResolutionSubjectHierarchyPlugin:
    """Context-menu plugin. It owns no item of the tree, so most methods of a plugin are left out."""

    def __init__(self, scriptedPlugin: "slicer.qSlicerSubjectHierarchyScriptedPlugin") -> None:
        scriptedPlugin.name = _MODULE
        self.scriptedPlugin = scriptedPlugin
        self.action = qt.QAction(_("Enhance through-plane"), scriptedPlugin)
        self.action.connect("triggered()", self.enhance)
        slicer.qSlicerSubjectHierarchyPluginHandler.instance().registerPlugin(scriptedPlugin)

    def canOwnSubjectHierarchyItem(self, itemID: int) -> float:
        return 0.0

    def roleForPlugin(self) -> str:
        return "N/A"

    def itemContextMenuActions(self) -> list:
        return [self.action]

    def showContextMenuActionsForItem(self, itemID: int) -> None:
        self.action.visible = bool(itemID) and bool(_volumes([itemID]))

    def enhance(self) -> None:
        """Enhance the volume that is selected in the tree, or all in the selected folder."""
        selected = vtk.vtkIdList()
        slicer.qSlicerSubjectHierarchyPluginHandler.instance().currentItems(selected)
        volumes = _volumes([selected.GetId(index) for index in range(selected.GetNumberOfIds())])
        slicer.util.selectModule(_MODULE)
        slicer.util.getModuleWidget(_MODULE).enhanceThroughPlane(volumes)


def _volumes(items: list[int]) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The image volumes of these items of the tree, and those below them but for results and their maps; each once."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    found = []
    for item in items:
        nodes = vtk.vtkCollection()
        hierarchy.GetDataNodesInBranch(item, nodes, "vtkMRMLScalarVolumeNode")
        below = (nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems()))
        found += [hierarchy.GetItemDataNode(item), *(node for node in below if not provenance.was_made_here(node))]
    images = [node for node in found if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode"]
    return list(dict.fromkeys(images))
