"""The floors of the house as data, and the check of every import against them.

A place is a set of source files with the packages it may import. Outside packages are named by their top level
("torch"), our own by their dotted name, which stands for everything below it as well. The standard library is free
to all. Imports inside functions have their own list, because they cost nothing until the function runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOTS = ("MedicalSuperResolution", "MedicalSuperResolutionTraining")  # the folders that Slicer puts on its path
_CORE = "medical_super_resolution"
_PACKAGES = (_CORE, f"{_CORE}_training")  # by themselves: a docstring, and a version


def _ours(*names: str) -> frozenset[str]:
    return frozenset(f"{_CORE}.{name}" for name in names)


_FOUNDATION = frozenset({f"{_CORE}.__version__"}) | _ours(
    "errors",
    "leftovers",
    "checksum",
    "model_folders",
    "model_header",
    "parent_process",
    "settings",
    "progress",
    "report",
    "process_memory",
    "terminal",
)
_FLOOR_0 = _FOUNDATION | _ours("acquisition")
_MEETING = _ours(
    "inference",
    "job",
    "account",
    "refinement",
    "structure",
    "residual",
    "consistency",
    "output",
    "plane_refinement",
    "uncertainty",
    "workbench",
)
_BOTH_WINGS = _ours("learning", "volumes", "models", "sharpness", "devices", "planning") | _MEETING
_GEOMETRY = _ours("planning", "volumes.grid", "volumes.volume", "volumes.intensity")  # without SimpleITK
_NUMERICS = frozenset({"numpy", "SimpleITK"})
_SLICER = frozenset({"slicer", "vtk"})
_APPLICATION = _SLICER | {"qt", "ctk", "MedicalSuperResolutionLib"}


@dataclass(frozen=True)
class Place:
    """Files, what they may import, and what their functions and type annotations may import besides."""

    name: str
    patterns: tuple[str, ...]  # module names; the first place that fits a module is its place
    may_import: frozenset[str]
    in_functions: frozenset[str] = frozenset()


PLACES = (
    Place("report", tuple(_ours("report")), _FOUNDATION | _ours("volumes.volume")),
    Place("floor 0", (_CORE, *sorted(_FOUNDATION)), _FOUNDATION),
    Place("floor 0, physics", (f"{_CORE}.acquisition",), _FOUNDATION | {"numpy"}),
    Place("learning", (f"{_CORE}.learning", f"{_CORE}.learning.*"), _FLOOR_0 | _ours("learning") | {"torch"}),
    Place(
        "DICOM writer",
        tuple(_ours("volumes.dicom_output", "volumes.dicom_headers", "volumes.dicom_place")),
        _FLOOR_0 | _ours("volumes") | _NUMERICS,
        in_functions=frozenset({"pydicom"}),
    ),
    Place("volumes", (f"{_CORE}.volumes", f"{_CORE}.volumes.*"), _FLOOR_0 | _ours("volumes") | _NUMERICS),
    Place("planning", (f"{_CORE}.planning",), _FLOOR_0 | _ours("volumes") | {"numpy"}),
    Place(
        "models",
        tuple(_ours("models", "model_import", "sharpness", "devices", "perceptual_weights")),
        _FLOOR_0 | _ours("learning", "models") | {"torch", "safetensors"},
    ),
    Place(
        "where the wings meet",
        tuple(_MEETING),
        _FLOOR_0 | _BOTH_WINGS | {"numpy", "torch"},
    ),
    Place(
        "faces without Slicer",
        tuple(
            _ours("cards", "pictures", "benchmark", "floors", "timing", "arguments", "cli", "demonstration", "__main__")
        ),
        _NUMERICS | {_CORE, "matplotlib", "monai", "nilearn", "PIL", "scipy", "torch"},
    ),
    Place(
        "training",
        (f"{_CORE}_training", f"{_CORE}_training.*"),
        _NUMERICS | {_CORE, f"{_CORE}_training", "matplotlib", "safetensors", "tomli", "torch"},
    ),
    Place(
        "roof, the engine's child process",
        ("MedicalSuperResolutionLib", "MedicalSuperResolutionLib.runner", "MedicalSuperResolutionLib.child_process"),
        _FOUNDATION | _GEOMETRY | {"MedicalSuperResolutionLib.child_process"},
        in_functions=_ours("volumes.files"),  # SimpleITK, which a Slicer may lack at its start
    ),
    Place(
        "roof, the scene",
        tuple(
            f"MedicalSuperResolutionLib.{name}"
            for name in (
                "scene",
                "region",
                "provenance",
                "dicom_source",
                "dicom_export",
                "tasks",
                "uncertainty_map",
                "common_grid",
                "compare",
                "comparison",
                "mixture",
            )
        ),
        _FLOOR_0 | _SLICER | _GEOMETRY | {"numpy", "MedicalSuperResolutionLib"},
        in_functions=_ours("models", "inference", "volumes.resampling", "volumes.dicom_output")  # these need SimpleITK
        | {"DICOMLib"},
    ),
    Place(
        "training's face in Slicer",
        ("MedicalSuperResolutionTraining", "MedicalSuperResolutionTrainingLib", "MedicalSuperResolutionTrainingLib.*"),
        # Both modules ship in one extension, so what starts a child process or says how long it takes exists once.
        _FLOOR_0
        | _APPLICATION
        | {"numpy", "MedicalSuperResolutionTrainingLib", f"{_CORE}_training.config", f"{_CORE}_training.recipes"},
        in_functions=frozenset({"MedicalSuperResolution"}),  # the module, to which an exported model is offered
    ),
    Place(
        "roof, the application",
        ("MedicalSuperResolutionLib.*", "MedicalSuperResolution"),
        _FLOOR_0 | _GEOMETRY | _APPLICATION,
        in_functions=_BOTH_WINGS | {"numpy", "SampleData", "CompareVolumes", "PyTorchUtils", "torch"},
    ),
)


@dataclass(frozen=True)
class Import:
    """One imported name: dotted, absolute. ``line`` of the file; ``in_function`` where it waits for a call."""

    name: str
    line: int
    in_function: bool
    for_types_only: bool = False


def modules(root: Path) -> dict[str, Path]:
    """Every source file of the product under the repository ``root``, by the name it is imported with."""
    found = {}
    for folder in (root / name for name in ROOTS):
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            if "build" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(module: str, path: Path, known: dict[str, Path]) -> list[Import]:
    """All imports of one file; relative ones resolved, ``from package import module`` named by the module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return list(_walk(ast.parse(path.read_text(encoding="utf-8")), package, known, in_function=False, for_types=False))


