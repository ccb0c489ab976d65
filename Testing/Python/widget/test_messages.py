"""Texts for the time left and for failures."""

from __future__ import annotations

from typing import Any

import pytest

from medical_super_resolution.errors import Cancelled, VolumeError


@pytest.fixture
def messages(a_slicer: Any) -> Any:
    from MedicalSuperResolutionLib import messages

    return messages


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (41.4, "41 s"), (90, "2 min"), (3540, "59 min"), (3599, "1 h 0 min"), (3900, "1 h 5 min")],
)
def test_durations_are_written_in_rounded_units(messages: Any, seconds: float, said: str):
    assert messages.duration(seconds) == said


@pytest.mark.parametrize(
    ("megabytes", "said"), [(0.02, "0.1 MB"), (3.14, "3.1 MB"), (149.9, "150 MB"), (1000, "1.0 GB"), (1234, "1.2 GB")]
)
def test_sizes_are_written_in_rounded_units(messages: Any, megabytes: float, said: str):
    assert messages.size(megabytes) == said


def test_the_time_left_is_estimated_from_the_first_step_on(messages: Any):
    now = [100.0]
    left = messages.TimeLeft(clock=lambda: now[0])
    said = []
    for time, done in [(100, 0), (120, 10), (120.5, 11), (130, 20), (140, 30)]:
        now[0] = time
        said.append(left.sentence(done, 100, "refining" if done else ""))
    assert said == [
        "Starting...",
        "Enhancing...",
        "Enhancing...",
        "Enhancing, about 80 s left",
        "Enhancing, about 70 s left",
    ]


def test_the_time_left_runs_down_until_the_next_report(messages: Any):
    now = [0.0]
    left = messages.TimeLeft(clock=lambda: now[0])
    said = []
    for time, done in [(0, 10), (100, 20), (200, 20), (400, 20), (5000, 20)]:
        now[0] = time
        said.append(left.seconds(done, 60))
    assert said == [None, 400, 300, 100, 10]


def test_a_run_that_goes_back_is_timed_from_there(messages: Any):
    now = [0.0]
    left = messages.TimeLeft(clock=lambda: now[0])
    assert left.seconds(100, 200) is None
    now[0] = 10.0
    assert left.seconds(50, 200) is None
    now[0] = 20.0
    assert left.seconds(100, 200) == 20


def test_a_known_failure_is_shown_and_ends_there(messages: Any, errors_shown: list[str]):
    with messages.shown_errors("It failed."):
        raise VolumeError("the volume is empty")
    assert errors_shown == ["The volume is empty."]


def test_a_wish_to_stop_shows_nothing(messages: Any, errors_shown: list[str]):
    with messages.shown_errors("It failed."):
        raise Cancelled
    assert errors_shown == []


def test_an_unknown_failure_is_shown_once_and_goes_on(messages: Any, errors_shown: list[str]):
    with pytest.raises(KeyError), messages.shown_errors("It failed."):
        raise KeyError("x")
    assert errors_shown == ["It failed.\n\n'x'"]


def test_in_testing_mode_an_unknown_failure_is_only_raised(messages: Any, errors_shown: list[str], a_slicer: Any):
    a_slicer.testingEnabled = lambda: True
    with pytest.raises(KeyError), messages.shown_errors("It failed."):
        raise KeyError("x")
    assert errors_shown == []
