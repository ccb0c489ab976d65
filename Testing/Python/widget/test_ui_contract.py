"""The .ui files and the code that uses them agree, and the panels are accessible; checked without Qt."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
MAIN, TRAINING = "MedicalSuperResolution", "MedicalSuperResolutionTraining"
TIED = {  # the parameters of each panel that it ties itself, or that have no widget
    MAIN: {"model", "resultVolume", "factor", "spacingI", "spacingJ", "spacingK", "sliceThickness", "detail"},
    TRAINING: {"recipe", "quantity", "recipeFile", "volumes", "manifest", "run", "model"},
}
INPUTS = {
    "QPushButton",
    "QCheckBox",
    "QComboBox",
    "QSpinBox",
    "QDoubleSpinBox",
    "QSlider",
    "QPlainTextEdit",
    "QLineEdit",
    "ctkPathLineEdit",
    "ctkSliderWidget",
    "QTableWidget",
    "qMRMLCheckableNodeComboBox",
    "qMRMLNodeComboBox",
}
SHOWING = ("Error", "Missing", "append", "addItem", "Display", "QAction", "shown_errors", "setHeaderLabels")  # calls
PICTURE = "sampleLabel"  # without a text
OF_ANY_NAMES = {"modelComboBox", "queueSelector", "quantityComboBox"}  # lists
PLAIN_QT = {name for name in INPUTS if name.startswith("Q")} | {"QLabel", "QProgressBar", "QWidget"}


@pytest.fixture(params=[MAIN, TRAINING])
def a_module(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def a_form(a_module: str) -> ElementTree.Element:
    return form_of(a_module)


def form_of(module: str) -> ElementTree.Element:
    return ElementTree.parse(REPOSITORY / module / "Resources" / "UI" / f"{module}.ui").getroot()


def widgets(form: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {widget.get("name"): widget for widget in form.iter("widget")}


def text_of(widget: ElementTree.Element, name: str) -> str:
    found = widget.find(f"property[@name='{name}']")
    return "" if found is None else "".join(found.itertext()).strip()


def inputs(form: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {name: widget for name, widget in widgets(form).items() if widget.get("class") in INPUTS}


def parameters(module: str) -> dict[str, str]:
    """The annotated names of the parameter node class, with their types as written."""
    (path,) = (REPOSITORY / module / f"{module}Lib").rglob("parameter_node.py")
    tree = ast.parse(path.read_text())
    (made,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("ParameterNode")]
    return {node.target.id: ast.unparse(node.annotation) for node in made.body if isinstance(node, ast.AnnAssign)}


def names_used_as_ui(module: str) -> set[str]:
    """Every x of a `self.ui.x` or `ui.x` in the module's own files."""
    trees = [ast.parse(path.read_text()) for path in sources(module)]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if ast.unparse(node.value) in ("self.ui", "self._ui", "ui")}


def untranslated(path: Path) -> list[str]:
    """Texts for the user that a file does not hand to the translation: of errors, and of what widgets show."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        text = None
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith(SHOWING):
            text = node.args[0]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith((".text", ".toolTip")):
            text = node.value
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        if any(isinstance(part, ast.Constant) and " " in str(part.value) for part in parts):
            found.append(f"{path.name}, line {node.lineno}: {ast.unparse(text)}")
    return found


def sources(*modules: str) -> list[Path]:
    """The Python files of modules that Slicer runs itself."""
    folders = [REPOSITORY / module for module in modules]
    return [path for one in folders for path in (one / f"{one.name}.py", *(one / f"{one.name}Lib").rglob("*.py"))]


def test_every_text_of_the_panels_and_of_the_scene_can_be_translated():
    assert [text for path in sources(MAIN, TRAINING) for text in untranslated(path)] == []


def test_the_tools_of_slicer_find_every_text_that_is_translated():
    """They look for `_(`, strings next to each other, and `)`; anything else would never be translated."""
    calls = [
        (path, node, ast.get_source_segment(source, node))
        for path in sources(MAIN, TRAINING)
        for source in [path.read_text()]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_"
    ]
    hidden = [
        f"{path.name}, line {node.lineno}"
        for path, node, text in calls
        if not (isinstance(node.args[0], ast.Constant) and re.fullmatch(r'_\((\s*"[^"]*")+\s*\)', text))
    ]
    assert len(calls) > 200
    assert hidden == []


def test_no_text_of_a_form_is_kept_from_translation(a_form: ElementTree.Element):
    properties = [one for one in a_form.iter("property") if one.get("name") != "SlicerParameterName"]
    kept = [one.findtext("string") for one in properties if one.find("string[@notr]") is not None]
    assert [text for text in kept if re.search("[A-Za-z]", text or "")] == []


def test_every_parameter_is_bound_once_but_those_that_the_panel_ties_itself(a_module: str, a_form: ElementTree.Element):
    bound = [name for widget in widgets(a_form).values() if (name := text_of(widget, "SlicerParameterName"))]
    assert sorted(bound) == sorted(set(parameters(a_module)) - TIED[a_module])
    assert TIED[a_module] <= set(parameters(a_module))


def test_bound_numbers_have_a_range(a_module: str):
    """parameterNodeWrapper makes an unbounded number's box run from minus to plus infinity."""
    numbers = {name: kind for name, kind in parameters(a_module).items() if "float" in kind or "int" in kind}
    assert [
        name for name, kind in numbers.items() if not kind.startswith("Annotated") or "WithinRange" not in kind
    ] == []


