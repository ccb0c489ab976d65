"""The device to compute on, and its failures in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DeviceError


def pick_device(name: str) -> torch.device:
    """The device to compute on; "auto" takes the fastest there is."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("there is no CUDA device that PyTorch can use here; choose --device auto or cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("there is no Apple GPU that PyTorch can use here; choose --device auto or cpu")
    return torch.device(name)


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Turn what PyTorch raises when a device fails into a `DeviceError`; all else goes through."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as problem:
        raise DeviceError(
            "the graphics card ran out of memory; close other programs or choose --device cpu"
        ) from problem
    except RuntimeError as problem:
        said = str(problem)
        if "allocate memory" in said or "not enough memory" in said:
            raise DeviceError(
                "the computer ran out of memory; crop the volume or ask for a smaller factor"
            ) from problem
        if "CUDA" in said or "MPS" in said:
            first = said.strip().splitlines()[0]
            raise DeviceError(f"the graphics card failed ({first}); try again, or choose --device cpu") from problem
        raise
