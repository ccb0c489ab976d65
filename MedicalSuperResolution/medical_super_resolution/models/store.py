"""The installed models and the headers of their files, by the standard library alone: torch is not needed.

A safetensors file starts with the length of its header, 8 bytes, little-endian; the header is JSON, and its entry
``__metadata__`` holds texts. The one of `HEADER_KEY` is JSON again: format version, generator, configuration and card.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

from ..errors import ModelError

SHIPPED_FOLDER = Path(__file__).parents[1] / "weights"
HEADER_KEY = "medical_super_resolution"
SUFFIX = ".safetensors"
_LONGEST = 100_000_000  # bytes of header that safetensors itself allows
FOLDER_VARIABLE = "MEDSR_MODEL_FOLDER"  # of the environment; names another folder for imported models


def user_folder() -> Path:
    """Where imported models go: a folder of the user's own, which outlives updates of the software."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "MedicalSuperResolution" / "models"


def installed(shipped: Path = SHIPPED_FOLDER) -> list[Path]:
    """The shipped model files, then the imported ones, each by name, without those that are only detail models."""
    return [*models_in(shipped), *models_in(user_folder())]


def path_of(name: str, shipped: Path = SHIPPED_FOLDER) -> Path:
    """The file of an installed model. Where there is none of that name, the one that would be shipped."""
    imported = user_folder() / (name + SUFFIX)
    if not (shipped / (name + SUFFIX)).is_file() and imported.is_file():
        return imported
    return shipped / (name + SUFFIX)


def file_of(model: str, shipped: Path = SHIPPED_FOLDER) -> Path:
    """The file of a model given by its path or its installed name, also where it is missing."""
    if model.endswith(SUFFIX) or Path(model).is_file():
        return Path(model)
    return path_of(model, shipped)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a model file, without its weights.

    Raises
    ------
    ModelError
        The file is missing, damaged, or not one of ours.
    """
    try:
        with path.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            text = opened.read(length) if length <= _LONGEST else b""
        header = json.loads(json.loads(text)["__metadata__"][HEADER_KEY])
    except OSError as problem:
        raise ModelError(f"the model file {path.name} cannot be read: {problem.strerror}") from problem
    except (struct.error, ValueError, KeyError, TypeError) as problem:
        raise ModelError(f"{path.name} is damaged, or not a model of MedicalSuperResolution") from problem
    if (
        not isinstance(header, dict)
        or not isinstance(header.get("card"), dict)
        or not names_a_detail_model(header["card"])
    ):
        raise ModelError(f"{path.name} lacks part of its description; the file is damaged, get it again")
    return header


def names_a_detail_model(card: dict[str, Any]) -> bool:
    """Whether a card names no detail model, or one that is a file beside it and no path elsewhere."""
    names = (card.get(key, "") for key in ("detail_model", "detail_model_of"))
    return all(isinstance(name, str) and not set(name) & set("/\\:\0") for name in names)


def detail_model_of(path: Path) -> Path | None:
    """The file of a model's detail model, whether it exists or not; None where the model has none.

    Raises
    ------
    ModelError
        See `read_header`.
    """
    return _detail_model_named(path, read_header(path))


def detail_files_of(path: Path) -> list[Path]:
    """The files that a model needs for detail, whether they exist or not: empty where it knows none.

    The first is its detail model. Where that is another kind of network, the model that it is the detail model of
    follows: what it adds to that one is added to this one.

    Raises
    ------
    ModelError
        See `read_header`.
    """
    header = read_header(path)
    detail_model = _detail_model_named(path, header)
    if detail_model is None or not detail_model.is_file():
        return [detail_model] if detail_model else []
    its_header = read_header(detail_model)
    plain = its_header["card"].get("detail_model_of", "")
    if not plain or its_header.get("config") == header.get("config"):
        return [detail_model]
    return [detail_model, path.with_name(plain + SUFFIX)]


def has_detail(path: Path) -> bool:
    """Whether a model has a detail model, and all files that it takes are there.

    Raises
    ------
    ModelError
        See `read_header`.
    """
    files = detail_files_of(path)
    return bool(files) and all(file.is_file() for file in files)


def models_in(folder: Path) -> list[Path]:
    """The model files of a folder, by name. A file that is there only as the detail model of another is left out."""
    files = sorted(folder.glob("*" + SUFFIX), key=lambda path: path.stem)
    detail_models = {path: _detail_model_if_readable(path) for path in files}
    return [path for path in files if detail_models[path] is not None or path not in detail_models.values()]


def _detail_model_named(path: Path, header: dict[str, Any]) -> Path | None:
    name = header["card"].get("detail_model", "")
    return path.with_name(name + SUFFIX) if name else None


def _detail_model_if_readable(path: Path) -> Path | None:
    try:
        return detail_model_of(path)
    except ModelError:  # listed all the same; using it raises the error
        return None
