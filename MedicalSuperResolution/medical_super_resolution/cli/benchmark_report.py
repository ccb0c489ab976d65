"""What a benchmark has found: on which machine, as a table for people, and as a line of a history."""

from __future__ import annotations

import json
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..errors import SuperResolutionError

_ROWS = (  # title of a group, or what a figure is, its name in the report, and how it is written
    ("Speed", "", ""),
    ("a measured voxel", "microseconds_per_measured_voxel", "{:.2f} µs"),
    ("part of what the machine's arithmetic or memory allows", "part_of_the_larger_floor", "{:.0%}"),
    ("engine over its bare network", "overhead_ratio", "{:.2f}"),
    ("MONAI's sliding window over the engine", "monai_ratio", "{:.2f}"),
    ("a volume that is half air over one without", "air_ratio", "{:.2f}"),
    ("time for twice the slices", "growth_ratio", "{:.2f} times"),
    ("Whole program", "", ""),
    ("from start to end", "program_seconds", "{:.1f} s"),
    ("to the first progress", "program_seconds_to_first_progress", "{:.1f} s"),
    ("peak memory", "program_peak_memory_mb", "{:.0f} MB"),
    ("size of the output", "output_mb", "{:.0f} MB"),
    ("Largest seam between tiles, as a part of the range", "", ""),
    ("engine", "engine_seam", "{:.1e}"),
    ("MONAI", "monai_seam", "{:.1e}"),
)


def identity() -> dict[str, Any]:
    """What a figure means nothing without: the date, this version, PyTorch's, and the processor."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "version": __version__,
        "engine": f"torch {torch.__version__}",
        "processor": processor(Path("/proc/cpuinfo")),
    }


def processor(known: Path) -> str:
    """The name of the processor: from Linux's file ``known``, or what Python knows elsewhere."""
    with suppress(OSError):
        for line in known.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def table(facts: dict[str, Any]) -> str:
    """The facts of `benchmark.run` for people."""
    lines = [
        f"medsr {facts['version']}, model {facts['model']}, {facts['engine']}, {facts['date']}",
        f"{facts['processor']}, {facts['threads']} threads, on {facts['device']} in {facts['precision']}",
        facts["volume"],
    ]
    for what, name, form in _ROWS:
        if not name:
            lines += ["", what]
        elif facts.get(name) is not None:
            lines.append(f"  {what:56}{form.format(facts[name]):>14}")
    for what, name in (("Engine", "stages_seconds"), ("Whole program", "program_stages_seconds")):
        lines += ["", f"{what}, seconds: " + ", ".join(f"{part} {used:.2f}" for part, used in facts[name].items())]
    return "\n".join([*lines, *([f"\nMONAI: {facts['monai']}"] if "monai" in facts else [])])


def appended(path: Path, facts: dict[str, Any]) -> None:
    """Add the facts to a history, as one line of JSON.

    Raises
    ------
    SuperResolutionError
        The file cannot be written.
    """
    rounded = {name: float(f"{one:.4g}") if isinstance(one, float) else one for name, one in facts.items()}
    try:
        with path.open("a", encoding="utf-8") as history:
            history.write(json.dumps(rounded, ensure_ascii=False) + "\n")
    except OSError as problem:
        raise SuperResolutionError(f"the history {path} could not be written: {problem.strerror}") from problem
