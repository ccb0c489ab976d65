"""The work of a cohort's worker in tests that kill it. Imports nothing, so workers start quickly."""

import os
import threading
from pathlib import Path

PID = "pid"
LOADED_BY = os.getpid()


def work(batch: object, item: object) -> str:
    """Return the name of a study; of ``deadly``, write the process into a file and wait for its end."""
    if item.name == "deadly":
        part = Path(batch.folder) / "part"
        part.write_text(str(os.getpid()))
        part.replace(Path(batch.folder) / PID)
        threading.Event().wait()
    return item.name


def die(item: object) -> None:
    """End the process, as the system does where memory runs out."""
    os._exit(9)


def tell_where_it_was_loaded(pipe: object) -> None:
    """Send the process that loaded this module, and the one that runs it."""
    pipe.send((LOADED_BY, os.getpid()))
