"""Computing in the precision of the tensors, whatever is set around."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

# For Apple's graphics cards PyTorch has autocast from version 2.5, and tells from 2.4 whether it has.
_is_there = getattr(torch.amp, "is_autocast_available", lambda kind: kind != "mps")
_WITH_AUTOCAST = tuple(filter(_is_there, ("cpu", "cuda", "mps")))


def without_autocast(kind: str) -> AbstractContextManager[None]:
    """Keep out autocast on a kind of device, such as "cuda", where there is any."""
    return torch.autocast(kind, enabled=False) if kind in _WITH_AUTOCAST else nullcontext()
