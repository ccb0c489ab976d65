"""The processes of a batch end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from command_line import start

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what processes do"), pytest.mark.slow]


@pytest.mark.parametrize(("sent", "status"), [("SIGINT", 130), ("SIGTERM", 130), ("SIGHUP", 130), ("SIGKILL", -9)])
def test_the_processes_of_a_batch_end_with_it_and_leave_no_result(
    folder: Path, a_long_run: tuple[object, ...], sent: str, status: int
):
    command, large, _, *options = a_long_run
    source, results = folder / "in", folder / "out"
    source.mkdir()
    for name in ("one.nii", "two.nii", "three.nii"):
        (source / name).hardlink_to(large)
    with start(
        command, source, results, *options, "--jobs", 2, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while len(at_work(process, results)) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        if sent in ("SIGINT", "SIGHUP"):  # which a terminal sends to all
            os.killpg(process.pid, signal.Signals[sent])
        else:
            process.send_signal(signal.Signals[sent])
        _, err = process.communicate(timeout=30)  # until all that may print have ended
    assert process.returncode == status
    assert "Traceback" not in err
    assert list(results.rglob("*")) == []


def at_work(process: subprocess.Popen[str], results: Path) -> set[str]:
    """The children that hold a file in the folder of the results, as for a volume that is larger than the memory."""
    busy = set()
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        for descriptor in Path(f"/proc/{child}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was closed meanwhile
                if str(descriptor.readlink()).startswith(str(results)):
                    busy.add(child)
    return busy
