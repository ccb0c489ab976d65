"""What Slicer's build copies is what is there, and what Slicer looks up has the names it looks for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
MODULES = ["MedicalSuperResolution", "MedicalSuperResolutionTraining"]


def globbed_files(folder: Path) -> list[str]:
    """The files that the globs of a module's CMakeLists.txt find, relative to its folder."""
    text = (folder / "CMakeLists.txt").read_text()
    variables = dict(re.findall(r"set\((MODULE_NAME|PACKAGE) (\w+)\)", text))
    found = []
    for is_recursive, patterns in re.findall(r"file\(GLOB(_RECURSE|) MODULE_PYTHON_.*?\n(.*?)\n  \)", text, re.DOTALL):
        for pattern in re.findall(r'"(.+?)"', re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], patterns)):
            place, _, name = pattern.rpartition("/")
            paths = (folder / place).rglob(name) if is_recursive and place else (folder / place).glob(name)
            found += [path.relative_to(folder).as_posix() for path in paths]
    return found


def present_files(folder: Path) -> set[str]:
    """The files of a module that its installed form needs: all but build files and Python's own."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    names = {path.relative_to(folder).as_posix() for path in paths}
    return {name for name in names if name != "CMakeLists.txt" and not re.search(r"(^|/)(\.|.*\.egg-info/)", name)}


def classes(path: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("module", MODULES)
def test_cmake_installs_exactly_the_files_of_the_module(module: str):
    globbed = globbed_files(REPOSITORY / module)
    assert len(globbed) == len(set(globbed))
    assert set(globbed) == present_files(REPOSITORY / module)


def test_a_file_outside_the_globs_is_found(tmp_path: Path):
    (tmp_path / "CMakeLists.txt").write_text(
        "set(MODULE_NAME A)\n"
        'file(GLOB_RECURSE MODULE_PYTHON_SCRIPTS\n  "${MODULE_NAME}.py"\n  "${MODULE_NAME}Lib/*.py"\n  )\n'
    )
    (tmp_path / "ALib" / "deep" / "__pycache__").mkdir(parents=True)
    for name in ("A.py", "ALib/deep/known.py", "ALib/deep/__pycache__/known.pyc", "forgotten.py"):
        (tmp_path / name).touch()
    assert present_files(tmp_path) - set(globbed_files(tmp_path)) == {"forgotten.py"}


@pytest.mark.parametrize("module", MODULES)
def test_the_module_has_the_classes_that_slicer_looks_up(module: str):
    found = classes(REPOSITORY / module / f"{module}.py")
    assert set(found) == {f"{module}{kind}" for kind in ("", "Widget", "Logic", "Test")}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_runs_when_slicer_reads_the_module(module: str):
    body = ast.parse((REPOSITORY / module / f"{module}.py").read_text()).body
    quiet = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign)
    assert [ast.unparse(node) for node in body if not isinstance(node, quiet)] == []
    assert all(isinstance(node.value, ast.Constant | ast.Tuple) for node in body if isinstance(node, ast.Assign))


@pytest.mark.parametrize("module", MODULES)
def test_every_self_test_stands_alone(module: str):
    """ctest collects the methods named test_*; the others would be skipped in silence."""
    test = classes(REPOSITORY / module / f"{module}.py")[f"{module}Test"]
    methods = [node.name for node in test.body if isinstance(node, ast.FunctionDef)]
    assert [name for name in methods if name.startswith("test_")]
    assert "runTest" not in methods


def test_torch_is_left_to_the_pytorch_extension():
    requirements = (REPOSITORY / "MedicalSuperResolution" / "Resources" / "requirements.txt").read_text()
    names = re.findall(r"^[A-Za-z][\w-]*", requirements, re.MULTILINE)
    assert sorted(names, key=str.lower) == ["numpy", "safetensors", "SimpleITK"]
    assert 'set(EXTENSION_DEPENDS "PyTorch")' in (REPOSITORY / "CMakeLists.txt").read_text()


@pytest.mark.parametrize("module", MODULES)
def test_the_requirements_are_those_of_the_package(module: str):
    (file,) = (REPOSITORY / module / "Resources").glob("*requirements.txt")
    requirements = file.read_text()
    project = (REPOSITORY / "pyproject.toml").read_text()
    lines = [line for line in requirements.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if f'"{line}"' not in project] == []