def _walk(
    node: ast.AST, package: str, known: dict[str, Path], *, in_function: bool, for_types: bool
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for name in _names(child, package, known):
            yield Import(name, child.lineno, in_function, for_types)
        yield from _walk(
            child,
            package,
            known,
            in_function=in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda),
            for_types=for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)),
        )


def _names(node: ast.AST, package: str, known: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    names = [f"{base}.{alias.name}" for alias in node.names]
    return list(dict.fromkeys(name if name in known or base == _CORE else base for name in names))


def violations(root: Path) -> list[str]:
    """One sentence for every import that its place does not allow, and for every file without a place."""
    known = modules(root)
    found = []
    for module, path in sorted(known.items()):
        place = next((place for place in PLACES if any(fnmatch(module, one) for one in place.patterns)), None)
        if place is None:
            found.append(f"{module} has no place in import_rules.PLACES: on which floor does it live?")
            continue
        for one in imports(module, path, known):
            allowed = place.may_import | (place.in_functions if _waits(one) else frozenset())
            if not _is_allowed(one.name, allowed):
                found.append(f"{module} ({place.name}), line {one.line}, may not import {one.name}")
    return found


def _is_allowed(name: str, allowed: frozenset[str]) -> bool:
    if name in _PACKAGES or name.partition(".")[0] in sys.stdlib_module_names:
        return True
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def reached_at_import(module: str, root: Path) -> dict[str, str]:
    """What importing ``module`` imports in turn: each name with the module that asks for it first."""
    known = modules(root)
    reached: dict[str, str] = {module: module}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        parents = [current.rsplit(".", depth)[0] for depth in range(1, current.count(".") + 1)]
        needed = [one.name for one in imports(current, known[current], known) if not _waits(one)]
        for name in [*parents, *needed]:
            if name not in reached:
                reached[name] = current
                if name in known:
                    waiting.append(name)
    return reached


def _waits(one: Import) -> bool:
    return one.in_function or one.for_types_only
