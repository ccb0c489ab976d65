"""`qt`, `ctk` and the qMRML widgets as Slicer's Python sees them, over real Qt widgets (PySide6).

Slicer wraps Qt by PythonQt, which exists only inside the application. Its manners are imitated here: properties are
plain attributes, ``widget.name``, ``widget.connect("clicked(bool)", function)``, an unknown signal or attribute raises,
and arguments that a function does not take are dropped. The few CTK and MRML widgets that the panel uses are made
anew, with the part of their behavior that module code can notice.
"""

from __future__ import annotations

import atexit
import inspect
import tempfile
import types
from collections.abc import Callable, Iterable
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_WRAPPED: dict[str, type] = {}  # class name -> Qt class with PythonQt's manners
_PROPERTIES: dict[tuple[type, str], bool] = {}  # whether a class has a property, as its meta object says
_SIGNALS: dict[tuple[type, str], bool] = {}
_BEING_READ: set[tuple[int, str]] = set()  # objects with the property that is being read of them
_KEPT: list[QtCore.QObject] = []  # the loader does not own what it makes; a widget without a reference crashes it


class PythonQtManners:
    """Mix-in that makes a Qt object behave as its PythonQt wrapper."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect", "className"):  # QObject's own would be found first
            return types.MethodType(PythonQtManners.__dict__[name], self)
        if not name.startswith("_"):
            name = _qt_name(name)
            being_read = (
                id(self),
                name,
            )  # reading QProgressBar.text calls the virtual text(), which PySide looks up here
            if being_read not in _BEING_READ and _has_property(self, name):
                _BEING_READ.add(being_read)
                try:
                    return object.__getattribute__(self, "property")(name)
                finally:
                    _BEING_READ.remove(being_read)
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or isinstance(value, QtCore.QObject):  # PySide's loader names the children like this
            super().__setattr__(name, value)
        elif _has_property(self, _qt_name(name)):
            self.setProperty(_qt_name(name), value)
        else:
            raise AttributeError(f"{self.className()} has no property {name}")

    def connect(self, signature: str, slot: Callable) -> bool:
        """Connect a signal given by its signature. PythonQt also raises where there is no such signal."""
        if not _has_signal(self, signature):
            raise ValueError(f"{self.className()} has no signal {signature}")
        name, _, arguments = signature.partition("(")
        given = 0 if arguments == ")" else arguments.count(",") + 1
        # PySide looks at how many arguments a function takes, so each number needs one of its own.
        by_count = (lambda: slot(), lambda one: slot(one), lambda one, two: slot(one, two))
        call = by_count[min(given, _positional(slot))]
        self.__dict__.setdefault("_connections", {})[name, slot] = call
        object.__getattribute__(self, name).connect(call)
        return True

    def disconnect(self, signature: str, slot: Callable) -> bool:
        """Undo `connect`; False where there was no such connection."""
        name = signature.partition("(")[0]
        call = self.__dict__.get("_connections", {}).pop((name, slot), None)
        if call is not None:
            object.__getattribute__(self, name).disconnect(call)
        return call is not None

    def className(self) -> str:  # PythonQt's name
        """The name of the Qt class."""
        return type(self).__name__


def _qt_name(name: str) -> str:
    return "objectName" if name == "name" else name


def _has_property(instance: PythonQtManners, name: str) -> bool:
    key = type(instance), name
    if key not in _PROPERTIES:
        _PROPERTIES[key] = object.__getattribute__(instance, "metaObject")().indexOfProperty(name) >= 0
    return _PROPERTIES[key]


def _has_signal(instance: PythonQtManners, signature: str) -> bool:
    key = type(instance), signature
    if key not in _SIGNALS:
        _SIGNALS[key] = _finds_signal(object.__getattribute__(instance, "metaObject")(), signature)
    return _SIGNALS[key]


def _finds_signal(meta: QtCore.QMetaObject, signature: str) -> bool:
    """Whether the signature fits exactly, or by name alone where an argument is a VTK object."""
    wanted = signature.replace(" ", "")
    for index in range(meta.methodCount()):
        have = bytes(meta.method(index).methodSignature()).decode()
        if have == wanted or ("PyObject" in have and have.partition("(")[0] == wanted.partition("(")[0]):
            return True
    return False


def _positional(function: Callable) -> int:
    """How many positional arguments a function takes; PythonQt counts those with a default, too."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 99
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)


def _wrapped(base: type) -> type:
    if base.__name__ not in _WRAPPED:
        _WRAPPED[base.__name__] = type(base.__name__, (PythonQtManners, base), {})
    return _WRAPPED[base.__name__]


class QUiLoader(QtUiTools.QUiLoader):
    """Builds widgets with PythonQt's manners from a .ui file."""

    def createWidget(self, name: str, parent: QtWidgets.QWidget | None = None, object_name: str = "") -> Any:
        """Called by `load` for each widget."""
        made = _WRAPPED.get(name) or qt_class(name)
        widget = made(parent)
        widget.setObjectName(object_name)
        _KEPT.append(widget)
        return widget


class _File(QtCore.QFile):
    ReadOnly = QtCore.QIODevice.OpenModeFlag.ReadOnly


def qt_class(name: str) -> Any:
    """What `qt` has under a name: a class with PythonQt's manners, or anything else as it is."""
    for module in (QtWidgets, QtGui, QtCore):
        found = getattr(module, name, None)
        if isinstance(found, type) and issubclass(found, QtCore.QObject):
            return _wrapped(found)
        if found is not None:
            return found
    raise AttributeError(f"module 'qt' has no attribute {name!r}")


def widget_class(name: str) -> type:
    """A CTK or MRML widget class: one that was handed over, or an empty one for names that only have to exist."""
    if not name.startswith(("ctk", "qMRML")):
        raise AttributeError(name)
    return _WRAPPED.setdefault(name, type(name, (PythonQtManners, QtWidgets.QWidget), {}))


def make_modules(widgets: Iterable[type]) -> dict[str, types.ModuleType]:
    """The modules `qt` and `ctk`, with these widget classes besides Qt's own."""
    QtWidgets.QApplication.instance() or _KEPT.append(QtWidgets.QApplication([]))
    _forget_settings()
    _WRAPPED.update((widget.__name__, widget) for widget in widgets)
    qt, ctk = types.ModuleType("qt"), types.ModuleType("ctk")
    qt.__getattr__, qt.QUiLoader, qt.QFile = qt_class, QUiLoader, _File
    qt_class("QTimer").singleShot = staticmethod(_single_shot)
    ctk.__getattr__ = widget_class
    return {"qt": qt, "ctk": ctk}


def _single_shot(milliseconds: int, callback: Callable[[], Any]) -> None:
    """As Slicer replaces it: the timer, and with it what it calls, is kept as long as the application."""
    timer = qt_class("QTimer")()
    timer.setSingleShot(True)
    timer.connect("timeout()", callback)
    timer.start(milliseconds)
    _KEPT.append(timer)


def _forget_settings() -> None:
    """Keep the application's settings in a folder that is gone at the end: none of the user's are read or written."""
    folder = tempfile.TemporaryDirectory(prefix="settings-")
    atexit.register(folder.cleanup)
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, folder.name)
    QtCore.QCoreApplication.setOrganizationName("Double")
    QtCore.QCoreApplication.setApplicationName("Slicer")
