"""What is changed for the whole process while several threads work comes back when the last one is done."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import warnings
from types import SimpleNamespace

import pytest

from medical_super_resolution.system import process
from medical_super_resolution.system.process import silent, without_warnings
from medical_super_resolution.volumes.dicom.images.header import quietly


def state() -> tuple[object, ...]:
    """Where standard error goes, the filters of warnings, and how pydicom reads."""
    config = pytest.importorskip("pydicom").config
    error = os.fstat(2)
    return error.st_dev, error.st_ino, list(warnings.filters), config.convert_wrong_length_to_UN


@pytest.mark.parametrize("context", [silent, without_warnings, quietly])
def test_a_thread_that_leaves_while_another_is_inside_leaves_nothing_changed(context):
    before, inside = state(), []
    other_is_inside, first_has_left = threading.Event(), threading.Event()

    def work() -> None:
        with context():
            other_is_inside.set()
            first_has_left.wait()
            inside.append(state())

    other = threading.Thread(target=work)
    with context():
        changed = state()
        other.start()
        other_is_inside.wait()
    first_has_left.set()
    other.join()
    assert changed != before
    assert inside == [changed]
    assert state() == before


def test_standard_error_that_was_silent_takes_no_descriptor():
    """Each packed image of a series is read in silence, and a process may hold some hundred descriptors."""

    def next_descriptor() -> int:
        found = os.dup(2)
        os.close(found)
        return found

    before = next_descriptor()
    with silent():
        pass
    assert next_descriptor() == before


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_a_signal_interrupts_once_and_one_that_is_ignored_not_at_all():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
        process.end_tidily()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # while it tidies up
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_the_end_of_the_terminal_ends_a_server_by_its_own_handler_of_sigterm():
    before, stopped = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}, []
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        process.end_tidily()
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
        signal.raise_signal(signal.SIGHUP)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert stopped


def test_on_windows_the_handle_of_this_process_has_the_width_of_a_pointer(monkeypatch: pytest.MonkeyPatch):
    """ctypes passes a number as 32 bits, which is no handle of a process of 64 bits."""
    given: list[object] = []
    kernel = SimpleNamespace(GetCurrentProcess=lambda: -1, SetPriorityClass=lambda *values: given.extend(values))
    monkeypatch.setattr(process.ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(process.sys, "platform", "win32")
    process.lower_priority()
    assert isinstance(given[0], ctypes.c_void_p)
