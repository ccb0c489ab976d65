"""Super-resolution of medical volumes: thin slices from thick ones, with the measured data kept.

For research. Not for diagnosis.

The names below are imported when they are first used, so that ``import medical_super_resolution`` loads neither torch
nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .system.identity import __version__

if TYPE_CHECKING:
    from .api.enhance import EnhanceTransform, enhance
    from .api.fuse import fuse
    from .inference.fusion.settings import FusionSettings
    from .models.weight_interpolation import load_model
    from .settings import EnhanceSettings
    from .volumes.io.files import read, write
    from .volumes.volume import Volume

__all__ = [
    "EnhanceSettings",
    "EnhanceTransform",
    "FusionSettings",
    "Volume",
    "__version__",
    "enhance",
    "fuse",
    "load_model",
    "read",
    "write",
]

_HOMES = {
    "EnhanceSettings": "settings",
    "EnhanceTransform": "api.enhance",
    "FusionSettings": "inference.fusion.settings",
    "Volume": "volumes.volume",
    "enhance": "api.enhance",
    "fuse": "api.fuse",
    "load_model": "models.weight_interpolation",
    "read": "volumes.io.files",
    "write": "volumes.io.files",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
