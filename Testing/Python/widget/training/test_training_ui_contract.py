"""The .ui file of the training panel and the code that uses it agree, as for the other panel."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from widget import test_ui_contract as other

MODULE = Path(__file__).parents[4] / "MedicalSuperResolutionTraining"


@pytest.fixture(scope="module")
def a_form() -> ElementTree.Element:
    return ElementTree.parse(MODULE / "Resources" / "UI" / "MedicalSuperResolutionTraining.ui").getroot()


def bound(form: ElementTree.Element) -> set[str]:
    names = [other.text_of(widget, "SlicerParameterName") for widget in other.widgets(form).values()]
    assert len([name for name in names if name]) == len({name for name in names if name})
    return {name for name in names if name}


def parameters() -> set[str]:
    tree = ast.parse((MODULE / "MedicalSuperResolutionTrainingLib" / "parameter_node.py").read_text())
    (made,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("ParameterNode")]
    return {node.target.id for node in made.body if isinstance(node, ast.AnnAssign)}


def tied() -> set[str]:
    """The parameters that the widget ties itself, because parameterNodeWrapper has no connector for them."""
    tree = ast.parse((MODULE / "MedicalSuperResolutionTraining.py").read_text())
    dictionaries = [node for node in ast.walk(tree) if isinstance(node, ast.Dict) and node.keys]
    return {key.value for node in dictionaries for key in node.keys if isinstance(key, ast.Constant)}


def test_every_parameter_has_its_widget(a_form: ElementTree.Element):
    assert bound(a_form) & tied() == set()
    assert bound(a_form) | (tied() & parameters()) == parameters()


def test_every_widget_that_the_code_uses_exists(a_form: ElementTree.Element):
    files = [MODULE / "MedicalSuperResolutionTraining.py", *(MODULE / "MedicalSuperResolutionTrainingLib").glob("*.py")]
    nodes = [
        node for path in files for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    ]
    used = {node.attr for node in nodes if ast.unparse(node.value) in ("self.ui", "ui")}
    assert len(used) > 10
    assert used - set(other.widgets(a_form)) == set()


def test_every_input_explains_itself(a_form: ElementTree.Element):
    assert [name for name, widget in other.inputs(a_form).items() if not other.text_of(widget, "toolTip")] == []


def test_screen_readers_read_every_text_and_the_name_of_every_other_input(a_form: ElementTree.Element):
    other.check_what_screen_readers_read(a_form)


def test_every_label_before_an_input_belongs_to_it(a_form: ElementTree.Element):
    buddies = {other.text_of(widget, "buddy") for widget in other.widgets(a_form).values()} - {""}
    assert len(buddies) > 8
    assert buddies <= set(other.inputs(a_form))


def test_the_tab_key_reaches_every_input_in_the_order_of_the_panel(a_form: ElementTree.Element):
    order = [stop.text for stop in a_form.iter("tabstop")]
    assert set(order) <= set(other.widgets(a_form))
    assert [name for name in order if name in other.inputs(a_form)] == list(other.inputs(a_form))


def test_every_class_from_outside_qt_is_declared(a_form: ElementTree.Element):
    declared = {custom.findtext("class") for custom in a_form.iter("customwidget")}
    assert {widget.get("class") for widget in other.widgets(a_form).values()} - other.PLAIN_QT == declared


def test_the_notice_is_the_last_thing_in_the_panel(a_form: ElementTree.Element):
    last = list(a_form.find("widget").find("layout"))[-1].find("widget")
    assert other.text_of(last, "text") == "For research. Not for diagnosis."
