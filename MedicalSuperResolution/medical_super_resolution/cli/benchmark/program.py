"""The whole program on a file: its time, its memory, and how soon it shows progress."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import SuperResolutionError
from ...models import store
from ...settings import EnhanceSettings, arguments_of
from ...system.process import search_path
from ...volumes.io import files
from ...volumes.volume import Volume
from .workloads import FACTOR

_PACKAGE = Path(__file__).parents[2]


def whole_program(model_name: str, volume: Volume, settings: EnhanceSettings) -> dict[str, Any]:
    """The command line on a file: wall time and its stages, peak memory, time to the first progress.

    The first line of progress names a stage; later ones count voxels.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, result, report_file = (Path(folder) / name for name in ("in.nii.gz", "out.nii.gz", "report.json"))
        files.write(volume, source)
        settings = replace(settings, model=str(store.find(model_name)))
        command = [sys.executable, "-m", _PACKAGE.name, "enhance", str(source), str(result)]
        command += ["--report", str(report_file), "--progress", "json", *arguments_of(settings)]
        started = time.perf_counter()
        pipe, environment = subprocess.PIPE, {**os.environ, "PYTHONPATH": search_path(_PACKAGE)}
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as child:
            assert child.stdout is not None  # it is a pipe
            first_line = first_voxels = None
            while first_voxels is None and (line := child.stdout.readline()):
                first_line = first_line or time.perf_counter() - started
                if json.loads(line).get("done"):
                    first_voxels = time.perf_counter() - started
            _, errors = child.communicate()
        seconds = time.perf_counter() - started
        if child.returncode:
            raise SuperResolutionError(f"the whole program did not come to its end: {errors.strip()}")
        report = json.loads(report_file.read_text())
    output_mb, peak_mb = volume.array.nbytes * FACTOR / 1e6, report["peak_memory_mb"]
    facts = {
        "program_seconds": seconds,
        "program_seconds_to_first_line": first_line,
        "program_seconds_to_first_voxels": first_voxels,
        "program_stages_seconds": report["stages"],
        "program_peak_memory_mb": peak_mb,
        "output_mb": output_mb,
    }
    return facts | ({"memory_ratio": peak_mb / output_mb} if peak_mb else {})
