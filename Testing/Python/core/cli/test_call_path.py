"""From the command line of the engine to the written file, as docs/reference/architecture.md describes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import walk
from medical_super_resolution.cli import worker
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume


class OneRequest:
    """A queue with one command line, and the end behind it."""

    def __init__(self, arguments: list[str]) -> None:
        self.left = [json.dumps(arguments).encode()]

    def get(self) -> bytes:
        if not self.left:
            raise KeyboardInterrupt
        return self.left.pop()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], int]:
    """Run a command line as the process of Slicer does."""
    monkeypatch.setattr(worker, "lower_priority", lambda: None)
    monkeypatch.setattr(worker, "_read", lambda requests: None)

    def run(arguments: list[str]) -> int:
        monkeypatch.setattr(worker, "queue", SimpleNamespace(SimpleQueue=lambda: OneRequest(arguments)))
        return worker.serve()

    return run


def test_the_path_in_the_engine_is_as_documented(
    serve: Callable[[list[str]], int], a_volume: Volume, folder: Path, a_model_file: Path, capsys: pytest.CaptureFixture
):
    files.write(a_volume, folder / "in.nrrd", compress=False)
    arguments = ["enhance", str(folder / "in.nrrd"), str(folder / "out.nrrd"), "--progress", "json", "--no-compression"]
    with walk.Walk() as walked:
        serve([*arguments, "--model", str(a_model_file), "--device", "cpu"])
    assert capsys.readouterr().out.endswith('{"status": 0}\n')
    path = walk.documented("A volume's path in the engine")
    assert walk.gaps(path, walked) == []
    assert len(walked.callers) <= 68  # with the details, as the page states
