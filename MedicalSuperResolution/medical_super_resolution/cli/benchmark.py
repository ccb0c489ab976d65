"""Speed of the engine on this machine, and its overhead over the bare network.

Every figure of one report comes from one run, on synthetic volumes. What is compared takes turns, so that whatever
slows the machine for a while slows all of it, and the quickest round counts. Nothing else should be running meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..errors import SettingsError, SuperResolutionError
from ..inference.context import ExecutionContext
from ..inference.device import pick_device
from ..inference.enhance import enhance, refiner_of
from ..inference.planning import plan
from ..inference.refiners.axis_request import AxisRequest
from ..inference.refiners.throughplane import SequenceRefiner
from ..models import file as models
from ..models.file import Model
from ..physics.acquisition import SliceProfile, fine_centres
from ..progress import ignore
from ..settings import EnhanceSettings, arguments_of
from ..system.memory import keep_freed_blocks
from ..volumes.grid import Grid
from ..volumes.intensity import HOUNSFIELD_RANGE, IntensityRange, trained_window
from ..volumes.io import files
from ..volumes.volume import Volume
from . import roofline
from .roofline import Show, identity, quickest
from .terminal import print_line

FACTOR = 4
_SMALLEST = (4, 16)  # slices, and their rows and columns
_TILES_ALONG = 3  # each side of a slice, at least two
_OVERLAP = 0.25  # of MONAI's windows, its default
_WINDOW = (32, 96, 96)
_CUT = (16, 128, 128)  # where MONAI takes part: its windows overlap there as they do in 256 x 256, 2.25 voxels for one


def run(
    model_name: str, settings: EnhanceSettings, *, side: int, slices: int, show: Show = print_line
) -> dict[str, Any]:
    """Measure everything; one entry for each line of the report.

    Parameters
    ----------
    settings
        Device, precision and threads.
    side, slices
        Size of the volume, in voxels.
    show
        Called with what is being measured.

    Raises
    ------
    SuperResolutionError
        The model refines no slice sequences, or the volume is too small.
    """
    if slices < _SMALLEST[0] or side < _SMALLEST[1]:
        raise SettingsError("the benchmark needs {} slices of {} rows and columns at least".format(*_SMALLEST))
    keep_freed_blocks()
    model = models.load(models.find(model_name))
    if model.generator.capabilities.in_one_pass:
        raise SuperResolutionError(f"the benchmark measures models that refine slice sequences; {model.name} is none")
    device = pick_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    settings = replace(settings, factor=float(FACTOR), axes="k", device=device.type, model=model.name)
    volume = body(side, slices)
    context = ExecutionContext(settings, device, 1, ignore)
    facts: dict[str, Any] = identity() | {
        "model": model.name,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else str(device),
        "precision": context.precision,
        "threads": torch.get_num_threads(),
        "volume": f"{volume.grid.described()}, x{FACTOR}",
    }
    show("measuring the whole program")  # first: outside Linux a child's peak begins with its parent's
    facts |= whole_program(model_name, volume, settings)
    enhance(body(32, 8), model, settings)  # the first call of a library is never the fastest
    facts |= engine(model, volume, context, show)
    show("measuring the machine's own speed")
    generator = Bare(model, volume, context).refiner.generator
    facts |= roofline.compared(generator, context, volume.array.size, FACTOR, facts["engine_seconds"])
    return facts | seams(model, cut_of(volume), context, show)


def whole_program(model_name: str, volume: Volume, settings: EnhanceSettings) -> dict[str, Any]:
    """The command line on a file: wall time and its stages, peak memory, time to the first progress.

    The first line names a part of the work; the first progress counts voxels.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, result, report_file = (Path(folder) / name for name in ("in.nii.gz", "out.nii.gz", "report.json"))
        files.write(volume, source)
        asked = replace(settings, model=str(models.find(model_name)))
        command = [sys.executable, "-m", "medical_super_resolution", "enhance", str(source), str(result)]
        command += ["--report", str(report_file), "--progress", "json", *arguments_of(asked)]
        started = time.perf_counter()
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as child:
            assert child.stdout is not None  # asked for above
            named = counted = None
            while counted is None and (line := child.stdout.readline()):
                named = named or time.perf_counter() - started
                if json.loads(line).get("done"):
                    counted = time.perf_counter() - started
            _, words = child.communicate()
        seconds = time.perf_counter() - started
        if child.returncode:
            raise SuperResolutionError(f"the whole program did not come to its end: {words.strip()}")
        report = json.loads(report_file.read_text())
    output_mb, peak_mb = volume.array.nbytes * FACTOR / 1e6, report["peak_memory_mb"]
    facts = {
        "program_seconds": seconds,
        "program_seconds_to_first_line": named,
        "program_seconds_to_first_voxels": counted,
        "program_stages_seconds": report["stages"],
        "program_peak_memory_mb": peak_mb,
        "output_mb": output_mb,
    }
    return facts | ({"memory_ratio": peak_mb / output_mb} if peak_mb else {})


