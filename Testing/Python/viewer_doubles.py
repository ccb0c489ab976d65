"""What stands in for a run of the viewer, and slices as its server sends them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

if TYPE_CHECKING:
    from starlette.testclient import TestClient


TOKEN = "right"


LIMIT = 20_000


SPACING = (1.0, 2.0, 4.0)


class RunDouble:
    """Replaces the process: the test decides when it ends, and the result has twice the slices."""

    last: RunDouble

    def __init__(self, arguments: list[str], folder: Path, finished: Callable[[], None]) -> None:
        self.status, self.message, self.part = "running", "", 0.25
        self.arguments, self.folder, self._finished = arguments, folder, finished
        RunDouble.last = self

    def finish(self) -> None:
        before = files.read(Path(self.arguments[0]))
        grid = before.grid.refined("k", 2)
        files.write(Volume(np.repeat(before.array, 2, axis=0), grid), self.folder / "result.nii.gz")
        (self.folder / "report.json").write_text('{"model": "general"}')
        self._finished()
        self.status, self.message = "done", "Done."

    def cancel(self, message: str = "") -> None:
        if self.status == "running":
            self.status, self.message = "cancelled", message


def pixels(client: TestClient, session: str, image: str, plane: str, number: int) -> np.ndarray:
    answer = client.get(f"{session}/slices/{image}/{plane}/{number}")
    assert answer.status_code == 200, answer.text
    shape = int(answer.headers["x-rows"]), int(answer.headers["x-columns"])
    return np.frombuffer(answer.content, np.dtype(answer.headers["x-type"]).newbyteorder("<")).reshape(shape)
