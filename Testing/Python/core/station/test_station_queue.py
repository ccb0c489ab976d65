"""The queue of the station: received images are on the disk, complete when they are quiet, and counted."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from medical_super_resolution.station.queue import Queue, label
from medical_super_resolution.station.received import TooLate
from medical_super_resolution.station.room import QueueFull, size_of
from station_doubles import Clock, no_room


def test_an_image_is_on_the_disk_when_it_is_acknowledged_and_its_path_names_nobody(a_queue: Queue):
    assert a_queue.add("1.2.3", "1.2.3.4", b"image")
    (path,) = a_queue.folder.rglob("*.dcm")
    assert path.read_bytes() == b"image"
    assert path.relative_to(a_queue.folder).as_posix() == f"receiving/{label('1.2.3')}/{label('1.2.3.4')}.dcm"


@pytest.mark.skipif(os.name == "nt", reason="permissions of folders are those of POSIX")
def test_only_its_owner_may_look_into_the_queue(a_queue: Queue):
    assert {path.stat().st_mode & 0o077 for path in (a_queue.folder, *a_queue.folder.iterdir())} == {0}


def test_a_series_is_complete_after_it_was_quiet(a_queue: Queue, a_clock: Clock):
    a_queue.add("1", "1.1", b"a")
    assert a_queue.complete(quiet_seconds=5) == []
    a_clock.ahead = 6
    assert a_queue.complete(quiet_seconds=5) == [label("1")]
    assert [folder.name for folder in a_queue.waiting()] == [label("1")]


def test_each_image_makes_its_series_wait_anew(a_queue: Queue, a_clock: Clock):
    a_queue.add("1", "1.1", b"a")
    a_clock.ahead = 4
    a_queue.add("1", "1.2", b"b")
    a_clock.ahead = 8
    assert a_queue.complete(quiet_seconds=5) == []
    a_clock.ahead = 10
    assert a_queue.complete(quiet_seconds=5) == [label("1")]


def test_the_oldest_series_comes_first(a_queue: Queue):
    for uid in ("1", "2", "3"):
        a_queue.add(uid, "1.1", b"a")
    a_queue.complete(quiet_seconds=-1)
    for seconds, folder in enumerate(reversed(found := sorted(a_queue.waiting()))):
        os.utime(folder, (seconds, seconds))
    assert a_queue.waiting() == found[::-1]


def test_a_clock_that_was_set_back_does_not_hold_up_a_series(tmp_path: Path):
    queue = Queue(tmp_path / "queue", largest_bytes=10)
    queue.add("1", "1.1", b"a")
    for path in queue.folder.glob("receiving/**/*"):
        os.utime(path, (time.time() + 3600,) * 2)  # as if it were an hour earlier since
    assert queue.complete(quiet_seconds=0) == [label("1")]


def test_what_comes_again_after_completion_is_dropped(a_queue: Queue, a_clock: Clock):
    a_queue.add("1", "1.1", b"a")
    a_clock.ahead = 6
    a_queue.complete(quiet_seconds=5)
    assert not a_queue.add("1", "1.1", b"a")
    a_queue.finish(label("1"))
    assert not a_queue.add("1", "1.2", b"b")
    assert list(a_queue.folder.rglob("*.dcm")) == []


def test_a_waiting_series_that_gets_another_image_was_not_complete(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    a_queue.complete(quiet_seconds=-1)
    assert a_queue.add("1", "1.2", b"b")
    assert not a_queue.take(label("1"))
    a_queue.complete(quiet_seconds=-1)
    assert a_queue.take(label("1"))
    with pytest.raises(TooLate):
        a_queue.add("1", "1.3", b"c")
    assert not a_queue.add("1", "1.2", b"b")
    (folder,) = a_queue.waiting()
    assert len(list(folder.iterdir())) == 2


def test_what_is_kept_of_a_done_series_is_counted_until_it_is_forgotten(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    a_queue.complete(quiet_seconds=-1)
    workspace = a_queue.workspace(label("1"))
    workspace.mkdir()
    a_queue.enhanced(label("1"), workspace, "A@b:1")
    a_queue.finish(label("1"))
    assert a_queue._room.used_bytes == size_of(a_queue.folder) > 0
    a_queue.forget(older_than_seconds=-1)
    assert a_queue._room.used_bytes == size_of(a_queue.folder) == 0


def test_a_series_that_goes_on_while_the_waiting_ones_are_listed_is_no_failure(
    a_queue: Queue, monkeypatch: pytest.MonkeyPatch
):
    for uid in ("1", "2"):
        a_queue.add(uid, "1.1", b"a")
    a_queue.complete(quiet_seconds=-1)
    is_dir = Path.is_dir

    def meanwhile(path: Path) -> bool:
        found = is_dir(path)
        if path == a_queue.folder / "waiting" / label("1"):
            a_queue.add("1", "1.2", b"b")
        return found

    monkeypatch.setattr(Path, "is_dir", meanwhile)
    assert [folder.name for folder in a_queue.waiting()] == [label("2")]


def test_an_image_that_comes_while_old_marks_are_forgotten_is_kept(a_queue: Queue, monkeypatch: pytest.MonkeyPatch):
    remove, arriving = shutil.rmtree, threading.Thread(target=a_queue.add, args=("1", "1.1", b"a"))

    def slowly(folder: Path) -> None:
        arriving.start()
        arriving.join(0.5)
        remove(folder)

    (a_queue.folder / "receiving" / label("1")).mkdir()
    monkeypatch.setattr("shutil.rmtree", slowly)
    a_queue.forget(older_than_seconds=-1)
    arriving.join()
    assert len(list(a_queue.folder.glob("receiving/*/*.dcm"))) == 1


def test_a_queue_at_its_size_refuses_and_has_room_again_when_a_series_is_done(tmp_path: Path):
    queue = Queue(tmp_path / "queue", largest_bytes=10)
    queue.add("1", "1.1", bytes(10))
    with pytest.raises(QueueFull, match="--max-storage"):
        queue.add("2", "2.1", b"x")
    queue.complete(quiet_seconds=0)
    queue.finish(label("1"))
    assert queue.add("2", "2.1", b"x")


def test_a_queue_at_its_size_has_room_again_when_someone_removes_what_was_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("medical_super_resolution.station.room._RECOUNT_SECONDS", 0.0)
    queue = Queue(tmp_path / "queue", largest_bytes=1000)
    queue.add("1", "1.1", bytes(900))
    (series,) = queue.complete(quiet_seconds=0)
    queue.fail(series, "damaged")
    with pytest.raises(QueueFull, match="remove series from its failed/"):
        queue.add("2", "2.1", bytes(900))
    shutil.rmtree(tmp_path / "queue" / "failed" / series)
    assert queue.add("2", "2.1", bytes(900))


def test_what_the_queue_holds_is_counted_from_the_first_image_to_the_last(a_queue: Queue):
    def is_counted() -> bool:
        return a_queue._room.used_bytes == size_of(a_queue.folder)

    for _ in range(2):  # as a caller does that got no answer
        a_queue.add("1", "1.1", b"image")
        assert is_counted()
    (series,) = a_queue.complete(quiet_seconds=-1)
    workspace = a_queue.workspace(series)
    workspace.mkdir()
    for name in ("1.dcm", "2.dcm"):
        (workspace / name).write_bytes(b"derived")
    a_queue.enhanced(series, workspace, "A@b:1")
    assert is_counted()
    for image in a_queue.sending()[0].glob("*.dcm"):
        a_queue.sent(image)
        assert is_counted()
    a_queue.finish(series)
    assert is_counted()  # the names of what was received stay


def test_images_that_arrive_while_a_series_is_removed_are_counted(a_queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def slowly(folder: Path) -> int:
        a_queue.add("2", "2.1", bytes(10))
        return size_of(folder)

    a_queue.add("1", "1.1", bytes(5))
    a_queue.complete(quiet_seconds=-1)
    monkeypatch.setattr("medical_super_resolution.station.queue.size_of", slowly)
    a_queue.finish(label("1"))
    assert a_queue._room.used_bytes == size_of(a_queue.folder) == 10


def test_what_a_killed_station_left_half_written_is_removed(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    part = a_queue.folder / "receiving" / label("1") / "2.part"
    part.touch()
    (a_queue.workspace(label("1"))).mkdir()
    again = Queue(a_queue.folder, largest_bytes=10)
    assert not part.exists()
    assert sorted(path.name for path in again.folder.iterdir()) == ["done", "failed", "receiving", "sending", "waiting"]


def test_a_series_killed_between_two_renamings_is_enhanced_once(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    a_queue.complete(quiet_seconds=-1)
    (a_queue.folder / "sending" / label("1")).mkdir()
    again = Queue(a_queue.folder, largest_bytes=10)
    assert (again.waiting(), len(again.sending())) == ([], 1)
    (a_queue.folder / "done" / label("1")).touch()
    assert Queue(a_queue.folder, largest_bytes=10).sending() == []


def test_images_that_come_again_at_once_after_a_kill_begin_no_series_of_their_own(a_queue: Queue):
    for image in ("1.1", "1.2"):
        a_queue.add("1", image, b"a")
    a_queue.complete(quiet_seconds=-1)
    workspace = a_queue.workspace(label("1"))
    workspace.mkdir()
    source = a_queue.folder / "waiting" / label("1")
    (workspace / "received.txt").write_text("\n".join(image.name for image in source.iterdir()))
    workspace.replace(a_queue.folder / "sending" / label("1"))
    (source / f"{label('1.1')}.dcm").unlink()  # then it was killed
    again = Queue(a_queue.folder, largest_bytes=10)
    assert not again.add("1", "1.1", b"a")
    assert again.complete(quiet_seconds=-1) == []


def test_the_time_in_which_the_station_did_not_run_does_not_count(a_queue: Queue, a_clock: Clock):
    a_queue.add("1", "1.1", b"a")
    a_clock.ahead = 3600
    again = Queue(a_queue.folder, largest_bytes=10, clock=a_clock)
    assert again.complete(quiet_seconds=5) == []
    a_clock.ahead = 3606
    assert again.complete(quiet_seconds=5) == [label("1")]


def test_a_series_of_which_an_image_had_no_room_is_not_enhanced_before_it_came(
    a_queue: Queue, a_clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    a_queue.add("1", "1.1", b"a")
    with monkeypatch.context() as full:
        full.setattr("os.fsync", no_room)
        with pytest.raises(OSError, match="No space left"):
            a_queue.add("1", "1.2", b"b")
    assert not list(a_queue.folder.rglob("*.part"))
    a_clock.ahead = 6
    assert a_queue.complete(quiet_seconds=5) == []
    assert not a_queue.is_known("1")
    (reason,) = a_queue.folder.glob("failed/*/reason.txt")
    assert "no room for some images" in reason.read_text()
    assert a_queue.add("1", "1.2", b"b")
    a_clock.ahead = 12
    assert a_queue.complete(quiet_seconds=5) == [label("1")]
    assert len(list((a_queue.folder / "waiting" / label("1")).glob("*.dcm"))) == 2
    assert not [path for path in a_queue.folder.rglob("*") if path.suffix in (".txt", ".missing")]


def test_a_mark_beside_its_image_which_a_killed_station_left_holds_up_nothing(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    (image,) = a_queue.folder.glob("receiving/*/*.dcm")
    image.with_suffix(".missing").touch()
    assert a_queue.complete(quiet_seconds=-1) == [label("1")]


def test_a_series_whose_first_image_had_no_room_is_not_enhanced_either(a_queue: Queue, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=1000, free=0))
        with pytest.raises(QueueFull):
            a_queue.add("1", "1.1", b"a")
    assert a_queue.complete(quiet_seconds=-1) == []
    assert list((a_queue.folder / "failed").iterdir()) == []  # nothing of it is there to be set aside
    a_queue.add("1", "1.2", b"b")
    assert a_queue.complete(quiet_seconds=-1) == []
    assert a_queue.waiting() == []


def test_a_series_that_was_set_aside_is_received_further_like_others(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    (series,) = a_queue.complete(quiet_seconds=-1)
    a_queue.take(series)
    a_queue.fail(series, "too few slices")
    for number in (2, 3):
        assert a_queue.add("1", f"1.{number}", b"b")
        assert a_queue.complete(quiet_seconds=-1) == [series]
    assert len(list(a_queue.waiting()[0].iterdir())) == 3


def test_series_that_were_received_as_a_whole_are_known_and_marks_are_forgotten_when_they_are_old(a_queue: Queue):
    a_queue.add("1", "1.1", b"a")
    assert not a_queue.is_known("1")
    (series,) = a_queue.complete(quiet_seconds=-1)
    assert a_queue.is_known("1")
    a_queue.workspace(series).mkdir()
    a_queue.enhanced(series, a_queue.folder / "enhancing" / series, "A@b:1")
    assert a_queue.is_known("1")
    a_queue.finish(series)
    a_queue.forget(older_than_seconds=60)
    assert a_queue.is_known("1")
    os.utime(a_queue.folder / "done" / series, (0, 0))
    a_queue.forget(older_than_seconds=60)
    assert not a_queue.is_known("1")


def test_a_reason_that_names_a_folder_in_another_encoding_sets_the_series_aside_too(a_queue: Queue, a_clock: Clock):
    """Else the series would wait forever, and all others behind it."""
    a_queue.add("1", "1.1", b"a")
    a_clock.ahead = 6
    (series,) = a_queue.complete(quiet_seconds=5)
    a_queue.take(series)
    a_queue.fail(series, "/\udcff cannot be read")
    (reason,) = a_queue.folder.glob("failed/*/reason.txt")
    assert reason.read_text(encoding="utf-8") == "/\\udcff cannot be read\n"


def test_a_part_of_the_disk_is_left_for_derived_images(a_queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=1000, free=110))
    with pytest.raises(QueueFull, match="free some space"):
        a_queue.add("1", "1.1", bytes(11))
    assert a_queue.add("1", "1.1", bytes(10))
