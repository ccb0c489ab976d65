"""The name of the processor."""

from __future__ import annotations

import functools
import platform
from contextlib import suppress
from pathlib import Path


@functools.cache
def processor_name(known: Path = Path("/proc/cpuinfo")) -> str:
    """The name of the processor: from Linux's file ``known``, or what Python knows elsewhere."""
    with suppress(OSError):
        for line in known.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
