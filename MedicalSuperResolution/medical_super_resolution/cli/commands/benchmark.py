"""medsr benchmark."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ...settings import DEVICES, PRECISIONS, EnhanceSettings
from ..settings import threads_of

HELP = "measure speed and memory on this machine, in less than two minutes; let nothing else run meanwhile"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The machine's part, the model, and the size of the volume."""
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--threads", type=threads_of, metavar="N|auto", help="CPU threads; default: auto")
    parser.add_argument("--model", default=EnhanceSettings().model, metavar="NAME|FILE")
    parser.add_argument("--side", type=int, default=256, help="rows and columns of the volume; default: %(default)s")
    parser.add_argument("--slices", type=int, default=32, help="measured slices; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--append", type=Path, metavar="FILE.jsonl", help="also add the result to a file, as one line")


def run(chosen: argparse.Namespace) -> int:
    """Measure, and print a table or JSON."""
    from ..benchmark import run as measured
    from ..benchmark_report import appended, table

    settings = EnhanceSettings(device=chosen.device, precision=chosen.precision, threads=chosen.threads)
    facts = measured(chosen.model, settings, side=chosen.side, slices=chosen.slices)
    print(json.dumps(facts, indent=1) if chosen.json else table(facts))
    if chosen.append:
        appended(chosen.append, facts)
    return 0
