"""Studies go to workers one at a time, so that a scheduler never holds thousands.

One whose worker dies is given to another worker by the scheduler, which counts the deaths, also of workers on which a
study only waited. When it gives up, a study that was begun too often is set aside, and another one is handed out again,
unless no study ended in the meantime.

Dask hands a function over by its name. A worker that cannot find it ends, and the study would wait for ever. So what is
handed over here is code, which compares the software of the worker with ours before it reads the study.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import SettingsError, SuperResolutionError
from ...system.software import software
from ..discovery import Item
from ..study import attempts_of, run_study
from ..table import Row
from ..task import Batch

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2  # of a study whose worker died
GPU = "GPU"  # the resource that workers with one GPU declare
_COUNT_SECONDS = 5.0  # between two looks at how many workers there are


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
        Of Dask.
    batch : Batch
        What to do.
    items : iterable of Item
        The studies; they are asked for when there is a worker for them.
    work : callable
        What a worker does with each.
    attempts : callable
        How many workers began a study and died of it, or while they had it.

    Raises
    ------
    SettingsError
        A worker has other software than this computer.
    SuperResolutionError
        The connection to the scheduler is lost.
    """
    from distributed import Future, as_completed
    from distributed.protocol import pickle

    waiting, under_way = iter(items), dict[Future, Item]()
    given_up: Counter[str] = Counter()  # how often the scheduler gave up a study since another one ended
    ended, crew, carry_out = as_completed(), _Crew(client, batch.settings.device), _carry_out()

    def hand_out(chosen: Iterable[Item]) -> None:
        for item in chosen:
            study = pickle.dumps((work, batch, item))
            future = client.submit(carry_out, software(), study, pure=False, resources=crew.resources)
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
            given_up.clear()
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
            with_gpu = [one for one in workers if one["resources"].get(GPU)] if self._device != "cpu" else []
            self.resources = {GPU: 1} if with_gpu else None
            self._count = max(1, len(with_gpu or workers))  # one waits for the first worker
            self._until = time.monotonic() + _COUNT_SECONDS
        return self._count


def _carry_out() -> Callable[[str, bytes], Any]:
    """The function that a worker runs on a study; it has no importable name, so Dask sends it as code."""

    def carry_out(ours: str, study: bytes) -> Any:  # noqa: ANN401 - what the work returns
        from distributed import get_worker
        from distributed.protocol import pickle

        try:
            from medical_super_resolution.system.software import software

            has = software()
        except ImportError:
            has = "of another version, or none"
        if has != ours:
            return "other software", get_worker().address, has
        work, batch, item = pickle.loads(study)
        return work(batch, item)

    return carry_out


def _has_killed(future: Future) -> bool:
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
    error = f"{type(problem).__name__}: {problem}"
    return Row(input=_source(item, batch), output=item.name, status="failed", error=error)


def _source(item: Item, batch: Batch) -> str:
    return str(item.source.relative_to(batch.folder))
