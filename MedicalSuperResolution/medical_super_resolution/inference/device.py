"""The device to compute on, its abilities, and its failures as error messages."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from ..errors import DeviceError
from ..networks.narrow.integer_convolution import operator_is_exact
from ..physics.autocast import without_autocast
from ..system.process import available_cpus

_BFLOAT16_CHECKS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu, where there is no cpuinfo
_AMX_CHECKS = ("_is_amx_tile_supported",)
_VNNI_CHECKS = ("_is_vnni_supported",)


def pick_device(name: str) -> torch.device:
    """Return the device to compute on; "auto" takes the fastest there is.

    Raises
    ------
    DeviceError
        There is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("there is no CUDA device that PyTorch can use here; choose another device")
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("there is no Apple GPU that PyTorch can use here; choose another device")
    return torch.device(name)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU computes in bfloat16 itself: AVX-512 BF16, AMX, or the BF16 extension of Arm."""
    return _cpu_has("bf16", _BFLOAT16_CHECKS)


def cpu_has_amx() -> bool:
    """Whether the CPU multiplies whole matrices of bfloat16, as those of Intel do since Sapphire Rapids."""
    return _cpu_has("amx_bf16", _AMX_CHECKS)


def cpu_has_vnni() -> bool:
    """Whether the CPU adds up products of 8-bit integers in one instruction, VNNI of x86, and PyTorch uses it."""
    return _cpu_has("vnni", _VNNI_CHECKS) and operator_is_exact()


@functools.cache
def _cpu_has(flag: str, checks: tuple[str, ...]) -> bool:
    try:
        return flag in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return any(bool(getattr(torch.cpu, name, bool)()) for name in checks)


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Limit torch to ``count`` CPU threads inside the block; None keeps its number, at most the available CPUs."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or min(before, available_cpus()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep out what a caller has set for work of its own: autocast, a default device, and NumPy's errors at underflow.

    It holds for this thread alone. PyTorch's default type, which holds for all threads, is not changed.
    """
    cpu, cuda, mps = map(without_autocast, ("cpu", "cuda", "mps"))
    with torch.device("cpu"), cpu, cuda, mps, np.errstate(under="ignore"):
        yield


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether a graphics card ran out of memory; for Apple's, PyTorch has no exception of its own."""
    return isinstance(problem, torch.cuda.OutOfMemoryError) or "MPS backend out of memory" in str(problem)


def is_out_of_main_memory(problem: BaseException) -> bool:
    """Whether the computer ran out of memory; for PyTorch's share of it, there is no exception of its own."""
    text = str(problem)
    return isinstance(problem, MemoryError) or "allocate memory" in text or "not enough memory" in text


@contextmanager
def device_errors() -> Iterator[None]:
    """Turn device failures of PyTorch into `DeviceError`; other exceptions pass through."""
    try:
        yield
    except RuntimeError as problem:
        if is_out_of_memory(problem):
            raise DeviceError(
                "the graphics card ran out of memory; close other programs, or compute on the CPU"
            ) from problem
        if is_out_of_main_memory(problem):
            raise DeviceError(
                "the computer ran out of memory; crop the volume or ask for a smaller factor"
            ) from problem
        text = str(problem)
        if "start new thread" in text:
            raise DeviceError(
                "the computer can start no further thread; close other programs, or compute with fewer threads"
            ) from problem
        if "CUDA" in text or "MPS" in text:
            first = text.strip().splitlines()[0]
            raise DeviceError(f"the graphics card failed ({first}); try again, or compute on the CPU") from problem
        raise
