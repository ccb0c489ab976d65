"""The installed models and the headers of their files, by the standard library alone: torch is not needed.

A safetensors file starts with the length of its header, 8 bytes, little-endian; the header is JSON, and its entry
``__metadata__`` holds texts. The one of `HEADER_KEY` is JSON again: format version, generator, configuration and card.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..system.paths import is_file

SHIPPED_FOLDER = Path(__file__).parents[1] / "weights"
FORMAT_VERSION = 1
HEADER_KEY = "medical_super_resolution"
SUFFIX = ".safetensors"
_CARD_DEPTH = 8  # values within values
_OTHER_PARTS = {  # each with a format of its own
    "encoder": "a slice encoder",
    "down_sampler": "a learned down-sampler",
    "profile_head": "a slice-profile estimator",
}
_LONGEST = 100_000_000  # bytes of header that safetensors itself allows
FOLDER_VARIABLE = "MEDSR_MODEL_FOLDER"  # of the environment; names another folder for imported models


def user_folder() -> Path:
    """The user's folder for imported models, which updates of the software keep."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or _home() / ".local" / "share")
    return base / "MedicalSuperResolution" / "models"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and an account that the system does not know, as in a container
        return Path("/")  # as container engines have it


def installed() -> list[Path]:
    """The shipped model files, then the imported ones, each by name, without those that are only detail models."""
    found = models_in(SHIPPED_FOLDER)
    with suppress(PermissionError):  # as under the home of another account
        found += models_in(user_folder())
    return found


def path_of(name: str) -> Path:
    """The file of an installed model. Where there is none of that name, the one that would be shipped."""
    if not is_file(SHIPPED_FOLDER / (name + SUFFIX)) and is_file(imported := user_folder() / (name + SUFFIX)):
        return imported
    return SHIPPED_FOLDER / (name + SUFFIX)


def file_of(model: str) -> Path:
    """The file of a model given by its path or its installed name, also where it is missing."""
    if model.endswith(SUFFIX) or is_file(Path(model)):
        return Path(model)
    return path_of(model)


def find(name: str) -> Path:
    """The file of a model given by its installed name or by its path.

    Raises
    ------
    ModelError
        There is no such model; the message lists those there are.
    """
    path = file_of(name)
    if not name.endswith(SUFFIX) and not is_file(path):
        known = ", ".join(file.stem for file in installed()) or "none"
        raise ModelError(f"there is no model {name!r}; installed: {known}; or give the path of a model file")
    return path


def read_header(path: Path) -> dict[str, Any]:
    """The header of a model file, checked, without its weights.

    Raises
    ------
    ModelError
        The file is missing, damaged, not one of ours, newer than this software, or holds no network that refines.
    """
    header = read_description(path)
    for part, name in _OTHER_PARTS.items():
        if part in header and "generator" not in header:
            raise ModelError(f"{path} holds {name}, and no network that refines volumes")
    version = header.get("format_version")
    if isinstance(version, int) and version != FORMAT_VERSION:
        raise ModelError(f"{path} has format {version}, this software reads format {FORMAT_VERSION}; update it")
    is_known = isinstance(version, int) and isinstance(header.get("generator"), str) and "config" in header
    if not (is_known and _is_card(header.get("card"))):
        raise ModelError(f"{path} lacks part of its description; the file is damaged, get it again")
    return header


def read_description(path: Path) -> dict[str, Any]:
    """What any file of this package says about its weights; see `read_header` for those of models."""
    try:
        if not path.is_file():
            raise ModelError(f"there is no model file {path}")
        state = path.stat()
        description = json.loads(_description_in(path, state.st_size, state.st_mtime_ns, state.st_ino))
    except OSError as problem:
        raise ModelError(f"{path} cannot be read: {problem.strerror}") from problem
    except (struct.error, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise ModelError(f"{path} is damaged or not a safetensors file; get it again") from problem
    if not isinstance(description, dict):
        raise ModelError(f"{path} is not a model of MedicalSuperResolution")
    return description


@lru_cache(maxsize=32)  # a panel asks for the same file many times while the user chooses
def _description_in(path: Path, size: int, *_state: int) -> str:
    """The description in a file that has this size, and has not been written since; as JSON."""
    with path.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        rest = size - 8 - length
        header = json.loads(opened.read(length) if length <= _LONGEST and rest >= 0 else b"")
    metadata = header.pop("__metadata__", {})
    if max((entry["data_offsets"][1] for entry in header.values()), default=0) != rest:
        raise ValueError("it is cut short, or something is behind it")
    return metadata.get(HEADER_KEY, "null")


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
    """The file of a model's detail model, whether it exists or not; None where the model has none."""
    name = header["card"].get("detail_model", "")
    return path.with_name(name + SUFFIX) if name else None


def _detail_model_if_readable(path: Path) -> Path | None:
    try:
        return _detail_model_named(path, read_header(path))
    except ModelError:  # listed all the same; using it raises the error
        return None


def _is_card(card: object) -> bool:
    """Whether a model card can be shown, and what it says of training and of detail models can be used."""
    if not isinstance(card, dict) or not _is_shallow(card, _CARD_DEPTH):
        return False
    names = (card.get(key, "") for key in ("detail_model", "detail_model_of"))
    if not all(isinstance(name, str) and not set(name) & set("/\\:\0") for name in names):  # no paths elsewhere
        return False
    trained = card.get("trained_for", {})
    if not isinstance(trained, dict):
        return False
    modalities, thickness = trained.get("modalities") or [], trained.get("thickness", [0, 1])
    return (
        isinstance(modalities, list)
        and all(isinstance(name, str) for name in modalities)
        and isinstance(thickness, list)
        and len(thickness) == 2
        and all(isinstance(end, int | float) for end in thickness)
    )


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    return depth > 0 and (not isinstance(value, list) or all(_is_shallow(part, depth - 1) for part in value))
