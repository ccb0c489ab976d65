"""A stand-in for Slicer's parameterNodeWrapper: typed parameters in a node, tied to widgets in both directions.

Written from its documented behavior, and as strict as it is where a mistake would show in Slicer: a type that a widget
cannot show, a value outside its range, or a widget that names no parameter is refused.
"""

from __future__ import annotations

import abc
import enum
import types
import typing
from collections.abc import Callable
from typing import Any

import slicer
import vtk


def make_module(qt: types.ModuleType) -> types.ModuleType:
    """The stand-in as a module."""
    module = types.ModuleType("slicer.parameterNodeWrapper")
    module.parameterNodeWrapper = lambda wrapped: _wrap(wrapped, qt)
    module.WithinRange, module.GuiConnector = WithinRange, GuiConnector
    return module


class WithinRange:
    """An annotation: the least and the largest value."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class _Tie:
    """Calls back when a widget changes."""

    def __init__(self) -> None:
        self._callback: Callable[[], None] | None = None

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback
        if callback is None:
            self._disconnect()
        else:
            self._connect()

    def changed(self) -> None:
        if self._callback:
            self._callback()


def _undefined(*_: Any) -> None:
    raise NotImplementedError


class GuiConnector(_Tie, abc.ABC):
    """What a module derives from to tie a widget of its own; only a class that defines all of these can be used."""

    canRepresent = create = widget = read = write = _connect = _disconnect = abc.abstractmethod(_undefined)


class _PropertyTie(_Tie):
    """Ties a widget through one of its properties and the signal of its changes."""

    def __init__(self, widget: Any, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        super().__init__()
        self._signal, self._widget, self.read, self.write = signal, widget, read, write

    def _connect(self) -> None:
        getattr(self._widget, self._signal).connect(self.changed)

    def _disconnect(self) -> None:
        getattr(self._widget, self._signal).disconnect(self.changed)


def _connector(widget: Any, kind: Any, limits: WithinRange | None, qt: types.ModuleType) -> _Tie:
    """The connector for a widget and a type; as in Slicer, only certain pairs have one."""

    def by_property(signal: str, name: str) -> _Tie:
        return _PropertyTie(widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))

    if kind is bool and type(widget) is qt.QCheckBox:
        return by_property("stateChanged", "checked")
    if (kind is int and type(widget) in (qt.QSpinBox, qt.QSlider)) or (
        kind is float and type(widget) is qt.QDoubleSpinBox
    ):
        widget.setRange(limits.minimum, limits.maximum)
        return by_property("valueChanged", "value")
    if kind is float and type(widget).__name__ == "ctkSliderWidget" and limits is not None:
        widget.minimum, widget.maximum = limits.minimum, limits.maximum
        return by_property("valueChanged", "value")
    if isinstance(kind, type) and issubclass(kind, enum.Enum) and type(widget) is qt.QComboBox:
        members = list(kind)
        widget.clear()
        for member in members:
            widget.addItem(kind.label(member))
        return _PropertyTie(
            widget,
            "currentIndexChanged",
            lambda: members[widget.currentIndex],
            lambda value: setattr(widget, "currentIndex", members.index(value)),
        )
    if _is_node(kind) and type(widget) is slicer.qMRMLNodeComboBox:
        widget.nodeTypes = [kind.__name__]
        return _PropertyTie(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{kind}' to widget type '{type(widget)}'.")


def _is_node(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


class _Parameter:
    """One typed parameter, kept as text or as a node reference in the parameter node."""

    def __init__(self, name: str, annotated: Any, default: Any) -> None:
        self.name, self.default = name, default
        arguments = typing.get_args(annotated)
        self.kind = arguments[0] if arguments else annotated
        self.limits = next((one for one in arguments[1:] if isinstance(one, WithinRange)), None)

    def __get__(self, wrapper: Any, owner: type | None = None) -> Any:
        if wrapper is None:
            return self
        node = wrapper.parameterNode
        if _is_node(self.kind):
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)

    def __set__(self, wrapper: Any, value: Any) -> None:
        node = wrapper.parameterNode
        if _is_node(self.kind):
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value else None)
            return
        if not isinstance(value, (int, float) if self.kind is float else self.kind):
            raise TypeError(f"Value must be of type '{self.kind}', is type '{type(value)}' value '{value}'")
        if self.limits is not None:
            self.limits.validate(value)
        node.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))


def _wrap(wrapped: type, qt: types.ModuleType) -> type:
    """Give a class typed parameters that live in a node, and ties to widgets in both directions."""
    hints = typing.get_type_hints(wrapped, include_extras=True)
    parameters = {name: _Parameter(name, hint, vars(wrapped).get(name)) for name, hint in hints.items()}
    for name, parameter in parameters.items():
        setattr(wrapped, name, parameter)

    def initialize(self: Any, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode, self._guis, self._writing = node, {}, False
        for name, parameter in parameters.items():
            if not node.HasParameter(name):
                setattr(self, name, parameter.default)

    def write_all(self: Any) -> None:
        if self._writing:
            return
        self._writing = True
        try:
            for connectors, _ in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(getattr(self, name))
        finally:
            self._writing = False

    def connect_parameters(self: Any, mapping: dict[str, Any]) -> int:
        connectors = {}
        for name, target in mapping.items():
            known = parameters[name]
            own = isinstance(target, _Tie)
            connectors[name] = connector = target if own else _connector(target, known.kind, known.limits, qt)
            connector.write(getattr(self, name))
            connector.onChanged(lambda name=name, one=connector: self._writing or setattr(self, name, one.read()))
        tag = node_tag = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: write_all(self))
        self._guis[tag] = (connectors, node_tag)
        return tag

    def disconnect(self: Any, tag: int) -> None:
        connectors, node_tag = self._guis.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.onChanged(None)
        if node_tag is not None:
            self.parameterNode.RemoveObserver(node_tag)

    def connect(self: Any, gui: Any) -> int:
        bound = {widget.property("SlicerParameterName"): widget for widget in vars(gui).values()}
        return connect_parameters(self, {name: widget for name, widget in bound.items() if name})

    wrapped.__init__, wrapped.connectParametersToGui = initialize, connect_parameters
    wrapped.connectGui, wrapped.disconnectGui = connect, disconnect
    for name in ("AddObserver", "RemoveObserver", "StartModify", "EndModify"):
        setattr(wrapped, name, lambda self, *arguments, _name=name: getattr(self.parameterNode, _name)(*arguments))
    return wrapped
