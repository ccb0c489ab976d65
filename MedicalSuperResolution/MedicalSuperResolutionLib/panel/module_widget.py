"""Base class of the panels of both modules: they follow the parameter node of the scene while they are open."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import slicer
from slicer.parameterNodeWrapper import GuiConnector
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin
from vtk import vtkCommand, vtkObject

from MedicalSuperResolutionLib import timers
from MedicalSuperResolutionLib.panel import behavior

CHANGES = (
    vtkCommand.ModifiedEvent,
    slicer.vtkMRMLTransformableNode.TransformModifiedEvent,  # the only one where its transform is changed
)

ParameterNode = Any  # what parameterNodeWrapper makes of a class has no type of its own


class Observed(Protocol):
    """A VTK object, or a wrapped parameter node."""

    def AddObserver(self, event: int, callback: Callable) -> int: ...

    def RemoveObserver(self, tag: int) -> None: ...


class Observer:
    """Calls back at some events of the followed object, or else when it changes or is moved; `follow` chooses it.

    `slicer.util.VTKObservationMixin` keeps what it once observed alive, for volumes a matter of gigabytes.
    """

    def __init__(self, callback: Callable, events: Sequence[int] = CHANGES) -> None:
        self._callback, self._events = callback, events
        self._thing: Observed | None = None
        self._tags: list[int] = []

    def follow(self, thing: Observed | None) -> Observed | None:
        """Follow this object from now on, or none. Returns what was followed before."""
        before = self._thing
        if thing is not before:
            if before is not None:
                for tag in self._tags:
                    before.RemoveObserver(tag)
            self._tags = [] if thing is None else [thing.AddObserver(event, self._callback) for event in self._events]
            self._thing = thing
        return before


class ModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """A panel over the parameter node of the scene: tied to it from entering to leaving, or until the scene is closed.

    Attributes
    ----------
    ourPackages
        What Reload reads anew besides the module; set by the class.
    ui
        The widgets, by their names in the module's .ui file.
    logic
        Set by the class in its `setup`.
    """

    ourPackages: tuple[str, ...] = ()

    def __init__(self, parent: slicer.qMRMLWidget | None = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode: ParameterNode | None = None
        self._guiTags: list[int] = []
        self._watchedParameters = Observer(self._updatePanel)
        self._isRemovalDue = self._isUpdateDue = False

    def setup(self) -> None:
        """Load the panel. The class connects it and ends with `followScene`."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        behavior.reach_selectors(self.ui)
        behavior.make_room_for_none(self.ui)
        behavior.name_inner_boxes(self.ui)
        behavior.show_texts_as_they_are(self.ui)
        self._filters = [behavior.FullHeight(uiWidget), behavior.TypedNumbers(self.ui), behavior.SingleClick(self.ui)]

    def followScene(self) -> None:
        """Show the choices in the scene, and those in the next ones."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneChanged)
        self.initializeParameterNode()

    def followContent(self) -> None:
        """Call `onSceneContentChanged` when nodes have come or gone."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeAddedEvent, self.onSceneContentChanged)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        self.addObserver(scene, scene.EndBatchProcessEvent, self.onSceneContentChanged)

    def cleanup(self) -> None:
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()
        behavior.scroll_to_top(self.parent)

    def exit(self) -> None:
        self.setParameterNode(None)

    def onReload(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in self.ourPackages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller: vtkObject, event: str) -> None:
        self.setParameterNode(None)

    def onSceneStartImport(self, caller: vtkObject, event: str) -> None:
        self.setParameterNode(None)  # it remembers that the nodes it names are not there yet

    def onSceneChanged(self, caller: vtkObject, event: str) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onNodeRemoved(self, caller: vtkObject, event: str) -> None:
        if not self._isRemovalDue:  # of a closed scene, once for all nodes
            self._isRemovalDue = True
            timers.soon(self._onNodesRemoved)  # a browser that is asked while its sequence is removed ends Slicer

    def _onNodesRemoved(self) -> None:
        self._isRemovalDue = False
        self.onSceneContentChanged()

    def onSceneContentChanged(self, caller: vtkObject | None = None, event: str | None = None) -> None:
        raise NotImplementedError

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: ParameterNode | None) -> None:
        """Tie the panel to these choices and to no others; None unties it."""
        for tag in self._guiTags:
            self._parameterNode.disconnectGui(tag)
        self._parameterNode, self._guiTags = parameterNode, []
        self._watchedParameters.follow(parameterNode)
        if parameterNode:
            self._guiTags = [
                parameterNode.connectGui(self.ui),
                parameterNode.connectParametersToGui(self._connectors()),
            ]
            self._updatePanel()

    def _connectors(self) -> dict[str, GuiConnector]:
        """Ties of the parameters, by name, whose widgets name none in the .ui file."""
        raise NotImplementedError

    def _updatePanel(self, caller: vtkObject | None = None, event: str | None = None) -> None:
        """Show what the choices come to; called when one changes."""
        raise NotImplementedError

    def _updatePanelNowAndSoon(self, caller: vtkObject | None = None, event: str | None = None) -> None:
        """Also after the pending events: Slicer's DICOM reader fills a transform after setting it, silently."""
        self._updatePanel()
        if not self._isUpdateDue:
            self._isUpdateDue = True
            timers.soon(self._updatePanelAgain)

    def _updatePanelAgain(self) -> None:
        self._isUpdateDue = False
        self._updatePanel()
