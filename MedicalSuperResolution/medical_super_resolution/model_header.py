"""What a model file says of itself, read with the standard library alone: neither torch nor safetensors is needed.

A safetensors file starts with the length of its header, 8 bytes, little end first; the header is JSON, and its entry
``__metadata__`` holds texts. Ours is a JSON text again: format version, generator, configuration and card.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from .errors import ModelError

HEADER_KEY = "medical_super_resolution"
_LONGEST = 100_000_000  # bytes of header that safetensors itself allows


def read_header(path: Path) -> dict[str, Any]:
    """The header of a model file, without its weights.

    Raises
    ------
    ModelError : the file is missing, damaged, or not one of ours.
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
    if not isinstance(header, dict) or not isinstance(header.get("card"), dict):
        raise ModelError(f"{path.name} lacks part of its description; the file is damaged, get it again")
    return header