def engine(model: Model, volume: Volume, context: ExecutionContext, show: Show) -> dict[str, Any]:
    """The engine on a volume, on half of its slices, on those half air, and beside the bare network of that half.

    Parameters
    ----------
    overhead_ratio
        Engine over bare network, of half of the slices.
    air_ratio
        Half of the slices, half air, over those in which nothing is skipped.
    growth_ratio
        What twice the slices take.
    """
    slices, side, _ = volume.array.shape
    still, fewer = body(side, slices // 2, air=0.5), body(side, slices // 2)
    network = Bare(model, fewer, context)
    found = quickest(
        {
            "the engine": lambda: enhance(volume, model, context.settings),
            "the engine, half of the slices": lambda: enhance(fewer, model, context.settings),
            "the bare network, half of the slices": network.whole,
            "the engine, half of the slices, half air": lambda: enhance(still, model, context.settings),
        },
        show,
    )
    (seconds, enhanced), (of_fewer, _), (bare, _), (of_still, _) = found
    return {
        "engine_seconds": seconds,
        "microseconds_per_measured_voxel": 1e6 * seconds / volume.array.size,
        "stages_seconds": enhanced.report.stages,
        "half_engine_seconds": of_fewer,
        "half_bare_forward_seconds": bare,
        "overhead_ratio": of_fewer / bare,
        "air_ratio": of_still / of_fewer,
        "growth_ratio": 2 * (seconds / slices) / (of_fewer / (slices // 2)),
    }


@torch.inference_mode()
def seams(model: Model, volume: Volume, context: ExecutionContext, show: Show) -> dict[str, Any]:
    """The engine in small tiles and MONAI's sliding window, compared with the untiled network.

    A seam is the largest difference, as a part of the range. The time against MONAI's is that of the engine on the same
    voxels, with a given slice profile, as MONAI has none: its estimation costs the same for every volume.
    """
    show("measuring seams between tiles")
    network, known = Bare(model, volume, context), replace(context.settings, slice_profile="gaussian")
    untiled = network.whole()[0, 0].cpu().numpy()
    facts: dict[str, Any] = {"engine_seam": float(np.abs(network.tiled(volume.grid) - untiled).max())}
    try:  # the extra `benchmark`
        from monai.inferers import sliding_window_inference
    except ImportError:
        return facts | {"monai": "not installed; pip install medical-super-resolution[benchmark] to compare with it"}

    def usual() -> Any:  # noqa: ANN401 - MONAI gives a tensor, or several
        window = tuple(min(size, count) for size, count in zip(_WINDOW, network.lr.shape[2:], strict=True))
        return sliding_window_inference(network.lr, window, 1, network.forward, overlap=_OVERLAP, mode="gaussian")

    works = {"the engine beside MONAI": lambda: enhance(volume, model, known), "MONAI's sliding window": usual}
    (ours, _), (theirs, result) = quickest(works, show)
    return facts | {
        "monai_volume": volume.grid.described(),
        "monai_seconds": theirs,
        "engine_seconds_there": ours,
        "monai_ratio": theirs / ours,
        "monai_seam": float(np.abs(result[0, 0].cpu().numpy() - untiled).max()),
    }


def body(side: int, slices: int, *, air: float = 0.0) -> Volume:
    """A noisy synthetic CT, reproducible; the part ``air`` of its columns is constant air."""
    random = np.random.default_rng(0)
    array = random.normal(40, 20, (slices, side, side))
    array += 200 * np.sin(np.arange(side) / 9)[None, :, None] * np.cos(np.arange(side) / 7)
    array[:, : round(side * air)] = -1000
    return Volume(array.astype(np.int16), Grid(array.shape, np.diag([0.8, 0.8, 0.8 * FACTOR, 1.0])), modality="ct")


def cut_of(volume: Volume) -> Volume:
    """The first voxels of a volume along each axis, as exact as the network sees them."""
    array = volume.array[tuple(slice(count) for count in _CUT)].astype(np.float32)
    return Volume(array, Grid(array.shape, volume.grid.ijk_to_ras), modality=volume.modality)


class Bare:
    """The same network, as the engine prepares it, on the same voxels: no files, no profile, no data consistency."""

    def __init__(self, model: Model, volume: Volume, context: ExecutionContext) -> None:
        self.context = context
        self.refiner = cast("SequenceRefiner", refiner_of(model.generator, context))  # others were refused
        self.lr = torch.from_numpy(IntensityRange(*HOUNSFIELD_RANGE).normalised(volume.array))[None, None]
        self.lr = self.lr.to(context.device)

    @torch.inference_mode()
    def forward(self, lr: Tensor) -> Tensor:
        """Fine slices of (N, 1, K, J, I)."""
        positions = torch.from_numpy(fine_centres(lr.shape[2] * FACTOR, FACTOR)).to(lr.device)
        with self.context.mixed_precision():
            return self.refiner.generator(lr, positions, FACTOR)

    def whole(self) -> Tensor:
        """Of all voxels as one large tensor, without tiles."""
        return self.forward(self.lr)

    @torch.inference_mode()
    def tiled(self, grid: Grid) -> np.ndarray:
        """Of all voxels, as the engine computes them in small tiles, whatever memory the device has."""
        settings = replace(self.context.settings, consistency=False)
        context = ExecutionContext(settings, self.context.device, 1, ignore)
        context.tile_limit = max(grid.shape_kji[1:]) // _TILES_ALONG
        axis_pass = plan(grid, settings).passes[0]
        fine = np.empty(axis_pass.target.shape_kji, np.float32)
        request = AxisRequest(self.lr[0, 0].cpu().numpy(), axis_pass, fine, SliceProfile(), trained_window("ct"))
        SequenceRefiner(self.refiner.generator, context).refine(request)
        return fine
