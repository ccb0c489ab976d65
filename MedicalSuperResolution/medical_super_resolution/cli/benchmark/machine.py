"""What was measured on, and with: date, versions and processor."""

from __future__ import annotations

import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ...system.software import __version__


def identity() -> dict[str, Any]:
    """Context of a measurement: date, versions of this package and of PyTorch, processor."""
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
