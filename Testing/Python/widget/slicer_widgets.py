"""The CTK and MRML widgets that the panel uses, with the part of their behavior that module code can notice."""

from __future__ import annotations

import weakref
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from widget.pythonqt_double import PythonQtManners, qt_class

IN_SLICER = (  # Slicer puts these into the package `slicer`; its own Python names them all
    "qMRMLWidget",
    "qMRMLNodeComboBox",
    "qMRMLSliderWidget",
    "qMRMLSpinBox",
    "qMRMLRangeWidget",
    "qMRMLComboBox",
    "qMRMLCheckableNodeComboBox",
    "qMRMLSubjectHierarchyComboBox",
)


def _property(kind: str | type, name: str, default: Any) -> QtCore.Property:
    """A Qt property that only keeps its value."""
    return QtCore.Property(
        kind,
        lambda self: self.__dict__.get(f"_{name}", default),
        lambda self, value: self.__dict__.__setitem__(f"_{name}", value),
    )


class ctkCollapsibleButton(PythonQtManners, QtWidgets.QGroupBox):
    """A section with a title; its content is hidden while it is collapsed."""

    text = QtCore.Property(str, lambda self: self.property("title"), lambda self, text: self.setProperty("title", text))
    collapsed = _property(bool, "collapsed", False)

    def showEvent(self, event: QtGui.QShowEvent) -> None:  # Qt's name
        """Hide the content of a collapsed section."""
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if self.collapsed:
                child.hide()


class ctkSliderWidget(PythonQtManners, QtWidgets.QWidget):
    """A slider for numbers that are not whole; a value outside its range becomes the nearest in it."""

    valueChanged = QtCore.Signal(float)
    decimals = _property(int, "decimals", 2)
    singleStep = _property(float, "singleStep", 1.0)
    pageStep = _property(float, "pageStep", 1.0)
    minimum = _property(float, "minimum", 0.0)
    maximum = _property(float, "maximum", 99.0)
    value = QtCore.Property(
        float, lambda self: self.__dict__.get("_value", 0.0), lambda self, value: self._set_value(value)
    )

    def _set_value(self, value: float) -> None:
        value = min(max(value, self.minimum), self.maximum)
        if value != self.value:
            self._value = value
            self.valueChanged.emit(value)


class ctkPathLineEdit(PythonQtManners, QtWidgets.QWidget):
    """A path to type in. As in CTK, it need not exist, and no signal is emitted for an empty one."""

    Dirs, Files, Writable = 0x01, 0x02, 0x20
    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    filters = _property(int, "filters", Dirs | Files)
    nameFilters = _property("QStringList", "nameFilters", [])
    currentPath = QtCore.Property(
        str, lambda self: self.__dict__.get("_path", ""), lambda self, path: self._set_path(path)
    )

    def _set_path(self, path: str) -> None:
        before, self._path = self.currentPath, path
        if path and path != before:
            self.currentPathChanged.emit(path)
        if bool(path) != bool(before):
            self.validInputChanged.emit(bool(path))


