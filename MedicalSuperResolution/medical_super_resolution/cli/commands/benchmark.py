"""medsr benchmark."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ...errors import SuperResolutionError
from ...settings import EnhanceSettings
from ...system.temp_dirs import check_folder_of, check_replaceable
from ..settings import add_computer, add_model, add_precision

HELP = "measure speed and memory on this machine, in less than two minutes; run nothing else at the same time"
_ROWS = (  # title of a group; or a label, the name of the figure in the report, and its format
    ("Speed", "", ""),
    ("a measured voxel", "microseconds_per_measured_voxel", "{:.2f} µs"),
    ("part of what the machine's arithmetic or memory allows", "part_of_the_larger_floor", "{:.0%}"),
    ("engine over its bare network", "overhead_ratio", "{:.2f}"),
    ("MONAI's sliding window over the engine", "monai_ratio", "{:.2f}"),
    ("a volume that is half air over one without", "air_ratio", "{:.2f}"),
    ("time for twice the slices", "growth_ratio", "{:.2f} times"),
    ("Whole program", "", ""),
    ("from start to end", "program_seconds", "{:.1f} s"),
    ("to the first line, which names a part of the work", "program_seconds_to_first_line", "{:.1f} s"),
    ("to the first voxels", "program_seconds_to_first_voxels", "{:.1f} s"),
    ("peak memory", "program_peak_memory_mb", "{:.0f} MB"),
    ("size of the output", "output_mb", "{:.0f} MB"),
    ("Largest seam between tiles, as a part of the range", "", ""),
    ("engine", "engine_seam", "{:.1e}"),
    ("MONAI", "monai_seam", "{:.1e}"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add device, threads and precision, the model, the size of the volume, and the output."""
    add_precision(add_computer(parser))
    add_model(parser)
    parser.add_argument("--side", type=int, default=256, help="rows and columns of the volume; default: %(default)s")
    parser.add_argument("--slices", type=int, default=32, help="measured slices; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--append", type=Path, metavar="FILE.jsonl", help="also add the result to a file, as one line")


def run(chosen: argparse.Namespace) -> int:
    """Measure, and print a table or JSON."""
    from ..benchmark.run import run as measure

    if chosen.append:
        check_folder_of(chosen.append)
        check_replaceable(chosen.append, overwrite=True)
    settings = EnhanceSettings(device=chosen.device, precision=chosen.precision, threads=chosen.threads)
    facts = measure(chosen.model, settings, side=chosen.side, slices=chosen.slices)
    print(json.dumps(facts, indent=1) if chosen.json else table(facts))
    if chosen.append:
        append_to_history(chosen.append, facts)
    return 0


def table(facts: dict[str, Any]) -> str:
    """The figures of `benchmark.run.run` as a table."""
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


def append_to_history(path: Path, facts: dict[str, Any]) -> None:
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
