"""Scheduling of studies on workers: one for each worker at a time, so that the Dask scheduler never holds thousands.

Dask retries a study whose worker died on another worker, and gives up after `RETRIES` deaths. It counts a death even if
the study only waited on that worker. A study on which Dask gave up is therefore submitted again, unless more than
`RETRIES` workers died while processing it, or Dask gave up on it more often than that without any study ending.

A function with an importable name is sent by its name, and a worker without that module would wait for ever. So the
function that is sent here has none; it compares the software of the worker with ours before it unpickles the study.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import SettingsError, SuperResolutionError
from ...system.identity import software
from ..discovery import Item
from ..study import attempts_of, run_study
from ..table import Row
from ..task import Batch

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2  # of a study whose worker died
GPU = "GPU"  # the resource that workers with one GPU declare
_COUNT_SECONDS = 5.0  # between two queries of the number of workers


def rows_from(
    client: Client,
    batch: Batch,
    items: Iterable[Item],
    work: Callable[[Batch, Item], Row] = run_study,
    attempts: Callable[[Batch, Item], int] = attempts_of,
) -> Iterator[Row]:
    """Process studies on workers, and yield their rows as they finish.

    Parameters
    ----------
    client : Client
        Dask client, connected to the workers.
    batch : Batch
        What to do.
    items : iterable of Item
        The studies; the next one is taken when there is a worker for it.
    work : callable
        Processes one study on a worker.
    attempts : callable
        Returns the number of workers that died while processing a study.

    Raises
    ------
    SettingsError
        A worker has other software than this computer.
    SuperResolutionError
        The connection to the scheduler is lost, or a worker cannot work on any study.
    """
    from distributed import Future, as_completed
    from distributed.protocol import pickle

    waiting, running = iter(items), dict[Future, Item]()
    given_up: Counter[str] = Counter()  # how often Dask gave up on a study since any study ended
    ended, workers, run_on_worker = as_completed(), _Workers(client, batch.settings.device), _sent_function()

    def submit(chosen: Iterable[Item]) -> None:
        for item in chosen:
            study = pickle.dumps((work, batch, item))
            future = client.submit(run_on_worker, software(), study, pure=False, resources=workers.resources)
            running[future] = item
            ended.add(future)

    def next_items() -> Iterator[Item]:
        return itertools.islice(waiting, max(0, workers.count() - len(running)))

    submit(next_items())
    for future in ended:
        item = running.pop(future)
        if _killed_its_workers(future):
            given_up[item.name] += 1
            begun = attempts(batch, item)
            if begun <= RETRIES and given_up[item.name] <= RETRIES:
                submit([item])
            else:
                yield _set_aside(item, batch, begun)
        else:
            given_up.clear()
            yield _row_of(future, batch, item)
        submit(next_items())


class _Workers:
    """The number of workers now: of those with a GPU, if there are any and the device may be one."""

    def __init__(self, client: Client, device: str) -> None:
        self._client, self._device = client, device
        self._count, self._until = 0, 0.0
        self.resources: dict[str, int] | None = None

    def count(self) -> int:
        if time.monotonic() >= self._until:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            with_gpu = [one for one in workers if one["resources"].get(GPU)] if self._device != "cpu" else []
            self.resources = {GPU: 1} if with_gpu else None
            self._count = max(1, len(with_gpu or workers))  # with no worker yet, one study waits for the first
            self._until = time.monotonic() + _COUNT_SECONDS
        return self._count


def _sent_function() -> Callable[[str, bytes], Any]:
    """The function that a worker runs on a study; it has no importable name, so Dask sends its code."""

    def run_on_worker(ours: str, study: bytes) -> Any:  # noqa: ANN401 - what the work returns
        from distributed import get_worker
        from distributed.protocol import pickle

        try:
            from medical_super_resolution.system.identity import software

            has = software()
        except ImportError:
            has = "of another version, or none"
        if has != ours:
            return "other software", get_worker().address, has
        work, batch, item = pickle.loads(study)
        return work(batch, item)

    return run_on_worker


def _killed_its_workers(future: Future) -> bool:
    from distributed.scheduler import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _set_aside(item: Item, batch: Batch, begun: int) -> Row:
    error = f"{begun} workers died while they had this study; it may need more memory than there is, see --max-memory"
    if begun <= RETRIES:
        error = "workers died again and again before they began this study; look at what they print"
    return Row(input=_source(item, batch), output=item.name, status="set aside", error=error)


def _row_of(future: Future, batch: Batch, item: Item) -> Row:
    if future.status == "finished":
        match future.result():
            case ("other software", worker, has):
                raise SettingsError(
                    f"the worker {worker} has medical-super-resolution {has}, and this computer {software()}; "
                    "install the same version there, start the worker again, and continue with --resume"
                )
            case row:
                return row
    if future.status in ("cancelled", "lost"):
        raise SuperResolutionError(
            "the connection to the scheduler is lost; start it again, and continue with --resume"
        )
    problem = future.exception()
    if isinstance(problem, SuperResolutionError):  # not of this study: each other one would fail there, too
        raise problem
    error = f"{type(problem).__name__}: {problem}"
    return Row(input=_source(item, batch), output=item.name, status="failed", error=error)


def _source(item: Item, batch: Batch) -> str:
    return str(item.source.relative_to(batch.folder))
