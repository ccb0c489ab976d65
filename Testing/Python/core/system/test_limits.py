"""Memory and CPUs that a process may use: of the computer, or of the container that it runs in."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from command_line import PACKAGE_ROOT
from medical_super_resolution.system import memory
from medical_super_resolution.system import process as threads

_OF_THREADS = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_")


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"},
        {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000000", "sys/fs/cgroup/a/b/memory.max": ""},
        {"proc/self/cgroup": "0::/host/path\n", "sys/fs/cgroup/memory.max": "1000000\n"},
        {"proc/self/cgroup": "5:cpu,memory:/docker/x\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000\n"},
    ],
    ids=["version 2", "a group above", "mounted as the top", "version 1"],
)  # fmt: skip
def test_the_limit_of_a_container_is_seen(tmp_path: Path, files: dict[str, str]):
    assert memory.physical_bytes(written(tmp_path, files)) == 1_000_000


@pytest.mark.parametrize("limit", ["max\n", f"{1 << 62}\n", "damaged\n"])
def test_a_container_without_a_limit_has_the_memory_of_the_computer(tmp_path: Path, limit: str):
    root = written(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": limit})

    assert memory.physical_bytes(root) == memory._computer_bytes()


def test_windows_is_asked_for_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fill(pointer) -> int:
        status = pointer._obj
        assert status.length == ctypes.sizeof(status) == 64
        status.total = 17_000_000_000
        return 1

    kernel = SimpleNamespace(kernel32=SimpleNamespace(GlobalMemoryStatusEx=fill))
    monkeypatch.setattr(ctypes, "windll", kernel, raising=False)
    monkeypatch.setattr(memory.sys, "platform", "win32")

    assert memory.physical_bytes(tmp_path) == 17_000_000_000


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/system.slice/a.service\n", {"system.slice/a.service/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2),
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("", {}, 8),
    ],
)
def test_the_cpus_of_a_container_or_service_are_counted(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)

    root = written(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert threads.available_cpus(written(root, {"proc/self/cgroup": groups})) == expected


@pytest.mark.skipif(os.name == "nt", reason="drivers have many names on Windows")
def test_a_gpu_is_looked_for_only_where_there_is_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(name=name))
    assert threads.has_gpu_driver(tmp_path)

    def is_missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", is_missing)
    assert not threads.has_gpu_driver(tmp_path)
    assert threads.has_gpu_driver(written(tmp_path, {"dev/kfd": ""}))


def test_threads_wait_passively_and_keep_no_buffers_in_our_programs_and_what_the_user_set_stays():
    program = (
        "import os; from medical_super_resolution.cli.main import main\n"
        "from medical_super_resolution.system.memory import keep_freed_blocks\n"
        "try: main(['--version'])\nexcept SystemExit: keep_freed_blocks()\n"
        "names = 'OMP_WAIT_POLICY', 'KMP_BLOCKTIME', 'OPENBLAS_NUM_THREADS', 'MKL_DISABLE_FAST_MM'\n"
        "print(*map(os.environ.get, names))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THREADS)}
    for given, expected in (
        ({}, "PASSIVE 0 1 1"),
        ({"KMP_BLOCKTIME": "200", "OPENBLAS_NUM_THREADS": "2", "MKL_DISABLE_FAST_MM": "0"}, "PASSIVE 200 2 0"),
    ):
        found = subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, **given, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.splitlines()[-1] == expected


@pytest.mark.skipif(os.name == "nt", reason="priorities of Unix")
def test_the_worker_of_another_program_has_a_lower_priority_than_it():
    command = [sys.executable, "-m", "medical_super_resolution.cli.worker"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as worker:
        worker.stdin.write('["info", "no-such-file.nii"]\n')
        worker.stdin.flush()
        assert worker.stdout.readline() == '{"status": 1}\n'
        priority = os.getpriority(os.PRIO_PROCESS, worker.pid)
    assert priority > min(os.getpriority(os.PRIO_PROCESS, 0), 18)  # 19 is the lowest there is
