"""Dask workers of a cohort: started on this computer, or connected to a running scheduler."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from ...errors import SettingsError
from ...system.process import has_gpu_driver, interrupted_afterwards
from .scheduling import GPU, RETRIES

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_SECONDS = 30
_PRELOADED = ["distributed", f"{__package__.rpartition('.')[0]}.batch"]  # in the process that workers are forked from
_FORKS = sys.platform == "linux"  # elsewhere each worker is a new process that imports everything
_DASK = {  # with the defaults, the monitoring of Dask takes a tenth of a CPU
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.enabled": False,
} | ({"distributed.worker.multiprocessing-method": "forkserver"} if _FORKS else {})


def load_ahead() -> None:
    """Start to import what workers need, in the process that they will be forked from; return at once.

    The imports take seconds, once for all workers and their replacements, while this process prepares the cohort.
    """
    if _FORKS and find_spec("distributed"):
        from multiprocessing import forkserver

        get_context("forkserver").set_forkserver_preload(_PRELOADED)
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the new process must find the same modules
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which it inherits; Ctrl-C reaches it too
        forkserver.ensure_running()
        signal.signal(signal.SIGINT, before)
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path


@contextmanager
def local_workers(count: int, gpus: Sequence[str] = ()) -> Iterator[Client]:
    """Start worker processes on this computer, for the time of the block.

    They talk by TLS with a certificate that only they have, because whoever reaches a scheduler can run code by it.

    Parameters
    ----------
    count : int
        How many.
    gpus : sequence of str
        Identifiers of CUDA devices, one for each worker; empty for none.

    Raises
    ------
    SettingsError
        Dask fails to start them.
    """
    from dask import config
    from distributed import Client, Nanny, Scheduler, Security, SpecCluster, WorkerPlugin

    class LeaveInterrupts(WorkerPlugin):
        """Ignores Ctrl-C, which reaches all processes of a terminal; the client ends the workers."""

        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    security = Security.temporary()
    here = {"host": "127.0.0.1", "protocol": "tls", "security": security}
    options = {"dashboard_address": "127.0.0.1:0", "allowed_failures": RETRIES, **here}
    workers = {
        number: {"cls": Nanny, "options": worker_options(gpus[number] if gpus else None) | here}
        for number in range(count)
    }
    scheduler = {"cls": Scheduler, "options": options}
    with config.set(_DASK), ExitStack() as opened:
        with interrupted_afterwards():  # Dask fails to close workers that are still starting
            try:
                cluster = SpecCluster(workers, scheduler, security=security, silence_logs=logging.CRITICAL)
            except RuntimeError as problem:
                reason = str(problem).rstrip(".")
                raise SettingsError(
                    f"Dask cannot start its workers here: {reason}; it needs a home folder (HOME) and memory; or"
                    " use `medsr enhance IN OUT --jobs N`"
                ) from problem
            opened.enter_context(cluster)
        client = opened.enter_context(Client(cluster))
        client.register_plugin(LeaveInterrupts())
        yield client


def worker_options(gpu: str | None) -> dict[str, Any]:
    """Options of one worker: one study at a time; if there is a ``gpu``, it sees only that one."""
    options: dict[str, Any] = {
        "nthreads": 1,
        "memory_limit": 0,  # the engine limits its memory itself
        "dashboard": False,  # the scheduler has one
        "silence_logs": logging.CRITICAL,
    }
    if gpu is not None:
        options |= {"resources": {GPU: 1}, "env": {"CUDA_VISIBLE_DEVICES": gpu}}
    return options


@contextmanager
def workers_at(address: str) -> Iterator[Client]:
    """Connect to a scheduler that runs already, for the time of the block.

    Raises
    ------
    SettingsError
        There is none at the address, or it asks for a certificate that Dask's configuration does not name.
    """
    from distributed import Client

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # else a traceback where the scheduler ends
    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except TypeError as problem:  # TLS without a certificate
        raise SettingsError(
            f"the scheduler at {address} is reached by TLS, and Dask's configuration names no certificate for it; set"
            " distributed.comm.tls there"
        ) from problem
    except (OSError, ValueError) as problem:
        raise SettingsError(
            f"no Dask scheduler answers at {address}; give its address as tcp://HOST:PORT, or as tls://HOST:PORT where"
            " it asks for certificates"
        ) from problem
    with client:
        yield client


def gpus_here() -> list[str]:
    """Identifiers of the CUDA devices that this process may use."""
    if not has_gpu_driver():
        return []
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    count = torch.cuda.device_count()
    return [name.strip() for name in named.split(",") if name.strip()][:count] or [str(n) for n in range(count)]
