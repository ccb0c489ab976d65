"""A pipeline of threads through the sections of a network, each with its own slices.

A thread holds the lock of its section, and releases it after acquiring that of the next one. So slices stay in order,
and the state of a section belongs to one thread at a time. The threads share the memory of one stream, and wait only if
one catches up with another.
"""

from __future__ import annotations

from threading import Lock
from types import TracebackType
from typing import TypeVar

_Turn = TypeVar("_Turn", bound="Turn")


class Sections:
    """The locks of one stream, and the exception that ended it."""

    def __init__(self) -> None:
        self.problem: BaseException | None = None
        self._locks: list[Lock] = []

    def lock(self, number: int) -> Lock:
        """The lock of a section; only the foremost thread can create a new one."""
        if number == len(self._locks):
            self._locks.append(Lock())
        return self._locks[number]


class Turn:
    """One pass of a thread through all sections, as a context manager.

    Attributes
    ----------
    is_ending : bool
        Whether all slices have been pushed, so that only waiting ones remain.

    Raises
    ------
    BaseException
        The exception of another turn, also from `next_section`: the stream cannot be used any more.
    """

    def __init__(self, sections: Sections) -> None:
        self.is_ending = False
        self._sections = sections
        self._number = -1
        self._held: Lock | None = None

    def __enter__(self: _Turn) -> _Turn:
        self.next_section()
        return self

    def next_section(self) -> None:
        """Wait for the next section, then leave the present one."""
        lock = self._sections.lock(self._number + 1)
        lock.acquire()
        self._leave()
        self._number, self._held = self._number + 1, lock
        if self._sections.problem is not None:
            self._leave()
            raise self._sections.problem

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sections.problem = self._sections.problem or problem
        self._leave()

    def _leave(self) -> None:
        if self._held is not None:
            self._held.release()
        self._held = None
