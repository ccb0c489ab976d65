"""The process that runs one command after the other for another program ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

# `main` as the worker meets it: SIGTERM interrupts the command, which then ends with status 130
_PROGRAM = """
import signal, sys, time
from medical_super_resolution.cli import worker

def interrupt(number, frame):
    raise KeyboardInterrupt

def main(arguments):
    signal.signal(signal.SIGTERM, interrupt)
    try:
        print("began", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        return 130

worker.main = main
sys.exit(worker.serve())
"""


@pytest.fixture
def a_busy_worker() -> Iterator[subprocess.Popen[str]]:
    """A worker in the middle of a command."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as worker:
        worker.stdin.write('["enhance"]\n')
        worker.stdin.flush()
        assert worker.stdout.readline() == "began\n"
        yield worker
        worker.kill()


def test_a_command_line_that_comes_in_parts_is_read_whole():
    program = "from medical_super_resolution.cli import worker\n"
    program += "worker.main = lambda arguments: len(arguments[0])\nworker.serve()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as worker:
        worker.stdin.write(json.dumps(["x" * 200_000]) + "\n")  # more than a pipe holds
        worker.stdin.flush()
        answer = worker.stdout.readline()
        worker.kill()
    assert answer == '{"status": 200000}\n'


def test_it_ends_with_its_program_in_the_middle_of_a_command(a_busy_worker: subprocess.Popen[str]):
    a_busy_worker.stdin.close()
    a_busy_worker.wait(timeout=30)


@pytest.mark.skipif(os.name == "nt", reason="a matter of signals")
def test_it_ends_once_its_command_was_interrupted(a_busy_worker: subprocess.Popen[str]):
    a_busy_worker.send_signal(signal.SIGTERM)
    assert a_busy_worker.wait(timeout=30) == 130
    assert a_busy_worker.stdout.read() == '{"status": 130}\n'


def test_it_ends_with_its_program_although_no_signal_wakes_it():
    """A signal that comes between two instructions of a thread that begins to wait does not."""
    program = (
        "import sys; from medical_super_resolution.cli import worker; worker.os.kill = print; sys.exit(worker.serve())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = subprocess.run([sys.executable, "-c", program], env=environment, input=b"", timeout=30, check=False)
    assert found.returncode == 0


_WORKER = "from medical_super_resolution.cli import worker; worker.main = main; worker.serve()"
_WITH_PARENT = "from medical_super_resolution.system.process import end_with_parent; end_with_parent(); main()"


@pytest.mark.parametrize("program", [_WORKER, _WITH_PARENT])
def test_the_standard_input_is_empty_while_a_thread_waits_for_its_end(program: str):
    """On Windows, NumPy would never be imported, were the thread to wait at the standard input itself."""
    main = "import os\ndef main(*arguments): os._exit(40 + len(os.read(0, 1)))\n"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", main + program], stdin=subprocess.PIPE, env=environment) as process:
        try:
            process.stdin.write(b'["enhance"]\n')
            process.stdin.flush()
            assert process.wait(timeout=30) == 40
        finally:
            process.kill()
