"""Weights of perceptual features: files that are checked before use."""

from __future__ import annotations

import dataclasses
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import ModelError
from ..objectives.perceptual import SliceEncoder, SliceEncoderConfig, VggFeatures, vgg_features
from ..system.checksum import digest_of
from .file import weights_of, write_weights

VGG_FILE_NAME = "vgg19-dcbb9e9d.pth"  # as torchvision publishes it: the name holds the start of the file's SHA-256
ENCODER_FORMAT_VERSION = 1
SHIPPED_ENCODER = Path(__file__).parents[1] / "features" / "slice-encoder.safetensors"
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|safetensors)$")


def vgg_file() -> Path:
    """The file in which PyTorch keeps the weights of VGG-19 that torchvision downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE_NAME


def load_vgg(path: Path | None = None, *, activated: bool) -> VggFeatures:
    """VGG-19's features from a file in torchvision's layout, .pth or .safetensors; without a path from `vgg_file`.

    The file's name ends in a hyphen and at least the first eight digits of its SHA-256, like torchvision's.

    Raises
    ------
    ModelError
        The file is missing, does not match its name, or holds something else.
    """
    path = vgg_file() if path is None else Path(path)
    if not path.is_file():
        raise ModelError(
            f"there are no VGG-19 weights at {path}; put torchvision's file {VGG_FILE_NAME} there, or use the slice"
            " encoder for the perceptual loss, which needs no download"
        )
    _check_digest(path)
    try:
        return vgg_features(_read_weights(path), activated=activated)
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, TypeError, AttributeError, EOFError) as bad:
        raise ModelError(f"{path} does not hold the weights of VGG-19 in torchvision's layout; get it again") from bad


def _check_digest(path: Path) -> None:
    named = _DIGEST_IN_NAME.search(path.name)
    if named is None:
        raise ModelError(
            f"the name of {path} does not end in the start of its SHA-256, like {VGG_FILE_NAME}; rename it so that it"
            " can be checked"
        )
    digest = digest_of(path)
    if not digest.startswith(named[1]):
        raise ModelError(f"{path} is damaged: its SHA-256 begins with {digest[:8]}, not {named[1]}; get it again")


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(str(path))
    return torch.load(path, map_location="cpu", weights_only=True)


def save_encoder(path: Path, encoder: SliceEncoder, card: dict[str, Any]) -> None:
    """Write a slice encoder with its configuration and card as one safetensors file."""
    header = {
        "format_version": ENCODER_FORMAT_VERSION,
        "encoder": "slice",
        "config": dataclasses.asdict(encoder.config),
        "card": card,
    }
    write_weights(path, encoder, header)


def load_encoder(path: Path) -> SliceEncoder:
    """Read a slice encoder, frozen.

    Raises
    ------
    ModelError
        The file is missing, damaged, no slice encoder, or newer than this software.
    """
    if not path.is_file():
        raise ModelError(f"there is no slice encoder {path}; train one with medsr-train, or give the path of one")
    with weights_of(path, "a slice encoder") as (header, weights):
        config, version = header["config"], header["format_version"]
        if header["encoder"] != "slice" or version != ENCODER_FORMAT_VERSION:
            raise ModelError(f"{path} is no slice encoder that this software can read; update it or give another file")
        encoder = SliceEncoder(SliceEncoderConfig(widths=tuple(config["widths"])))
        encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)
