"""A script that replaces the engine of `Runner`, and queries about the child that runs it.

The script reads the arguments of `medsr enhance` from lines of its standard input, ends when that does, and does for
each line what the test asks: ``finish()`` gives the input back as the result, ``step(done, total)`` prints progress...
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT_NAME = "engine.py"
_SCRIPT = """
import json, os, queue, signal, sys, threading, time
from pathlib import Path

import medical_super_resolution

requests = queue.Queue()

def read():
    waiting = b""
    while block := os.read(0, 4096):
        *lines, waiting = (waiting + block).split(b"\\n")
        for line in lines:
            requests.put(json.loads(line))
    os._exit(1)

threading.Thread(target=read, daemon=True).start()

def step(done, total):
    print(json.dumps({"done": done, "total": total}), flush=True)

def finish():
    Path(output).write_bytes(Path(given).read_bytes())
    if "--uncertainty" in arguments:
        Path(arguments[arguments.index("--uncertainty") + 1]).write_bytes(Path(given).read_bytes())
    Path(report).write_text(json.dumps(REPORT))

def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.01)

while True:
    arguments = requests.get()
    given, output, report = arguments[1], arguments[2], arguments[arguments.index("--report") + 1]
    ENDING
    print(json.dumps({"status": 0}), flush=True)
"""


def engine_command(folder: Path, report: dict[str, Any], ending: str) -> list[str]:
    """Write the script into a folder; the command that runs it."""
    script = folder / SCRIPT_NAME
    script.write_text(
        _SCRIPT.replace("ENDING", ending.replace("\n", "\n    ")).replace(
            "REPORT", f"json.loads({json.dumps(report)!r})"
        )
    )
    return [sys.executable, str(script)]


def child_id(temporary_folder: Path) -> int:
    """The process id that a child wrote into a file "pid" in its private folder."""
    written = eventually(lambda: [text for path in temporary_folder.glob("*/pid") if (text := path.read_text())])
    return int(written[0])


def is_alive(process_id: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(process_id, 0)
        return sys.platform != "linux" or "State:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def eventually(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition holds; its value then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("this did not happen in time")
