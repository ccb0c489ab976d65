"""Resources of a process: CPUs, GPU driver, waiting threads, priority, standard error, warnings, lifetime."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

# Threads of OpenMP spin while they wait for work. If other programs compute as well, spinning takes the cores from
# threads that have work, and a network of many short steps takes several times as long. Those of OpenBLAS, with which
# NumPy multiplies matrices, cannot be told to sleep; our matrices are small, and one thread is as fast.
_WAIT_PASSIVELY = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
    "OPENBLAS_NUM_THREADS": "1",
}
_NICE = 5  # of -20 to 19
_BELOW_NORMAL = 0x4000  # BELOW_NORMAL_PRIORITY_CLASS of Windows
_OF_A_TERMINAL = {signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)}  # Ctrl-C, and that it was closed


def wait_passively() -> None:
    """Let waiting threads sleep. Call it before torch is imported; settings of the user are kept."""
    for name, value in _WAIT_PASSIVELY.items():
        os.environ.setdefault(name, value)


def lower_priority() -> None:
    """Lower the priority of this process; on an idle machine, its speed is the same."""
    if sys.platform == "win32":
        this_process = ctypes.c_void_p(-1)  # a number alone would be cut to 32 bits
        ctypes.windll.kernel32.SetPriorityClass(this_process, _BELOW_NORMAL)
        return
    with suppress(OSError):  # a sandbox may forbid it
        os.nice(_NICE)


def search_path(*packages: Path) -> str:
    """The ``PYTHONPATH`` of a child process that is to import packages, given by their folders, from where they are."""
    homes = dict.fromkeys(str(package.parent) for package in packages)
    return os.pathsep.join(filter(None, [*homes, os.environ.get("PYTHONPATH")]))


def available_cpus(root: Path = Path("/")) -> int:
    """Return how many CPUs this process may use: its affinity, and the quota of its container, rounded up."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    return max(1, math.ceil(min([count, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """CPUs that the control groups allow; none where there is no limit."""
    for version, group in control_groups("cpu", root):
        names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        with suppress(OSError, ValueError):  # "max" is no number
            quota, period = " ".join((group / name).read_text() for name in names).split()
            if int(quota) > 0:  # -1 is no limit
                yield int(quota) / int(period)


def control_groups(controller: str, root: Path) -> Iterator[tuple[int, Path]]:
    """Yield version, 1 or 2, and folder of each control group of Linux that this process is in, and of those above it.

    Their limits are those of a container or of a service.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            version, mounted = 2, root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            version, mounted = 1, root / "sys/fs/cgroup" / controller
        else:
            continue
        group = Path(path.lstrip("/"))
        for part in (group, *group.parents):  # in a container, its own group may be mounted as the root
            yield version, mounted / part


def has_gpu_driver(root: Path = Path("/")) -> bool:
    """Whether there is a driver of CUDA or ROCm. Without one PyTorch, which takes seconds to import, finds no GPU."""
    if os.name == "nt" or (root / "dev/kfd").exists():  # on Windows, drivers have many names
        return True
    with suppress(OSError):
        return bool(ctypes.CDLL("libcuda.so.1"))
    return False


def of_all_threads(
    context: Callable[[], AbstractContextManager[None]],
) -> Callable[[], AbstractContextManager[None]]:
    """A context that changes the process, for several threads: the first one enters it, and the last one leaves it.

    If each thread entered and left it, one would restore what another has changed.
    """
    lock, inside, opened = threading.Lock(), 0, ExitStack()

    @contextmanager
    def shared() -> Iterator[None]:
        nonlocal inside
        with lock:
            if not inside:
                opened.enter_context(context())
            inside += 1
        try:
            yield
        finally:
            with lock:
                inside -= 1
                if not inside:
                    opened.close()

    return shared


@of_all_threads
@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress the warnings of Python inside the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@of_all_threads
@contextmanager
def silent() -> Iterator[None]:
    """Suppress what C libraries, such as those below ITK, print on standard error inside the block."""
    try:
        shown = os.dup(2)
    except OSError:  # a program without a standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)


def take_standard_input() -> int:
    """A descriptor of the standard input, for a thread that waits for it; the standard input itself becomes empty.

    On Windows, libraries look at the standard input as they are loaded, for which they wait while a thread reads it:
    NumPy would never be imported (its issue 24290).
    """
    taken, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return taken


@contextmanager
def ignored_by_children() -> Iterator[None]:
    """Let processes that are started inside the block ignore what a terminal sends to all; their parent ends them."""
    with _handled_by(signal.SIG_IGN, _OF_A_TERMINAL):
        yield


@contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Let the first signal that ends the program wait for the end of the block; a second one does not wait."""
    caught: list[int] = []

    def remember(number: int, frame: object) -> None:
        caught.append(number)
        waiting.close()

    with ExitStack() as waiting:
        heeded = [one for one in {*_OF_A_TERMINAL, signal.SIGTERM} if signal.getsignal(one) != signal.SIG_IGN]
        waiting.enter_context(_handled_by(remember, heeded))
        yield
    for number in caught:
        signal.raise_signal(number)  # for the handler from before


@contextmanager
def _handled_by(handler: Callable[[int, object], None] | signal.Handlers, numbers: Iterable[int]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def end_tidily() -> None:
    """Treat SIGTERM and the end of the terminal as Ctrl-C, so that work folders are removed; one ignored stays so."""
    for number, handler in ((signal.SIGTERM, interrupt), (getattr(signal, "SIGHUP", None), _terminate)):
        if number and signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, handler)


def _terminate(number: int, frame: object) -> None:
    """Handler of a signal that has the effect of SIGTERM, for which servers have handlers of their own."""
    signal.raise_signal(signal.SIGTERM)


def interrupt(number: int, frame: object) -> NoReturn:
    """Handler of a signal that interrupts once: what tidies up is not interrupted by a second one."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_with_parent() -> None:
    """Terminate this process when its parent ends, which closes its standard input unless it is of multiprocessing."""
    parent = multiprocessing.parent_process()
    wait = parent.join if parent else partial(_read_to_the_end, take_standard_input())
    threading.Thread(target=_terminate_after, args=(wait,), daemon=True).start()


def _read_to_the_end(descriptor: int) -> None:
    while os.read(descriptor, 1):  # not sys.stdin, whose lock would be held when Python ends
        pass


def _terminate_after(wait: Callable[[], object]) -> None:
    wait()
    os.kill(os.getpid(), signal.SIGTERM)
