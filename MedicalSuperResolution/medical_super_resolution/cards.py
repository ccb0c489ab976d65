"""A model's card as text: what the model says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import models
from .errors import ModelError


def described(path: Path) -> list[str]:
    """Lines for people: name, digest, and the card, or why the file cannot be used."""
    lines = [path.stem, f"  file          {path}"]
    try:
        header = models.read_header(path)
    except ModelError as problem:
        return [*lines, f"  cannot be used: {problem}"]
    lines.append(f"  sha256        {hashlib.sha256(path.read_bytes()).hexdigest()}")
    lines.append(f"  generator     {header['generator']}, {path.stat().st_size / 1e6:.1f} MB")
    return [*lines, *_entries(header["card"], "  ")]


def _entries(card: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in card.items():
        name = key.replace("_", " ")
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from _entries(value, indent + "  ")
        elif isinstance(value, list) and any(isinstance(item, str) and len(item) > 20 for item in value):
            yield f"{indent}{name}"
            yield from (f"{indent}  - {item}" for item in value)
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{indent}{name:<13} {text}"
