"""Workers of a cohort on this computer: who can reach them."""

from __future__ import annotations

import logging
import signal
from contextlib import AbstractContextManager

import pytest

from medical_super_resolution.cohort.distribution.workers import local_workers, workers_at
from medical_super_resolution.errors import SettingsError
from medical_super_resolution.system.process import interrupt

distributed = pytest.importorskip("distributed")


@pytest.mark.slow
def test_only_the_one_who_started_the_workers_can_run_code_by_them():
    with local_workers(1) as client:
        client.wait_for_workers(1, timeout=30)
        scheduler, workers = client.scheduler.address, client.scheduler_info()["workers"]
        assert all(address.startswith("tls://") for address in (scheduler, *workers))
        assert all(worker["nanny"].startswith("tls://") for worker in workers.values())
        with pytest.raises(OSError):  # noqa: PT011 - closed or timed out
            distributed.Client(scheduler.replace("tls://", "tcp://"), timeout=1)
        with pytest.raises(OSError):  # noqa: PT011 - closed or timed out
            distributed.Client(scheduler, security=distributed.Security.temporary(), timeout=1)


def test_a_scheduler_that_ends_leaves_one_sentence_and_no_traceback_of_dask(a_client):
    with workers_at(a_client.scheduler.address):
        assert not logging.getLogger("distributed.client").isEnabledFor(logging.ERROR)


def test_workers_that_dask_cannot_start_are_a_sentence(monkeypatch: pytest.MonkeyPatch):
    def no_home(*_: object, **__: object) -> None:
        raise RuntimeError("Cluster failed to start: Could not determine home directory.")

    monkeypatch.setattr(distributed, "SpecCluster", no_home)
    with pytest.raises(SettingsError, match=r"Could not determine home directory; it needs a home folder \(HOME\)"):
        local_workers(1).__enter__()


@pytest.mark.parametrize(("signals", "events"), [(1, ["started", "closed"]), (2, [])])
def test_ctrl_c_while_workers_start_waits_for_them_and_a_second_one_does_not(
    signals: int, events: list[str], monkeypatch: pytest.MonkeyPatch
):
    happened = []

    class Cluster(AbstractContextManager):
        def __init__(self, *_: object, **__: object) -> None:
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)
            happened.append("started")

        def __exit__(self, *_: object) -> None:
            happened.append("closed")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(distributed, "SpecCluster", Cluster)
    with pytest.raises(KeyboardInterrupt), local_workers(1):
        pytest.fail("nobody interrupted it")
    assert happened == events
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_sigterm_does_not_interrupt_the_closing_of_workers_that_were_starting(monkeypatch: pytest.MonkeyPatch):
    happened = []

    class Cluster(AbstractContextManager):
        def __init__(self, *_: object, **__: object) -> None:
            signal.raise_signal(signal.SIGTERM)

        def __exit__(self, *_: object) -> None:
            signal.raise_signal(signal.SIGTERM)
            happened.append("closed")

    before = signal.signal(signal.SIGTERM, interrupt)
    monkeypatch.setattr(distributed, "SpecCluster", Cluster)
    try:
        with pytest.raises(KeyboardInterrupt), local_workers(1):
            pytest.fail("nobody interrupted it")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert happened == ["closed"]
