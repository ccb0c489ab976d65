"""Modules import only from layers below, and those that must start quickly do not import torch."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from import_rules import ROOTS, imports, modules, reached_at_import, violations

REPOSITORY = Path(__file__).parents[2]
CORE = "MedicalSuperResolution/medical_super_resolution"
LIB = "MedicalSuperResolution/MedicalSuperResolutionLib"
TRAINING = "MedicalSuperResolutionTraining/medical_super_resolution_training"
KNOWN = modules(REPOSITORY)
NAMES = frozenset(KNOWN)

# Slicer imports the CamelCase modules at its start, when torch may not be there; the others must start quickly.
WITHOUT_TORCH = [
    *(module for module in sorted(KNOWN) if module[0].isupper()),
    "medical_super_resolution",
    "medical_super_resolution.physics.acquisition",
    "medical_super_resolution.cli.main",
    "medical_super_resolution.cohort.run",  # the process that schedules studies
    "medical_super_resolution.inference.cost",
    "medical_super_resolution.inference.planning",
    "medical_super_resolution.settings",
    "medical_super_resolution.volumes.io.files",
    "medical_super_resolution_training",
    "medical_super_resolution_training.cli.main",
]


def test_every_import_is_allowed():
    assert violations(KNOWN, NAMES) == []


def test_no_files_and_no_folders_import_each_other():
    """Imports inside functions and for types count, too; a cycle is named in the failure."""
    files = {module: {one.name for one in imports(module, path, NAMES)} & NAMES for module, path in KNOWN.items()}
    folders: dict[str, set[str]] = {}
    for module, needed in files.items():
        folders.setdefault(folder(module), set()).update({folder(name) for name in needed} - {folder(module)})
    for graph in (files, folders):
        TopologicalSorter(graph).prepare()


def folder(module: str) -> str:
    """The folder below the package, or the file beside it: "medical_super_resolution.volumes"."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_importing_does_not_import_torch(module: str):
    reached = reached_at_import(module, KNOWN)
    assert {name: by for name, by in reached.items() if name.partition(".")[0] in ("torch", "safetensors")} == {}


def test_enhancing_a_volume_file_does_not_import_simpleitk():
    """It takes 95 MB and a fifth of a second; label maps, compressed DICOM and registration need it."""
    assert "SimpleITK" not in reached_at_import("medical_super_resolution.cohort.single", KNOWN)


@pytest.mark.parametrize("package", ["medical_super_resolution", "medical_super_resolution_training"])
def test_help_is_shown_without_torch(package: str):
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['program', '--help']; sys.path[:0] = {[str(REPOSITORY / root) for root in ROOTS]}\n"
        "try:\n"
        f"    runpy.run_module({package!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_a_folder_holds_at_most_twelve_modules():
    """Beside its `__init__` and `__main__`; only what a table lists may grow further: networks and commands."""
    own = [path for path in KNOWN.values() if path.stem not in ("__init__", "__main__")]
    folders = Counter(path.parent.relative_to(REPOSITORY).as_posix() for path in own)
    listed = {f"{CORE}/networks/generators", f"{CORE}/networks/discriminators", f"{CORE}/cli/commands"}
    assert {name: count for name, count in folders.items() if count > 12 and name not in listed} == {}


def test_few_files_are_too_small_to_be_an_idea_of_their_own():
    own = [path for path in KNOWN.values() if path.stem not in ("__init__", "__main__")]
    small = [path.name for path in own if len(path.read_text(encoding="utf-8").splitlines()) < 40]
    assert len(small) < 10, sorted(small)


def test_what_reads_one_dicom_file_knows_nothing_of_series():
    dicom, images = "medical_super_resolution.volumes.dicom.", "medical_super_resolution.volumes.dicom.images."
    needed = {one.name for name in NAMES if name.startswith(images) for one in imports(name, KNOWN[name], NAMES)}
    assert [name for name in sorted(needed) if name.startswith(dicom) and not name.startswith(images)] == []


