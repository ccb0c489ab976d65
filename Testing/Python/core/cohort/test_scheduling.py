"""Studies are handed out to workers, whatever happens to these."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import deadly_study
from medical_super_resolution.cohort.discovery import Item
from medical_super_resolution.cohort.distribution import scheduling, workers
from medical_super_resolution.cohort.distribution.scheduling import rows_from
from medical_super_resolution.cohort.distribution.workers import local_workers, worker_options
from medical_super_resolution.cohort.table import Row
from medical_super_resolution.cohort.task import Batch
from medical_super_resolution.errors import SettingsError

distributed = pytest.importorskip("distributed")


def test_no_more_studies_are_handed_out_than_there_are_workers(a_batch: Batch, a_client):
    handed_out = []

    def studies() -> Iterator[Item]:
        for number in range(60):
            handed_out.append(number)
            yield Item(a_batch.folder / "in", str(number))

    ahead = []
    for done, _ in enumerate(rows_from(a_client, a_batch, studies(), deadly_study.work)):
        ahead.append(len(handed_out) - done)
    assert len(ahead) == 60
    assert max(ahead) == 2


def kill_twice(client: distributed.Client, file: Path) -> None:
    """End the worker whose process a file names, twice; not before Dask knows all workers, which it restarts."""

    def all_are_known() -> bool:
        processes = [nanny.process for nanny in client.cluster.workers.values()]
        return all(process and process.status.name == "running" for process in processes)

    for _ in range(2):
        while not (file.exists() and all_are_known()):
            time.sleep(0.02)
        pid = int(file.read_text())
        file.unlink()
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_study_that_kills_workers_is_set_aside_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in (workers, scheduling):
        monkeypatch.setattr(module, "RETRIES", 1)
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    items = [Item(tmp_path, name) for name in ("one", "deadly", "two", "three")]
    with local_workers(2) as client:
        threading.Thread(target=kill_twice, args=(client, tmp_path / deadly_study.PID), daemon=True).start()
        rows = list(rows_from(client, batch, items, deadly_study.work, lambda *_: 2))
    assert sorted(row for row in rows if isinstance(row, str)) == ["one", "three", "two"]
    (row,) = (row for row in rows if isinstance(row, Row))
    assert (row.output, row.status) == ("deadly", "set aside")
    assert "2 workers died" in row.error


@pytest.mark.parametrize(("begun", "handed_out"), [(0, 3), (2, 3), (3, 1)])
def test_a_study_that_only_waited_while_workers_died_is_handed_out_again(
    tmp_path: Path, a_client, begun: int, handed_out: int
):
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    times = tmp_path / "times"

    def given_up(batch: object, item: Item) -> str:
        with times.open("a") as file:
            file.write(".")
        raise distributed.scheduler.KilledWorker(item.name, SimpleNamespace(address="one"), 2)

    (row,) = rows_from(a_client, batch, [Item(tmp_path, "one")], given_up, lambda *_: begun)
    assert (row.status, times.stat().st_size) == ("set aside", handed_out)
    assert ("3 workers died while they had" in row.error) == (begun == 3)


def test_a_worker_with_other_software_is_named_and_reads_no_study(
    tmp_path: Path, a_client, monkeypatch: pytest.MonkeyPatch
):
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    monkeypatch.setattr(scheduling, "software", lambda: "0.0.1 (code of another time)")
    rows = rows_from(a_client, batch, [Item(tmp_path, "one")], deadly_study.work)
    with pytest.raises(
        SettingsError, match=r"the worker inproc:\S+ has medical-super-resolution \S+ \(code \w+\), and .* 0\.0\.1"
    ):
        next(rows)


def test_a_worker_without_this_package_is_named(tmp_path: Path, a_client, monkeypatch: pytest.MonkeyPatch):
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    monkeypatch.setitem(sys.modules, "medical_super_resolution.system.identity", None)
    with pytest.raises(SettingsError, match=r"has medical-super-resolution of another version, or none"):
        next(rows_from(a_client, batch, [Item(tmp_path, "one")], deadly_study.work))


_LOADED_AHEAD = """
import sys
sys.path[:0] = {paths}
from multiprocessing import get_context
from medical_super_resolution.cohort.distribution import workers
workers._PRELOADED = ["deadly_study"]
workers.load_ahead()
context = get_context("forkserver")
here, there = context.Pipe()
import deadly_study
context.Process(target=deadly_study.tell_where_it_was_loaded, args=(there,)).start()
loaded_by, child = here.recv()
assert len({{loaded_by, child, deadly_study.LOADED_BY}}) == 3, (loaded_by, child, deadly_study.LOADED_BY)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each worker loads for itself")
def test_workers_are_forks_of_a_process_that_has_loaded_what_they_need():
    script = _LOADED_AHEAD.format(paths=[path for path in sys.path if path])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are no forks")
def test_the_process_that_workers_are_forked_from_ignores_ctrl_c_from_its_start():
    script = (
        "import signal\n"
        "from multiprocessing.forkserver import _forkserver\n"
        "from medical_super_resolution.cohort.distribution import workers\n"
        "workers._PRELOADED = []\n"
        "workers.load_ahead()\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "print(open(f'/proc/{_forkserver._forkserver_pid}/status').read())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True\n")  # the command itself still ends by Ctrl-C
    ignored = next(line for line in done.stdout.splitlines() if line.startswith("SigIgn:"))
    assert int(ignored.split()[1], 16) & 1 << signal.SIGINT - 1


def test_a_worker_sees_one_gpu_and_offers_it_as_a_resource():
    assert worker_options("2")["env"] == {"CUDA_VISIBLE_DEVICES": "2"}
    assert worker_options("2")["resources"] == {"GPU": 1}
    assert "resources" not in worker_options(None)
