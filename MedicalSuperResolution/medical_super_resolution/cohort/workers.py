"""The workers of a cohort, through Dask: started here, one for each GPU, or found at a scheduler that runs already.

Studies are handed out one for each worker, the next one when another is done, so a scheduler never holds thousands. One
whose worker dies is given to another worker by the scheduler, which counts the deaths, also of workers on which a study
only waited. When it gives up, a study that was begun too often is set aside, and another one is handed out again.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, SuperResolutionError
from ..system.process import has_gpu_driver
from .discovery import Item
from .study import attempts_of, run_study
from .table import Row
from .task import Batch

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2  # of a study whose worker died
_GPU = "GPU"  # the resource that workers with one GPU declare
_COUNT_SECONDS = 5.0  # between two looks at how many workers there are
_CONNECT_SECONDS = 30
_LOADED = ["distributed", f"{__package__}.batch"]  # by the process whose forks are workers
_FORKS = sys.platform == "linux"  # elsewhere each worker starts from nothing
_DASK = {  # without them, what Dask measures of itself takes a tenth of a CPU
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.enabled": False,
} | ({"distributed.worker.multiprocessing-method": "forkserver"} if _FORKS else {})


def load_ahead() -> None:
    """Begin to load what workers compute with, in a process of which each worker is a fork; returns at once.

    Loading takes seconds: here as many as this process needs to get ready, once for all workers and those that take the
    place of dead ones.
    """
    if _FORKS and find_spec("distributed"):
        from multiprocessing import forkserver

        get_context("forkserver").set_forkserver_preload(_LOADED)
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # that process finds the modules that this one finds
        forkserver.ensure_running()
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path


@contextmanager
def local_workers(count: int, gpus: Sequence[str] = ()) -> Iterator[Client]:
    """Start worker processes on this computer, for the time of the block.

    Parameters
    ----------
    count : int
        How many.
    gpus : sequence of str
        Identifiers of CUDA devices, one for each worker; empty is none.
    """
    from dask import config
    from distributed import Client, Nanny, Scheduler, SpecCluster, WorkerPlugin

    class LeaveInterrupts(WorkerPlugin):
        """Ctrl-C reaches every process of a terminal; the client ends the workers itself."""

        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "allowed_failures": RETRIES}
    workers = {
        number: {"cls": Nanny, "options": worker_options(gpus[number] if gpus else None)} for number in range(count)
    }
    with (
        config.set(_DASK),
        SpecCluster(workers, {"cls": Scheduler, "options": options}, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(LeaveInterrupts())
        yield client


def worker_options(gpu: str | None) -> dict[str, Any]:
    """How a worker is started: one study at a time; if there is a ``gpu``, it sees that one alone."""
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "nthreads": 1,
        "memory_limit": 0,  # the engine bounds its memory
        "dashboard": False,  # the scheduler has one
        "silence_logs": logging.CRITICAL,
    }
    if gpu is not None:
        options |= {"resources": {_GPU: 1}, "env": {"CUDA_VISIBLE_DEVICES": gpu}}
    return options


@contextmanager
def workers_at(address: str) -> Iterator[Client]:
    """Connect to a scheduler that runs already, for the time of the block.

    Raises
    ------
    SettingsError
        There is none at the address.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as problem:
        raise SettingsError(
            f"there is no Dask scheduler at {address}; give its address as tcp://HOST:PORT"
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


def rows_from(
    client: Client,
    batch: Batch,
    items: Iterable[Item],
    work: Callable[[Batch, Item], Row] = run_study,
    attempts: Callable[[Batch, Item], int] = attempts_of,
) -> Iterator[Row]:
    """Let workers do studies, and give their rows in the order in which they end.

    Parameters
    ----------
    client : Client
        Of Dask.
    batch : Batch
        What is asked for.
    items : iterable of Item
        The studies; they are asked for when there is a worker for them.
    work : callable
        What a worker does with each.
    attempts : callable
        How many workers began a study and died of it, or while they had it.

    Raises
    ------
    SuperResolutionError
        The connection to the scheduler is lost.
    """
    from distributed import Future, as_completed

    waiting, under_way = iter(items), dict[Future, Item]()
    given_up: Counter[str] = Counter()  # how often the scheduler gave up a study
    ended, crew = as_completed(), _Crew(client, batch.settings.device)

    def hand_out(chosen: Iterable[Item]) -> None:
        for item in chosen:
            future = client.submit(work, batch, item, pure=False, resources=crew.resources)
            under_way[future] = item
            ended.add(future)

    def further() -> Iterator[Item]:
        return itertools.islice(waiting, max(0, crew.count() - len(under_way)))

    hand_out(further())
    for future in ended:
        item = under_way.pop(future)
        if _has_killed(future):
            given_up[item.name] += 1
            begun = attempts(batch, item)
            if begun <= RETRIES and given_up[item.name] <= RETRIES:
                hand_out([item])
            else:
                yield _set_aside(item, batch, begun)
        else:
            yield _row_of(future, batch, item)
        hand_out(further())


class _Crew:
    """How many workers there are now; those with a GPU if there are any, and the device may be one."""

    def __init__(self, client: Client, device: str) -> None:
        self._client, self._device = client, device
        self._count, self._until = 0, 0.0
        self.resources: dict[str, int] | None = None

    def count(self) -> int:
        if time.monotonic() >= self._until:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            with_gpu = [one for one in workers if one["resources"].get(_GPU)] if self._device != "cpu" else []
            self.resources = {_GPU: 1} if with_gpu else None
            self._count = max(1, len(with_gpu or workers))  # one waits for the first worker
            self._until = time.monotonic() + _COUNT_SECONDS
        return self._count


def _has_killed(future: Future) -> bool:
    from distributed.scheduler import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _set_aside(item: Item, batch: Batch, begun: int) -> Row:
    error = f"{begun} workers died while they had this study; it may need more memory than there is, see --max-memory"
    return Row(input=_source(item, batch), output=item.name, status="set aside", error=error)


def _row_of(future: Future, batch: Batch, item: Item) -> Row:
    if future.status == "finished":
        row: Row = future.result()
        return row
    if future.status in ("cancelled", "lost"):
        raise SuperResolutionError("the connection to the scheduler is lost; start it again, and go on with --resume")
    problem = future.exception()
    error = f"{type(problem).__name__}: {problem}"
    return Row(input=_source(item, batch), output=item.name, status="failed", error=error)


def _source(item: Item, batch: Batch) -> str:
    return str(item.source.relative_to(batch.folder))