def test_one_python_file_lies_in_each_module_folder():
    """Slicer takes every Python file that lies there for a module."""
    for root in ROOTS:
        assert [path.name for path in (REPOSITORY / root).glob("*.py")] == [f"{root}.py"]


# Each of these lines breaks a rule:
@pytest.mark.parametrize(
    ("file", "line", "named"),
    [
        (f"{CORE}/settings.py", "import numpy", "numpy"),
        (f"{CORE}/errors.py", "from .volumes.grid import Grid", "medical_super_resolution.volumes.grid"),
        (f"{CORE}/physics/acquisition.py", "import SimpleITK", "SimpleITK"),
        (f"{CORE}/networks/blocks.py", "import SimpleITK", "SimpleITK"),
        (f"{CORE}/networks/blocks.py", "from ..volumes.grid import Grid", "medical_super_resolution.volumes.grid"),
        (
            f"{CORE}/networks/generators/through_plane.py",
            "from ...models import file",
            "medical_super_resolution.models.file",
        ),
        (f"{CORE}/volumes/grid.py", "import torch.nn.functional as functional", "torch.nn.functional"),
        (f"{CORE}/volumes/io/files.py", "from ...networks import blocks", "medical_super_resolution.networks.blocks"),
        (f"{CORE}/volumes/dicom/derived/writer.py", "import pydicom", "pydicom"),
        (f"{CORE}/volumes/io/files.py", "def late():\n    import torch", "torch"),
        (f"{CORE}/inference/planning.py", "from torch import Tensor", "torch"),
        (f"{CORE}/models/file.py", "from ..volumes import grid", "medical_super_resolution.volumes.grid"),
        (f"{CORE}/models/file.py", "import pickle, requests", "requests"),
        (f"{CORE}/inference/enhance.py", "import slicer", "slicer"),
        (f"{CORE}/physics/projection.py", "from ..cli import main", "medical_super_resolution.cli.main"),
        (f"{CORE}/cli/main.py", "def late():\n    import qt", "qt"),
        (f"{TRAINING}/training/trainer.py", "import vtk", "vtk"),
        (
            f"{TRAINING}/cli/main.py",
            "import MedicalSuperResolutionLib.scene.nodes",
            "MedicalSuperResolutionLib.scene.nodes",
        ),
        (f"{LIB}/scene/nodes.py", "import qt", "qt"),
        (f"{LIB}/scene/nodes.py", "def late():\n    import torch", "torch"),
        (f"{LIB}/scene/nodes.py", "from MedicalSuperResolutionLib import engine", "MedicalSuperResolutionLib.engine"),
        (f"{LIB}/compare/views.py", "import torch", "torch"),
        (f"{LIB}/process/runner.py", "import slicer", "slicer"),
        ("MedicalSuperResolution/MedicalSuperResolution.py", "import torch", "torch"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, line: str, named: str):
    (module,) = (name for name, path in KNOWN.items() if path == REPOSITORY / file)
    (found,) = violations({module: changed(module, tmp_path, line)}, NAMES)
    assert found.endswith(f"may not import {named}")


def changed(module: str, folder: Path, line: str) -> Path:
    """A copy of a file with another line at its end."""
    path = folder / KNOWN[module].name
    path.write_text(f"{KNOWN[module].read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    return path


def test_a_file_without_a_rule_is_found(tmp_path: Path):
    sentence = "medical_super_resolution.attic has no rule in import_rules.RULES: add its folder to one"
    assert violations({"medical_super_resolution.attic": tmp_path / "attic.py"}, NAMES) == [sentence]


def test_torch_behind_another_module_is_found(tmp_path: Path):
    module = "medical_super_resolution.cli.main"
    path = changed(module, tmp_path, "from ..inference.enhance import enhance")
    assert reached_at_import(module, KNOWN | {module: path})["torch"].startswith("medical_super_resolution.")


def test_imports_for_types_only_do_not_import_torch(tmp_path: Path):
    module, path = "medical_super_resolution.cli.main", tmp_path / "main.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ndef late():\n    import torch\n"
    )
    assert "torch" not in reached_at_import(module, KNOWN | {module: path})
