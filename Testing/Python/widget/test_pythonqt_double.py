"""The doubles refuse what Slicer refuses, so that the tests of the panel are conclusive."""

from __future__ import annotations

import types
from typing import Annotated, Any

import pytest


@pytest.fixture
def a_button(a_slicer: Any) -> Any:
    import qt

    return qt.QPushButton()


def test_properties_are_attributes(a_button: Any):
    a_button.text = "Enhance"
    a_button.name = "enhanceButton"
    assert (a_button.text, a_button.name, a_button.property("text")) == ("Enhance", "enhanceButton", "Enhance")


def test_a_misspelled_property_is_refused(a_button: Any):
    with pytest.raises(AttributeError):
        a_button.tooltip = "Stop."


@pytest.mark.parametrize("signature", ["clicks(bool)", "clicked(int)", "clicked"])
def test_an_unknown_signal_is_refused(a_button: Any, signature: str):
    with pytest.raises(ValueError, match="no signal"):
        a_button.connect(signature, print)


def test_a_slot_gets_as_many_arguments_as_it_takes(a_button: Any):
    a_button.checkable = True
    heard = []
    a_button.connect("clicked(bool)", lambda: heard.append("nothing"))
    a_button.connect("clicked(bool)", lambda checked: heard.append(checked))
    a_button.click()
    assert heard == ["nothing", True]


def test_a_slot_that_is_disconnected_hears_nothing(a_button: Any):
    heard = []
    a_button.connect("clicked()", heard.clear)
    assert a_button.disconnect("clicked()", heard.clear)
    heard.append("still here")
    a_button.click()
    assert heard == ["still here"]


@pytest.mark.parametrize(("kind", "box"), [(float, "QSpinBox"), (str, "QComboBox"), (bool, "QPushButton")])
def test_a_type_that_a_widget_cannot_show_is_refused(a_slicer: Any, kind: type, box: str):
    import qt
    import slicer

    from widget.parameter_node_standin import make_module

    made = make_module(qt).parameterNodeWrapper(
        type("Choices", (), {"__annotations__": {"choice": kind}, "choice": kind()})
    )
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    widget = getattr(qt, box)()
    widget.setProperty("SlicerParameterName", "choice")
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        made(node).connectGui(types.SimpleNamespace(box=widget))


def test_a_value_outside_its_range_is_refused(a_slicer: Any):
    import qt
    import slicer

    from widget.parameter_node_standin import WithinRange, make_module

    annotations = {"factor": Annotated[float, WithinRange(1, 8)]}
    made = make_module(qt).parameterNodeWrapper(type("Choices", (), {"__annotations__": annotations, "factor": 2.0}))
    wrapped = made(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    with pytest.raises(ValueError, match="within range"):
        wrapped.factor = 9.0
    assert wrapped.factor == 2.0
