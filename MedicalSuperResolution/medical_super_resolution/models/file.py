"""A model file: weights in safetensors, and in its header what the weights are.

The header holds one JSON text under the key "medical_super_resolution": format version, generator name and
configuration, and the model card. No pickle is read or written anywhere.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ..errors import ModelError, SettingsError
from ..networks.contracts import Generator
from ..networks.generators import GENERATORS
from ..system import checksum
from ..system.process import without_warnings
from ..system.temp_dirs import check_folder_of, write_whole
from .store import FORMAT_VERSION, HEADER_KEY, read_header

_LARGEST_NUMBER = 1 << 16  # in a configuration
_building = threading.Lock()  # PyTorch calls the hook of a counted network for all networks of the process
_FORMER = "gauge."  # weights of the slice-profile estimator, which older files contain
_DAMAGE = (  # what building a network from a damaged header or loading its weights may raise
    SafetensorError,
    SettingsError,
    OSError,
    TypeError,
    ValueError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
)


@dataclass(frozen=True)
class Model:
    """A loaded generator, and the file that it was loaded from.

    Parameters
    ----------
    name
        Short name, the file's stem.
    path
        The file.
    sha256
        Digest of the whole file.
    generator_name, card
        Name of the generator and model card, from the header of the file.
    generator
        The network in float32 on the CPU, in evaluation mode.
    detail
        Interpolation weight between the model (0) and its detail model (1), see `weight_interpolation.load`.
    detail_sha256
        Digest of the file of the detail model; empty where ``detail`` is 0.
    """

    name: str
    path: Path
    sha256: str
    generator_name: str
    card: dict[str, Any]
    generator: Generator
    detail: float = 0.0
    detail_sha256: str = ""

    def __repr__(self) -> str:
        return f"Model({self.name}, {self.generator_name}, sha256 {self.sha256[:8]})"


def save(path: Path, generator_name: str, generator: Generator, card: dict[str, Any]) -> None:
    """Write a generator with its configuration and card as one file."""
    header = {
        "format_version": FORMAT_VERSION,
        "generator": generator_name,
        "config": dataclasses.asdict(generator.config),
        "card": card,
    }
    write_weights(path, generator, header)


def write_weights(path: Path, module: nn.Module, header: dict[str, Any]) -> None:
    """Write the weights of a module, in float32, and a header as one safetensors file, which is whole or not there."""
    weights = {name: tensor.detach().float().contiguous().cpu() for name, tensor in module.state_dict().items()}
    check_folder_of(path)
    write_whole(path, to_bytes(weights, metadata={HEADER_KEY: json.dumps(header)}))


@contextmanager
def weights_of(path: Path, what: str) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
    """The header and the weights of a file of `write_weights` that is no model; what the caller makes of them may fail.

    Raises
    ------
    ModelError
        The file is damaged, or its header lacks an entry that the caller takes: it is not ``what``.
    """
    try:
        with safe_open(str(path), framework="pt") as opened:
            header = json.loads((opened.metadata() or {})[HEADER_KEY])
        yield header, load_file(str(path))
    except KeyError as bad:
        raise ModelError(f"{path} is not {what} of MedicalSuperResolution") from bad
    except (SafetensorError, SettingsError, OSError, ValueError, TypeError, RuntimeError) as bad:
        raise ModelError(f"{path} is damaged or not a safetensors file; get it again") from bad


def load(path: Path) -> Model:
    """Read a model file.

    Raises
    ------
    ModelError
        The file is missing, damaged, not a model of this software, newer than it, or does not fit its own description;
        or it differs from the checksum in the file beside it, see `checksum.expected`.
    """
    path = Path(path)
    header = read_header(path)
    name = header["generator"]
    if name not in GENERATORS:
        raise ModelError(f"{path} needs the generator {name!r}, which this version does not have; update the software")
    try:
        with safe_open(str(path), framework="pt") as opened:
            kept = [key for key in opened.keys() if not key.startswith(_FORMER)]  # noqa: SIM118 - not a dict
            parts = {key: opened.get_slice(key) for key in kept}
            shapes = {key: tuple(part.get_shape()) for key, part in parts.items() if part.get_dtype() == "F32"}
            if len(shapes) < len(parts):
                raise ValueError("weights must be in single precision")
            with _building:
                generator = _built(name, header["config"], shapes)
            weights = {key: opened.get_tensor(key).clone() for key in shapes}  # else they would stay in the file
        generator.load_state_dict(weights, assign=True)
    except _DAMAGE as problem:
        raise ModelError(f"{path} does not fit its own description; the file is damaged, get it again") from problem
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise ModelError(f"{path} holds weights that are not finite; the file is damaged, get it again")
    generator.eval().requires_grad_(False)
    sha256, _ = checksum.check(path)  # a flipped bit makes another network, which would be used without a word
    return Model(path.stem, path, sha256, name, header["card"], generator)


def _built(name: str, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> Generator:
    """A generator without weights, to which those of the given shapes can be assigned.

    It draws no random numbers and takes no memory, and is refused as soon as it has more weights than the file.
    """
    for value in config.values():
        for number in value if isinstance(value, list) else [value]:
            if not (isinstance(number, int | float) and abs(number) <= _LARGEST_NUMBER):  # also refuses NaN
                raise ValueError("a configuration must hold numbers in the range of a network")
    left, this_thread = iter(range(len(shapes) + 1 + len(_newer(GENERATORS[name][1])))), threading.get_ident()

    def count(module: object, parameter: str, value: object) -> None:
        if threading.get_ident() == this_thread and next(left, None) is None:
            raise ValueError("the network has more weights than the file")

    config_class, generator_class = GENERATORS[name]
    counting = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"), without_warnings():  # torch warns of layers without weights; refused below
            outline = generator_class(config_class(**config))
    finally:
        counting.remove()
    wanted = {key: tuple(tensor.shape) for key, tensor in outline.state_dict().items()}
    missing = wanted.keys() - shapes.keys()
    if wanted != shapes | {key: wanted[key] for key in missing} or not missing <= set(_newer(generator_class)):
        raise ValueError("the network has other weights than the file")
    return outline


def _newer(generator_class: type) -> tuple[str, ...]:
    """Names of weights that older files lack; they are 0 there, which is what a fresh network has."""
    return getattr(generator_class, "zero_where_missing", ())
