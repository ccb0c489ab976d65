"""The report of a run as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import SuperResolutionError
from ..system.temp_dirs import work_folder


def check_report(path: Path | None, *, overwrite: bool) -> None:
    """Refuse, before any work is done, a report that could not be written."""
    if path is None:
        return
    if path.is_dir():
        raise SuperResolutionError(f"{path} is a folder; name a file")
    if path.exists() and not overwrite:
        raise SuperResolutionError(f"{path} exists already; add --overwrite to replace it, or choose another name")
    if path.exists() and not _holds_json(path):
        raise SuperResolutionError(f"{path} is not a report, and would be lost; choose another name for the report")
    if not path.parent.is_dir():
        raise SuperResolutionError(f"the folder {path.parent} does not exist; make it first")


def _holds_json(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(1) in (b"{", b"")


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON; the file appears only when it is complete."""
    try:
        with work_folder(path.parent) as folder:
            (folder / path.name).write_text(json.dumps(report, indent=1) + "\n")
            (folder / path.name).replace(path)
    except OSError as problem:
        raise SuperResolutionError(f"the report {path} could not be written: {problem.strerror}") from problem
