"""medsr: enhance, compare and describe medical volumes. For research. Not for diagnosis."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from ..errors import Cancelled, SuperResolutionError
from ..system.threads import wait_passively
from .parser import COMMANDS, complete, parser
from .terminal import quiet_when_unread

_CANCELLED_EXIT = 130


@quiet_when_unread
def main(typed: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 done, 1 failed, 2 usage, 130 interrupted, 141 output unread."""
    wait_passively()
    made = parser(__doc__)
    complete(made)
    chosen = made.parse_args(typed)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return COMMANDS[chosen.command].run(chosen)
    except SuperResolutionError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: the computer ran out of memory; crop the volume or ask for a smaller factor", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Cancelled) as stop:
        print(f"stopped; {stop or 'nothing was written'}", file=sys.stderr)
        return _CANCELLED_EXIT


def _interrupt(signal_number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
