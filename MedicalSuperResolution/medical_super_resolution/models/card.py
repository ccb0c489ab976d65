"""A model's card as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..system.checksum import digest_of
from ..system.texts import on_one_line
from .store import detail_files_of, read_header


def described(path: Path) -> list[str]:
    """Lines for people: name, digest, and the card, or why the file cannot be used."""
    lines = [path.stem, f"  file          {path}"]
    try:
        header = read_header(path)
    except ModelError as problem:
        return [*lines, f"  cannot be used: {problem}"]
    lines.append(f"  sha256        {digest_of(path)}")
    lines.append(f"  generator     {header['generator']}, {path.stat().st_size / 1e6:.1f} MB")
    lines.append(f"  detail model  {_detail_model(path)}")
    lines += _entries({key: value for key, value in header["card"].items() if key != "detail_model"}, "  ")
    return [on_one_line(line) for line in lines]


def summarized(path: Path) -> str:
    """Return one line: name, size, what it is for, or why the file cannot be used."""
    try:
        card = read_header(path)["card"]
    except ModelError as problem:
        return f"{path.stem:<16} cannot be used: {problem}"
    modalities = ", ".join(name.upper() for name in card.get("trained_for", {}).get("modalities") or [])
    summary = str(card.get("summary", "")).partition("\n")[0]
    line = f"{path.stem:<16} {path.stat().st_size / 1e6:4.1f} MB  {modalities:<8} {summary}".rstrip()
    return on_one_line(line)


def _detail_model(path: Path) -> str:
    files = detail_files_of(path)
    if not files:
        return "none, so its detail is always 0"
    missing = [file.stem for file in files if not file.is_file()]
    if missing:
        return f"{missing[0]}, which is missing"
    detail_model, *of = files
    borrowed = f", that of {of[0].stem}" if of else ""
    return f"{detail_model.stem}{borrowed}, sha256 {digest_of(detail_model)}"


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
