"""A small Slicer around the slicer-core wheel: `slicer.mrmlScene`, `slicer.app` and `slicer.modules`, without Qt.

slicer-core brings the real MRML nodes and logics. What the application adds at start-up is made here: the scene, the
color tables, slice orientations, the layout, a slice logic for every slice view, and the means to read .mrb files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SLICE_VIEW_PIXELS = (200, 200)
COLOR_TABLES = ("Grey", "InvGrey", "Iron")  # Slicer has fifty; making them took half of the time of a start


class SlicerHost:
    """Stands in for `slicer.app`, as far as code below the widget may use it."""

    def __init__(self) -> None:
        self._scene = slicer.vtkMRMLScene()
        self._logic = slicer.vtkSlicerApplicationLogic()
        self.temporaryPath = tempfile.mkdtemp(prefix="slicer-host-")
        self._logic.SetMRMLScene(self._scene)
        self._logic.SetTemporaryPath(self.temporaryPath)
        self._logic.SetSliceLogics(vtk.vtkCollection())
        self._add_module("Colors", slicer.vtkMRMLColorLogic())  # display nodes ask it for their color table
        self._add_color_tables()
        self._scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # the module Colors does it
        self._add_module("Volumes", slicer.vtkSlicerVolumesLogic())
        self._add_module("Sequences", slicer.vtkSlicerSequencesLogic())  # makes the nodes of sequences known
        self._add_module("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic())
        self._add_module("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic())
        hierarchy_of(self._scene)  # makes the node
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self._scene, True)
        self._bundle_reader = self._make_bundle_reader()
        self._node_added = self._scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._give_slice_views_a_logic)
        self._link, self._layout = slicer.vtkMRMLSliceLinkLogic(), slicer.vtkMRMLLayoutLogic()
        for logic in (self._link, self._layout):
            logic.SetMRMLApplicationLogic(self._logic)
            logic.SetMRMLScene(self._scene)

    def mrmlScene(self) -> slicer.vtkMRMLScene:  # Slicer's name, as are those below
        """The scene."""
        return self._scene

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        """The logic that knows the module logics and the slice logics."""
        return self._logic

    def close(self) -> None:
        """Empty the scene and remove the temporary folder."""
        self._scene.RemoveObserver(self._node_added)
        self._scene.Clear(False)
        shutil.rmtree(self.temporaryPath, ignore_errors=True)

    def _add_module(self, name: str, logic: slicer.vtkMRMLAbstractLogic) -> slicer.vtkMRMLAbstractLogic:
        logic.SetMRMLApplicationLogic(self._logic)  # before the scene, or color logics complain
        logic.SetMRMLScene(self._scene)
        self._logic.SetModuleLogic(name, logic)
        setattr(slicer.modules, name.lower(), types.SimpleNamespace(name=name, logic=lambda: logic))
        return logic

    def _add_color_tables(self) -> None:
        """As the color logic makes its default nodes, whose IDs end in their names."""
        for kind in COLOR_TABLES:
            table = slicer.vtkMRMLColorTableNode()
            table.SetType(getattr(table, kind))
            table.SetName(table.GetTypeAsString())
            table.SetSingletonTag(table.GetTypeAsString())
            table.SaveWithSceneOff()
            self._scene.AddNode(table)

    def _make_bundle_reader(self) -> slicer.vtkMRMLRemoteIOLogic:
        """A scene reads .mrb files through a cache manager, which the application's logic provides."""
        logic = slicer.vtkMRMLRemoteIOLogic()
        logic.SetMRMLScene(self._scene)
        logic.GetCacheManager().SetRemoteCacheDirectory(self.temporaryPath)
        logic.AddDataIOToScene()
        return logic

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _give_slice_views_a_logic(self, _scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
        """Do what the layout manager does when the layout asks for a slice view that was not there before."""
        if not node.IsA("vtkMRMLSliceNode"):
            return
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self._logic)
        self._logic.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(self._scene)
        logic.SetSliceNode(node)
        logic.ResizeSliceNode(*SLICE_VIEW_PIXELS)


def boot() -> SlicerHost:
    """Start afresh: a new scene, application and set of modules in the `slicer` package."""
    slicer.modules = sys.modules.setdefault("slicer.modules", types.ModuleType("slicer.modules"))
    slicer.app = SlicerHost()
    slicer.mrmlScene = slicer.app.mrmlScene()
    return slicer.app


def save_bundle(scene: slicer.vtkMRMLScene, path: Path) -> None:
    """Save a scene as .mrb."""
    assert scene.WriteToMRB(str(path), None), f"could not save {path}"


def load_bundle(scene: slicer.vtkMRMLScene, path: Path) -> None:
    """Replace what is in a scene by an .mrb file."""
    assert scene.ReadFromMRB(str(path), True, None), f"could not load {path}"


def ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Where the voxels of a node lie: (4, 4)."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def node_ids(scene: slicer.vtkMRMLScene) -> set[str]:
    """All nodes of a scene, hidden ones too."""
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def hierarchy_of(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLSubjectHierarchyNode:
    """The tree of patients, studies and folders."""
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


class Screen:
    """What a user sees and does in some slice views, numbered from 0. No graphics driver is needed."""

    def __init__(self, host: SlicerHost, tags: list[str]) -> None:
        self.layout = host.mrmlScene().GetFirstNodeByClass("vtkMRMLLayoutNode")
        self._host = host
        self._tags = tags

    def logic(self, number: int) -> slicer.vtkMRMLSliceLogic:
        return self._host.applicationLogic().GetSliceLogicByLayoutName(self._tags[number])

    def pixels(self, number: int) -> np.ndarray:
        """Gray values 0 to 255, (height, width), top row first."""
        producer = self.logic(number).GetImageDataConnection().GetProducer()
        producer.Update()
        image = producer.GetOutputDataObject(0)
        width, height, _ = image.GetDimensions()
        colors = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
        return colors[::-1, :, 0].astype(float)

    def color(self, number: int) -> list[float]:
        """Red, green and blue, 0 to 255, in the middle of a view."""
        producer = self.logic(number).GetImageDataConnection().GetProducer()
        producer.Update()
        return [producer.GetOutputDataObject(0).GetScalarComponentAsDouble(100, 100, 0, one) for one in range(3)]

    def scroll(self, number: int, offset_mm: float) -> None:
        logic = self.logic(number)
        logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.SliceToRASFlag)
        logic.SetSliceOffset(logic.GetSliceOffset() + offset_mm)
        logic.EndSliceNodeInteraction()

    def zoom(self, number: int, times: float) -> None:
        logic = self.logic(number)
        logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.FieldOfViewFlag)
        width_mm, height_mm, depth_mm = logic.GetSliceNode().GetFieldOfView()
        logic.GetSliceNode().SetFieldOfView(width_mm / times, height_mm / times, depth_mm)
        logic.EndSliceNodeInteraction()


def add_sequence(arrays: list[np.ndarray], ijk_to_ras: np.ndarray, name: str = "Phases") -> slicer.vtkMRMLNode:
    """Put a sequence of volumes into the scene, half a second apart, with its browser; gives the volume that shows it.

    arrays : (K, J, I) of each item.
    """
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for number, array in enumerate(arrays):
        item = slicer.vtkMRMLScalarVolumeNode()
        slicer.util.updateVolumeFromArray(item, array)
        item.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
        item.SetName(name)
        sequence.SetDataNodeAtValue(item, str(number / 2))
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser.GetProxyNode(sequence)
