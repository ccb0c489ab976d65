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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import floors, models
from .acquisition import fine_centres
from .devices import pick_device
from .errors import SuperResolutionError
from .inference import enhance
from .learning.generators.through_plane import ThroughPlaneGenerator
from .models import Model
from .process_memory import keep_freed_blocks
from .progress import ignore
from .refinement import Refiner
from .settings import EnhanceSettings
from .volumes import files
from .volumes.grid import Grid
from .volumes.intensity import HOUNSFIELD_RANGE, IntensityRange
from .volumes.volume import Volume
from .workbench import Workbench

FACTOR = 4
_OVERLAP = 0.25  # of MONAI's windows, its default
_WINDOW = (32, 96, 96)
_SMALL_TILES_GB = 0.1
_ROUNDS = 2  # of what is compared, one after the other in turn; the quicker one counts


def run(model_name: str, settings: EnhanceSettings, *, side: int, slices: int) -> dict[str, Any]:
    """Measure everything; one entry for each line of the report. ``settings`` : device, precision and threads."""
    keep_freed_blocks()
    model = models.load(models.find(model_name))
    if not isinstance(model.generator, ThroughPlaneGenerator):
        raise SuperResolutionError(f"the benchmark measures models that refine slice sequences; {model.name} is none")
    device = pick_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    settings = replace(settings, factor=float(FACTOR), axes="k", device=device.type, model=model.name)
    volume = body(side, slices)
    bench = Workbench(settings, device, 1, ignore)
    facts: dict[str, Any] = {
        "model": model.name,
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(),
        "precision": bench.precision,
        "threads": torch.get_num_threads(),
        "volume": f"{volume.grid.described()}, x{FACTOR}",
    }
    facts |= whole_program(model_name, volume, settings)  # first: outside Linux a child's peak begins with its parent's
    enhance(body(32, 8), model, settings)  # the first call of a library is never the fastest
    network = Bare(model, volume, bench)
    engine: list[float] = []
    bare: list[float] = []
    for _ in range(_ROUNDS):
        engine_seconds, enhanced = timed(lambda: enhance(volume, model, settings))
        engine.append(engine_seconds)
        bare.append(timed(network.whole)[0])
    seconds = min(engine)
    facts["engine_seconds"] = seconds
    facts["microseconds_per_measured_voxel"] = 1e6 * seconds / volume.array.size
    facts["stages_seconds"] = enhanced.report.stages
    facts["bare_forward_seconds"] = min(bare)
    facts["overhead_ratio"] = seconds / min(bare)
    facts["air_ratio"] = air_ratio(model, settings, side, slices)
    twice = min(timed(lambda: enhance(body(side, 2 * slices), model, settings))[0] for _ in range(_ROUNDS))
    facts["growth_ratio"] = twice / seconds
    facts |= floors.compared(network.refiner.generator, bench, volume.array.size, FACTOR, seconds)
    return facts | seams(model, settings, network, seconds)


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


class Bare:
    """The same network, as the engine prepares it, on the same voxels: no files, no profile, no data consistency."""

    def __init__(self, model: Model, volume: Volume, bench: Workbench) -> None:
        assert isinstance(model.generator, ThroughPlaneGenerator)  # others were refused
        self.bench = bench
        self.refiner = Refiner(model.generator, bench)
        self.lr = torch.from_numpy(IntensityRange(*HOUNSFIELD_RANGE).normalised(volume.array))[None, None]
        self.lr = self.lr.to(bench.device)

    @torch.inference_mode()
    def forward(self, lr: Tensor) -> Tensor:
        """Fine slices of (N, 1, K, J, I)."""
        positions = torch.from_numpy(fine_centres(lr.shape[2] * FACTOR, FACTOR)).to(lr.device)
        with self.bench.mixed_precision():
            return self.refiner.generator(lr, positions, FACTOR)

    def whole(self) -> Tensor:
        """Of all voxels as one large tensor, without tiles."""
        return self.forward(self.lr)


def air_ratio(model: Model, settings: EnhanceSettings, side: int, slices: int) -> float:
    """Time for a volume that is half air over the time for the same with a breath of noise in the air."""
    still = body(side, slices, air=0.5)
    noise = np.random.default_rng(1).integers(0, 2, still.array.shape, dtype=np.int16)
    restless = Volume(still.array + noise, still.grid, modality="ct")
    return timed(lambda: enhance(still, model, settings))[0] / timed(lambda: enhance(restless, model, settings))[0]


@torch.inference_mode()
def seams(model: Model, settings: EnhanceSettings, network: Bare, seconds: float) -> dict[str, Any]:
    """The engine in small tiles and MONAI's sliding window, compared with the untiled network.

    A seam is the largest difference, as a part of the range.
    """
    low, high = HOUNSFIELD_RANGE
    untiled = network.whole()[0, 0].cpu().numpy()
    values = network.lr[0, 0].cpu().numpy() * (high - low) + low
    volume = Volume(values, Grid(values.shape, np.diag([0.8, 0.8, 0.8 * FACTOR, 1.0])), modality="ct")
    small = replace(settings, consistency=False, memory_gb=_SMALL_TILES_GB, slice_profile="gaussian")
    tiled = enhance(volume, model, small).volume.array
    facts: dict[str, Any] = {"engine_seam": float(np.abs((tiled - low) / (high - low) - untiled).max())}
    try:  # the extra `benchmark`
        from monai.inferers import sliding_window_inference
    except ImportError:
        return facts | {"monai": "not installed; pip install medical-super-resolution[benchmark] to compare with it"}

    def usual() -> Any:  # noqa: ANN401 - MONAI gives a tensor, or several
        window = tuple(min(size, count) for size, count in zip(_WINDOW, network.lr.shape[2:], strict=True))
        return sliding_window_inference(network.lr, window, 1, network.forward, overlap=_OVERLAP, mode="gaussian")

    theirs, result = min((timed(usual) for _ in range(_ROUNDS)), key=lambda one: one[0])
    seam = float(np.abs(result[0, 0].cpu().numpy() - untiled).max())
    return facts | {"monai_seconds": theirs, "monai_ratio": theirs / seconds, "monai_seam": seam}


def whole_program(model_name: str, volume: Volume, settings: EnhanceSettings) -> dict[str, Any]:
    """The command line on a file: wall time, time to the first progress, peak memory over what the output takes."""
    with tempfile.TemporaryDirectory() as folder:
        files.write(volume, Path(folder) / "in.nii.gz")
        command = [sys.executable, "-m", __package__, "enhance", "in.nii.gz", "out.nii.gz", "--report", "report.json"]
        command += ["--factor", str(FACTOR), "--axes", "k", "--device", settings.device, "--progress", "json"]
        command += ["--model", str(models.find(model_name).resolve())]
        command += ["--precision", settings.precision]
        command += ["--threads", str(settings.threads)] if settings.threads else []
        started = time.perf_counter()
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=quiet) as child:
            assert child.stdout is not None  # asked for above
            child.stdout.readline()
            first = time.perf_counter() - started
            child.stdout.read()
        report = json.loads((Path(folder) / "report.json").read_text())
    return {
        "program_seconds": time.perf_counter() - started,
        "program_seconds_to_first_progress": first,
        "program_stages_seconds": report["stages"],
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
