"""Small stand-ins for the Python modules that only the Slicer application has, enough to run a scripted module."""

from __future__ import annotations

import types
import unittest
from pathlib import Path
from typing import Any

import slicer

from widget import parameter_node_standin


def make_modules(qt: types.ModuleType) -> dict[str, types.ModuleType]:
    """The stand-ins by their module name."""
    i18n, base, packaging = (
        types.ModuleType(f"slicer.{name}") for name in ("i18n", "ScriptedLoadableModule", "packaging")
    )
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text: text
    for made in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base, made.__name__, made)
    packaging.load_requirements = lambda path: []
    packaging.pip_ensure = lambda requirements, requester=None: None
    return {one.__name__: one for one in (i18n, base, packaging, parameter_node_standin.make_module(qt))}


class ScriptedLoadableModule:
    """What the module manager makes first: title, category and help."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__


class ScriptedLoadableModuleWidget:
    """The panel's base: a parent widget with a layout, and the module's resources."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()

    def setup(self) -> None: ...

    def cleanup(self) -> None: ...

    def onReload(self) -> None: ...

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)


class ScriptedLoadableModuleLogic:
    """The logic's base: one parameter node for the module in each scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The self-test's base."""
