"""Worker process that runs command lines one after the other, for a program that must not load PyTorch itself.

``python -m medical_super_resolution.cli.worker`` reads a JSON list of arguments of `medsr` from each line of its
standard input, and answers on standard output with ``{"status": N}``, the exit status of that command, behind what the
command has printed. Starting Python and PyTorch takes seconds, which all commands but the first save. Its priority is
lower than that of the program.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading

from ..system.process import lower_priority, take_standard_input
from .main import main
from .terminal import INTERRUPTED_EXIT

_BLOCK = 65536


def serve() -> int:
    """Run the command lines on standard input until it ends, or until SIGTERM, which also interrupts a command.

    Returns
    -------
    Exit status: 130 where a command was interrupted, which has tidied up, else 0.
    """
    lower_priority()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    while request := _next(requests):
        status = main(json.loads(request))
        print(json.dumps({"status": status}), flush=True)
        if status == INTERRUPTED_EXIT:
            return status
    return 0


def _next(requests: queue.SimpleQueue[bytes]) -> bytes:
    """The next line; empty at the end."""
    try:
        if request := requests.get():
            return request
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which `_read` sends, too
    except KeyboardInterrupt:  # `main` has turned SIGTERM into it
        pass
    return b""


def _read(requests: queue.SimpleQueue[bytes]) -> None:
    waiting, descriptor = b"", take_standard_input()
    while block := os.read(descriptor, _BLOCK):  # not sys.stdin, whose lock would be held when Python ends
        *lines, waiting = (waiting + block).split(b"\n")
        for line in lines:
            requests.put(line)
    requests.put(b"")  # because a signal that comes just before the main thread waits does not wake it
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(serve())
