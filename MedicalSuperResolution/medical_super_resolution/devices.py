"""The device to compute on."""

from __future__ import annotations

import torch

from .errors import DeviceError


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