class qMRMLNodeComboBox(PythonQtManners, QtWidgets.QWidget):
    """A list of the scene's nodes of certain classes. Without "none", the first node is chosen by itself."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeAddedByUserAction = QtCore.Signal(object)
    nodeTypes = _property("QStringList", "nodeTypes", [])
    showChildNodeTypes = _property(bool, "showChildNodeTypes", True)
    addEnabled = _property(bool, "addEnabled", True)
    removeEnabled = _property(bool, "removeEnabled", True)
    renameEnabled = _property(bool, "renameEnabled", False)
    noneEnabled = _property(bool, "noneEnabled", False)
    noneDisplay = _property(str, "noneDisplay", "None")
    currentNodeID = QtCore.Property(
        str, lambda self: self.__dict__.get("_id", ""), lambda self, value: self.setCurrentNodeID(value)
    )

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._id, self._scene, self._tags = "", None, []
        self._box = qt_class("QComboBox")(self)
        self._box.setFocusProxy(self)
        self._box.activated.connect(lambda index: self.setCurrentNodeID(self._box.itemData(index)))
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:  # qMRML's names from here on
        """Follow a scene, or none."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            this = weakref.ref(self)
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
                self._tags.append(scene.AddObserver(event, lambda *_: this() and this()._refresh()))
        self._refresh()

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        """The chosen node."""
        return self._scene.GetNodeByID(self._id) if self._scene and self._id else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        """Choose a node, or none."""
        self.setCurrentNodeID(node.GetID() if node else "")

    def setCurrentNodeID(self, identifier: str) -> None:
        """Choose a node by its ID; one that is not listed means none."""
        identifier = identifier if identifier in [node.GetID() for node in self._nodes()] else ""
        if identifier != self._id:
            self._id = identifier
            self._box.setCurrentIndex(self._box.findData(identifier))
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(identifier)

    def _nodes(self) -> list[slicer.vtkMRMLNode]:
        found = [node for name in self.nodeTypes for node in slicer.util.getNodesByClass(name, self._scene)]
        found = [node for node in found if not node.GetHideFromEditors()]
        return [node for node in found if self.showChildNodeTypes or node.GetClassName() in self.nodeTypes]

    def _refresh(self) -> None:
        nodes = self._nodes() if self._scene else []
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, "")
        for node in nodes:
            self._box.addItem(node.GetName(), node.GetID())
        listed = [node.GetID() for node in nodes]
        if self._id in listed:
            self._box.setCurrentIndex(self._box.findData(self._id))
        else:
            self.setCurrentNodeID(listed[0] if listed and not self.noneEnabled else "")


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A list of nodes with a check mark each."""

    checkedNodesChanged = QtCore.Signal()

    def checkedNodes(self) -> tuple[slicer.vtkMRMLNode, ...]:
        """The nodes that are checked, in the order of the scene."""
        return tuple(node for node in self._nodes() if node.GetID() in self._checked()) if self._scene else ()

    def check(self, node: slicer.vtkMRMLNode) -> None:
        """Check a node."""
        self._checked().add(node.GetID())
        self.checkedNodesChanged.emit()

    def _checked(self) -> set[str]:
        return self.__dict__.setdefault("_checked_ids", set())


class qMRMLSliceWidget(PythonQtManners, QtWidgets.QWidget):
    """A slice view below its title bar, which has the widths and size policies of Slicer's."""

    def __init__(self, logic: slicer.vtkMRMLSliceLogic, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._logic = logic
        bar, outer = QtWidgets.QHBoxLayout(), QtWidgets.QVBoxLayout(self)
        for _ in range(3):  # pin, fit and maximize
            button = QtWidgets.QToolButton()
            button.setFixedWidth(22)
            bar.addWidget(button)
        self._label = qt_class("QLabel")(logic.GetSliceNode().GetLayoutLabel())
        self._label.setObjectName("ViewLabel")
        self._label.setMinimumWidth(self._label.fontMetrics().horizontalAdvance("XX"))
        self._slider = qt_class("QSlider")()
        self._slider.setOrientation(QtCore.Qt.Orientation.Horizontal)
        self._slider.setMinimumWidth(180)
        for widget in (self._label, self._slider):
            bar.addWidget(widget)
        outer.addLayout(bar)
        outer.addWidget(QtWidgets.QWidget(), 1)

    def sliceController(self) -> qMRMLSliceWidget:
        """The title bar; here, the widget itself."""
        return self

    def sliceOffsetSlider(self) -> QtWidgets.QSlider:
        """The slider in the title bar."""
        return self._slider

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        """What makes the picture."""
        return self._logic

    def mrmlSliceCompositeNode(self) -> slicer.vtkMRMLSliceCompositeNode:
        """Which volumes are shown."""
        return self._logic.GetSliceCompositeNode()


class LayoutManager:
    """The views of the present layout, made when they are asked for, as children of a widget."""

    def __init__(self, host: Any, parent: QtWidgets.QWidget | None = None) -> None:
        self._host, self._parent, self._made = host, parent, {}

    @property
    def layout(self) -> int:
        """The number of the layout."""
        return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()

    def sliceWidget(self, name: str) -> qMRMLSliceWidget:
        """The widget of a slice view."""
        if name not in self._made:
            logic = self._host.applicationLogic().GetSliceLogicByLayoutName(name)
            self._made[name] = qMRMLSliceWidget(logic)
            if self._parent is not None:
                self._parent.layout().addWidget(self._made[name])
        return self._made[name]

    def layoutLogic(self) -> Any:
        """Knows the node of the layout."""
        return self._host._layout


class qMRMLWidget(PythonQtManners, QtWidgets.QWidget):
    """A widget that hands its scene to the node lists inside it, as the connections in the .ui file say."""

    isEntered = _property(bool, "isEntered", False)  # of the panel that Slicer puts around a module's widgets

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Hand a scene to the node lists."""
        for child in self.findChildren(QtWidgets.QWidget):
            if isinstance(child, qMRMLNodeComboBox):
                child.setMRMLScene(scene)
