"""A script that plays medsr-train for `TrainingProcess`.

It ends when its standard input does, writes down the arguments it was given, and then does what the test asks:
``step(50, 0.5)`` adds a row to the curves of the run, ``checkpoint()`` makes the run one that can go on.
"""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPT = """
import json, os, sys, time
from pathlib import Path

from medical_super_resolution.system.process import end_with_parent
import medical_super_resolution_training

assert sys.argv[1] == "--end-with-parent"
end_with_parent()
arguments = sys.argv[2:]
verb = arguments[0]
with (Path(__file__).parent / "arguments.jsonl").open("a") as file:
    file.write(json.dumps(arguments) + "\\n")
run = Path(arguments[arguments.index("--out") + 1]) if verb == "train" else None

def step(number, loss):
    with (run / "curve.csv").open("a") as file:
        file.write(f"{number},{loss}\\n")
    print(f"step {number}", flush=True)

def checkpoint():
    (run / "checkpoint-00000050.safetensors").touch()

def wait_for(name):
    while not (Path(__file__).parent / name).exists():
        time.sleep(0.01)

"""


def training_program(folder: Path, ending: str) -> list[str]:
    """Write the script into a folder; the command that runs it."""
    script = folder / "training.py"
    script.write_text(_SCRIPT + ending)
    return [sys.executable, str(script)]
