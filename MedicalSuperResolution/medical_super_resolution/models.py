"""A model file: weights in safetensors, and in its header what the weights are.

The header holds one JSON text under the key "medical_super_resolution": format version, generator name and
configuration, and the card (what the model says of itself). No pickle is read or written anywhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from .errors import ModelError
from .learning.generators import GENERATORS, Generator

FORMAT_VERSION = 1
SHIPPED_FOLDER = Path(__file__).parent / "weights"
SUFFIX = ".safetensors"
_HEADER_KEY = "medical_super_resolution"


@dataclass(frozen=True)
class Model:
    """A generator ready to use, and where it came from.

    name : short name, the file's stem. path : the file. sha256 : of the whole file. generator_name, card : see the
    header. generator : the network in float32 on the CPU, in evaluation mode.
    """

    name: str
    path: Path
    sha256: str
    generator_name: str
    card: dict[str, Any]
    generator: Generator


def installed() -> list[Path]:
    """The model files that are shipped or were put beside them, by name."""
    return sorted(SHIPPED_FOLDER.glob("*" + SUFFIX))


def find(name: str) -> Path:
    """The file of a model given by its installed name or by its path.

    Raises
    ------
    ModelError : there is no such model; the message lists those there are.
    """
    if name.endswith(SUFFIX) or Path(name).is_file():
        return Path(name)
    path = SHIPPED_FOLDER / (name + SUFFIX)
    if not path.is_file():
        known = ", ".join(file.stem for file in installed()) or "none"
        raise ModelError(f"there is no model {name!r}; installed: {known}; or give the path of a model file")
    return path


def save(path: Path, generator_name: str, generator: Generator, card: dict[str, Any]) -> None:
    """Write a generator with its configuration and card as one file."""
    header = {
        "format_version": FORMAT_VERSION,
        "generator": generator_name,
        "config": dataclasses.asdict(generator.config),  # type: ignore[arg-type]
        "card": card,
    }
    weights = {name: tensor.detach().float().contiguous().cpu() for name, tensor in generator.state_dict().items()}
    path.write_bytes(to_bytes(weights, metadata={_HEADER_KEY: json.dumps(header)}))


def load(path: Path) -> Model:
    """Read a model file.

    Raises
    ------
    ModelError : the file is missing, damaged, not one of ours, newer than this software, or does not fit its own
        description.
    """
    path = Path(path)
    header = read_header(path)
    name = header["generator"]
    if name not in GENERATORS:
        raise ModelError(f"{path} needs the generator {name!r}, which this version does not have; update the software")
    config_class, generator_class = GENERATORS[name]
    try:
        generator = generator_class(config_class(**header["config"]))
        with safe_open(str(path), framework="pt") as opened:
            weights = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a dict
        generator.load_state_dict(weights)
    except (SafetensorError, OSError, TypeError, ValueError, RuntimeError) as problem:
        raise ModelError(f"{path} does not fit its own description; the file is damaged, get it again") from problem
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise ModelError(f"{path} holds weights that are not finite; the file is damaged, get it again")
    generator.eval().requires_grad_(False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Model(path.stem, path, digest, name, header["card"], generator)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a model file, checked, without its weights."""
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    try:
        with safe_open(str(path), framework="pt") as opened:
            metadata = opened.metadata() or {}
        header = json.loads(metadata[_HEADER_KEY])
        version, keys = header["format_version"], {"generator", "config", "card"}
    except KeyError as problem:
        raise ModelError(f"{path} is not a model of MedicalSuperResolution") from problem
    except (SafetensorError, OSError, ValueError, TypeError) as problem:
        raise ModelError(f"{path} is damaged or not a safetensors file; get it again") from problem
    if version != FORMAT_VERSION:
        raise ModelError(f"{path} has format {version}, this software reads format {FORMAT_VERSION}; update it")
    if not keys <= header.keys() or not isinstance(header["generator"], str) or not isinstance(header["card"], dict):
        raise ModelError(f"{path} lacks part of its description; the file is damaged, get it again")
    return header