def test_every_widget_that_the_code_uses_exists(a_module: str, a_form: ElementTree.Element):
    used = names_used_as_ui(a_module)
    assert len(used) > 10
    assert used - set(widgets(a_form)) == set()


def test_every_input_explains_itself(a_form: ElementTree.Element):
    assert [name for name, widget in inputs(a_form).items() if not text_of(widget, "toolTip")] == []


def test_screen_readers_read_every_text_and_the_name_of_every_other_input(a_form: ElementTree.Element):
    """They read a name in place of a text, such as Start on the button that says Stop, or Status for every status."""
    named = {name for name, widget in widgets(a_form).items() if text_of(widget, "accessibleName")}
    with_text = {
        name
        for name, widget in widgets(a_form).items()
        if widget.get("class") in ("QLabel", "QPushButton", "QCheckBox") and name != PICTURE
    }
    assert named & with_text == set()
    assert set(inputs(a_form)) - with_text - named == set()


def test_every_label_before_an_input_belongs_to_it(a_form: ElementTree.Element):
    buddies = {name: text_of(widget, "buddy") for name, widget in widgets(a_form).items()}
    buddies = {name: buddy for name, buddy in buddies.items() if buddy}
    assert buddies
    assert set(buddies.values()) <= set(inputs(a_form))


def test_the_tab_key_reaches_every_input_in_the_order_of_the_panel(a_form: ElementTree.Element):
    order = [stop.text for stop in a_form.iter("tabstop")]
    assert set(order) <= set(widgets(a_form))
    assert [name for name in order if name in inputs(a_form)] == list(inputs(a_form))


def test_every_tool_tip_is_one_sentence(a_form: ElementTree.Element):
    tips = [text_of(widget, "toolTip") for widget in widgets(a_form).values()]
    assert [tip for tip in filter(None, tips) if not re.fullmatch(r"[^.]+(?:\.\w[^.]*)*\.", tip)] == []


def test_no_text_that_changes_can_widen_the_panel(a_form: ElementTree.Element):
    """A label or a list without an ignored horizontal size policy would widen Slicer's window with its text."""
    changing = {
        name: widget
        for name, widget in widgets(a_form).items()
        if name in OF_ANY_NAMES or (widget.get("class") == "QLabel" and not text_of(widget, "buddy"))
    }
    policies = {
        name: widget.find("property[@name='sizePolicy']/sizepolicy").get("hsizetype")
        for name, widget in changing.items()
    }
    assert set(policies.values()) == {"Ignored"}
    labels = {name for name in changing if name.endswith("Label")} - {PICTURE}
    assert [name for name in labels if text_of(changing[name], "wordWrap") != "true"] == []


def test_a_list_whose_entries_are_known_gets_the_width_for_them_in_a_line_of_its_own_if_need_be(
    a_form: ElementTree.Element,
):
    """A QComboBox remembers its least width when the font changes, but not the width that it would like."""
    policies = {
        (widget.get("class"), widget.find("property[@name='sizePolicy']/sizepolicy").get("hsizetype"))
        for name, widget in widgets(a_form).items()
        if widget.get("class").endswith("ComboBox") and name not in OF_ANY_NAMES
    }
    assert policies <= {("qMRMLNodeComboBox", "Expanding"), ("QComboBox", "MinimumExpanding")}
    forms = [layout for layout in a_form.iter("layout") if layout.get("class") == "QFormLayout"]
    assert {text_of(form, "rowWrapPolicy") for form in forms} == {"QFormLayout::WrapLongRows"}


def test_fields_take_the_width_of_the_panel_on_every_system(a_form: ElementTree.Element):
    """macOS would leave a field with an ignored size policy without any width."""
    forms = [layout for layout in a_form.iter("layout") if layout.get("class") == "QFormLayout"]
    assert {text_of(form, "fieldGrowthPolicy") for form in forms} == {"QFormLayout::AllNonFixedFieldsGrow"}


def test_enhance_comes_after_volume_and_goal_alone():
    assert list(inputs(form_of(MAIN)))[:7] == [
        "inputSelector", "goalComboBox", "factorSpinBox", "spacingISpinBox", "spacingJSpinBox", "spacingKSpinBox",
        "enhanceButton",
    ]  # fmt: skip


def test_every_class_from_outside_qt_is_declared(a_form: ElementTree.Element):
    declared = {custom.findtext("class") for custom in a_form.iter("customwidget")}
    used = {widget.get("class") for widget in widgets(a_form).values()}
    assert used - PLAIN_QT == declared


def test_every_node_list_gets_the_scene(a_form: ElementTree.Element):
    wired = {
        connection.findtext("receiver")
        for connection in a_form.iter("connection")
        if connection.findtext("sender") == a_form.findtext("class")
        and connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
        and connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
    }
    lists = {name for name, widget in widgets(a_form).items() if widget.get("class").endswith("NodeComboBox")}
    assert wired == lists


def test_label_maps_are_not_offered():
    found = widgets(form_of(MAIN))
    for name in ("inputSelector", "outputSelector", "compareSelector", "exportSelector"):
        selector = found[name]
        assert text_of(selector, "nodeTypes") == "vtkMRMLScalarVolumeNode"
        assert text_of(selector, "showChildNodeTypes") == "false"  # a label map is a child of a scalar volume


def test_the_notice_is_the_last_thing_in_the_panel(a_form: ElementTree.Element):
    last = list(a_form.find("widget").find("layout"))[-1].find("widget")
    assert text_of(last, "text") == "For research. Not for diagnosis."
