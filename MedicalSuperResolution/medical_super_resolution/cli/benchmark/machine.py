"""What was measured on, and with: date, versions and processor."""

from __future__ import annotations

import time
from typing import Any

import torch

from ...system.processor import processor_name
from ...system.software import __version__


def identity() -> dict[str, Any]:
    """Context of a measurement: date, versions of this package and of PyTorch, processor."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "version": __version__,
        "engine": f"torch {torch.__version__}",
        "processor": processor_name(),
    }
