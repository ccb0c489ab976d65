"""How fast the engine is on this machine, and how near to what its network alone would cost.

Every figure of one report comes from one run, on synthetic volumes, so that ratios are fair. Nothing else should be
running meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import models
from .acquisition import fine_centres
from .devices import pick_device
from .inference import enhance
from .learning.blocks import in_memory_order
from .models import Model
from .settings import EnhanceSettings
from .volumes import files
from .volumes.grid import Grid
from .volumes.volume import Volume

FACTOR = 4
_OVERLAP = 0.25  # of MONAI's windows, its default
_WINDOW = (32, 96, 96)


def run(model_name: str, device_name: str, *, side: int, slices: int, threads: int | None) -> dict[str, Any]:
    """Measure everything; one entry for each line of the report."""
    model = models.load(models.find(model_name))
    device = pick_device(device_name)
    if threads:
        torch.set_num_threads(threads)
    volume = body(side, slices)
    settings = EnhanceSettings(factor=FACTOR, axes="k", device=device.type, threads=threads)
    facts: dict[str, Any] = {
        "model": model.name,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "volume": f"{volume.grid.described()}, x{FACTOR}",
    }
    facts |= whole_program(model_name, volume, settings)  # first: a child's peak begins with its parent's
    enhance(body(32, 8), model, settings)  # the first call of a library is never the fastest
    seconds, enhanced = timed(lambda: enhance(volume, model, settings))
    facts["engine_seconds"] = seconds
    facts["microseconds_per_measured_voxel"] = 1e6 * seconds / volume.array.size
    facts["stages_seconds"] = enhanced.report.stages
    bare = bare_forward_seconds(model, volume, device)
    facts["bare_forward_seconds"] = bare
    facts["overhead_ratio"] = seconds / bare
    facts["air_ratio"] = air_ratio(model, settings, side, slices)
    twice, _ = timed(lambda: enhance(body(side, 2 * slices), model, settings))
    facts["growth_ratio"] = twice / seconds
    return facts | sliding_window(model, volume, device, seconds)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, CUDA's queue included, and what it gives."""
    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def body(side: int, slices: int, *, air: float = 0.0) -> Volume:
    """A noisy synthetic CT, reproducible; the part ``air`` of its columns is constant air."""
    random = np.random.default_rng(0)
    array = random.normal(40, 20, (slices, side, side))
    array += 200 * np.sin(np.arange(side) / 9)[None, :, None] * np.cos(np.arange(side) / 7)
    array[:, : round(side * air)] = -1000
    return Volume(array.astype(np.int16), Grid(array.shape, np.diag([0.8, 0.8, 0.8 * FACTOR, 1.0])), modality="ct")


@torch.inference_mode()
def bare_forward_seconds(model: Model, volume: Volume, device: torch.device) -> float:
    """The same network on the same voxels as one large tensor: no tiles, no files, no data consistency."""
    generator = in_memory_order(model.generator.to(device))
    lr = torch.from_numpy(volume.array.astype(np.float32))[None, None].to(device) / 2000
    positions = torch.from_numpy(fine_centres(len(volume.array) * FACTOR, FACTOR)).to(device)
    with torch.autocast("cuda", enabled=device.type == "cuda"):
        generator(lr[:, :, :4], positions[: 4 * FACTOR], FACTOR)
        return timed(lambda: generator(lr, positions, FACTOR))[0]


def air_ratio(model: Model, settings: EnhanceSettings, side: int, slices: int) -> float:
    """Time for a volume that is half air over the time for the same with a breath of noise in the air."""
    still = body(side, slices, air=0.5)
    noise = np.random.default_rng(1).integers(0, 2, still.array.shape, dtype=np.int16)
    restless = Volume(still.array + noise, still.grid, modality="ct")
    return timed(lambda: enhance(still, model, settings))[0] / timed(lambda: enhance(restless, model, settings))[0]


@torch.inference_mode()
def sliding_window(model: Model, volume: Volume, device: torch.device, seconds: float) -> dict[str, Any]:
    """MONAI's sliding_window_inference around the same network, where MONAI is installed."""
    try:  # no dependency of ours
        from monai.inferers import sliding_window_inference
    except ImportError:
        return {"monai": "not installed; pip install monai to compare"}
    generator = model.generator.to(device)
    lr = torch.from_numpy(volume.array.astype(np.float32))[None, None].to(device) / 2000
    positions = torch.from_numpy(fine_centres(_WINDOW[0] * FACTOR, FACTOR)).to(device)

    def usual() -> object:
        return sliding_window_inference(
            lr, _WINDOW, 1, lambda window: generator(window, positions, FACTOR), overlap=_OVERLAP, mode="gaussian"
        )

    with torch.autocast("cuda", enabled=device.type == "cuda"):
        theirs, _ = timed(usual)
    return {"monai_seconds": theirs, "monai_ratio": theirs / seconds}


def whole_program(model_name: str, volume: Volume, settings: EnhanceSettings) -> dict[str, Any]:
    """The command line on a file: wall time, time to the first progress, peak memory over what the output takes."""
    with tempfile.TemporaryDirectory() as folder:
        files.write(volume, Path(folder) / "in.nii.gz")
        command = [sys.executable, "-m", __package__, "enhance", "in.nii.gz", "out.nii.gz", "--report", "report.json"]
        command += ["--factor", str(FACTOR), "--axes", "k", "--device", settings.device, "--progress", "json"]
        command += ["--model", str(models.find(model_name).resolve())]
        command += ["--threads", str(settings.threads)] if settings.threads else []
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdout is not None  # asked for above
        child.stdout.readline()
        first = time.perf_counter() - started
        child.stdout.read()
        child.wait()
        report = json.loads((Path(folder) / "report.json").read_text())
    return {
        "program_seconds": time.perf_counter() - started,
        "program_seconds_to_first_progress": first,
        "program_peak_memory_mb": report["peak_memory_mb"],
        "output_mb": volume.array.nbytes * FACTOR / 1e6,
    }


def described(facts: dict[str, Any]) -> list[str]:
    """The facts as lines for people."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            text = ", ".join(f"{part} {seconds:.2f}" for part, seconds in value.items())
        else:
            text = f"{value:.3g}" if isinstance(value, float) else str(value)
        lines.append(f"{name.replace('_', ' '):36s} {text}")
    return lines
