"""Speed of the engine on this machine, and its overhead over the network alone.

All figures of a report come from one run on synthetic volumes. Workloads that are compared run in turns, so that a
temporary load slows all of them, and the fastest round counts. No other program should run at the same time.
"""

from __future__ import annotations

import json
import os
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
from ..inference.enhance import enhance
from ..inference.planning import plan
from ..inference.refiners.axis_request import AxisRequest
from ..inference.refiners.throughplane import SequenceRefiner
from ..models import file as models
from ..models import store
from ..models.file import Model
from ..networks.contracts import SequenceGenerator
from ..physics.acquisition import SliceProfile, fine_centers
from ..progress import ignore
from ..settings import EnhanceSettings, arguments_of
from ..system.memory import keep_freed_blocks
from ..system.process import search_path
from ..volumes.grid import Grid
from ..volumes.intensity import HOUNSFIELD_RANGE, IntensityRange, trained_window
from ..volumes.io import files
from ..volumes.volume import Volume
from . import roofline
from .roofline import Show, identity, quickest
from .terminal import print_line

_PACKAGE = Path(__file__).parents[1]
FACTOR = 4
_SMALLEST = (4, 16)  # slices, and rows and columns, of a volume
_TILES_ALONG = 3  # tiles along each side of a slice, to measure seams
_OVERLAP = 0.25  # of MONAI's windows, its default
_WINDOW = (32, 96, 96)
_CUT = (16, 128, 128)  # volume to compare with MONAI: it computes 2.25 voxels for each one, as in 256 x 256 slices


def run(
    model_name: str, settings: EnhanceSettings, *, side: int, slices: int, show: Show = print_line
) -> dict[str, Any]:
    """Measure everything, and return the figures by name.

    Parameters
    ----------
    settings : EnhanceSettings
        Device, precision and threads.
    side, slices : int
        Rows and columns, and slices, of the volume.
    show : callable
        Called with the name of each measurement as it begins.

    Raises
    ------
    SuperResolutionError
        The model does not refine slice sequences, or the volume is too small.
    """
    if slices < _SMALLEST[0] or side < _SMALLEST[1]:
        raise SettingsError("the benchmark needs {} slices of {} rows and columns at least".format(*_SMALLEST))
    keep_freed_blocks()
    model = models.load(store.find(model_name))
    if model.generator.capabilities.in_one_pass:
        raise SuperResolutionError(f"the benchmark measures models that refine slice sequences; {model.name} is none")
    device = pick_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    settings = replace(settings, factor=float(FACTOR), axes="k", device=device.type, model=model.name)
    volume = synthetic_ct(side, slices)
    context = ExecutionContext(settings, device, 1, ignore)
    facts: dict[str, Any] = identity() | {
        "model": model.name,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else str(device),
        "precision": context.precision,
        "threads": torch.get_num_threads(),
        "volume": f"{volume.grid.described()}, x{FACTOR}",
    }
    show("measuring the whole program")  # first, because outside Linux the peak memory of a child includes its parent's
    facts |= whole_program(model_name, volume, settings)
    enhance(synthetic_ct(32, 8), model, settings)  # warms up the libraries
    facts |= engine(model, volume, context, show)
    show("measuring the machine's own speed")
    generator = cast("SequenceGenerator", model.generator)
    facts |= roofline.compared(generator, context, volume.array.size, FACTOR, facts["engine_seconds"])
    return facts | seams(model, corner_of(volume), context, show)


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


def engine(model: Model, volume: Volume, context: ExecutionContext, show: Show) -> dict[str, Any]:
    """Time of the engine on a volume and on half of its slices, with and without air, and of the network alone.

    Returns
    -------
    dict
        Seconds, and three ratios: "overhead_ratio", engine over network alone; "air_ratio", half of the voxels air over
        no air; "growth_ratio", time for twice the slices.
    """
    slices, side, _ = volume.array.shape
    half, half_air = synthetic_ct(side, slices // 2), synthetic_ct(side, slices // 2, air=0.5)
    network = NetworkAlone(model, half, context)
    found = quickest(
        {
            "the engine": lambda: enhance(volume, model, context.settings),
            "the engine, half of the slices": lambda: enhance(half, model, context.settings),
            "the bare network, half of the slices": network.whole,
            "the engine, half of the slices, half air": lambda: enhance(half_air, model, context.settings),
        },
        show,
    )
    (seconds, enhanced), (half_seconds, _), (network_seconds, _), (half_air_seconds, _) = found
    return {
        "engine_seconds": seconds,
        "microseconds_per_measured_voxel": 1e6 * seconds / volume.array.size,
        "stages_seconds": enhanced.report.stages,
        "half_engine_seconds": half_seconds,
        "half_bare_forward_seconds": network_seconds,
        "overhead_ratio": half_seconds / network_seconds,
        "air_ratio": half_air_seconds / half_seconds,
        "growth_ratio": 2 * (seconds / slices) / (half_seconds / (slices // 2)),
    }


@torch.inference_mode()
def seams(model: Model, volume: Volume, context: ExecutionContext, show: Show) -> dict[str, Any]:
    """The engine in small tiles and MONAI's sliding window, compared with the untiled network.

    A seam is the largest difference, as a fraction of the intensity range. The engine is timed on the same voxels as
    MONAI, and without estimating the slice profile, which costs the same for every volume.
    """
    show("measuring seams between tiles")
    network = NetworkAlone(model, volume, context)
    without_estimation = replace(context.settings, slice_profile="gaussian")
    untiled = network.whole()[0, 0].cpu().numpy()
    facts: dict[str, Any] = {"engine_seam": float(np.abs(network.tiled(volume.grid) - untiled).max())}
    try:  # the extra `benchmark`
        from monai.inferers import sliding_window_inference
    except ImportError:
        return facts | {"monai": 'not installed; pip install "medical-super-resolution[benchmark]" to compare with it'}

    def sliding_window() -> Any:  # noqa: ANN401 - MONAI returns one tensor or several
        window = tuple(min(size, count) for size, count in zip(_WINDOW, network.lr.shape[2:], strict=True))
        return sliding_window_inference(network.lr, window, 1, network.forward, overlap=_OVERLAP, mode="gaussian")

    workloads = {
        "the engine beside MONAI": lambda: enhance(volume, model, without_estimation),
        "MONAI's sliding window": sliding_window,
    }
    (engine_seconds, _), (monai_seconds, result) = quickest(workloads, show)
    return facts | {
        "monai_volume": volume.grid.described(),
        "monai_seconds": monai_seconds,
        "engine_seconds_there": engine_seconds,
        "monai_ratio": monai_seconds / engine_seconds,
        "monai_seam": float(np.abs(result[0, 0].cpu().numpy() - untiled).max()),
    }


def synthetic_ct(side: int, slices: int, *, air: float = 0.0) -> Volume:
    """A reproducible synthetic CT with noise; the fraction ``air`` of its rows is constant air."""
    random = np.random.default_rng(0)
    array = random.normal(40, 20, (slices, side, side))
    array += 200 * np.sin(np.arange(side) / 9)[None, :, None] * np.cos(np.arange(side) / 7)
    array[:, : round(side * air)] = -1000
    return Volume(array.astype(np.int16), Grid(array.shape, np.diag([0.8, 0.8, 0.8 * FACTOR, 1.0])), modality="ct")


def corner_of(volume: Volume) -> Volume:
    """The first voxels of a volume along each axis, as float32."""
    array = volume.array[tuple(slice(count) for count in _CUT)].astype(np.float32)
    return Volume(array, Grid(array.shape, volume.grid.ijk_to_ras), modality=volume.modality)


class NetworkAlone:
    """The network as the engine prepares it, on the same voxels, without files, slice profile and data consistency."""

    def __init__(self, model: Model, volume: Volume, context: ExecutionContext) -> None:
        self.context = context
        self.generator = cast("SequenceGenerator", model.generator)  # `run` refuses other models
        self.prepared = SequenceRefiner(self.generator, context).generator
        self.lr = torch.from_numpy(IntensityRange(*HOUNSFIELD_RANGE).normalized(volume.array))[None, None]
        self.lr = self.lr.to(context.device)

    @torch.inference_mode()
    def forward(self, lr: Tensor) -> Tensor:
        """Fine slices of (N, 1, K, J, I)."""
        positions = torch.from_numpy(fine_centers(lr.shape[2] * FACTOR, FACTOR)).to(lr.device)
        with self.context.mixed_precision():
            return self.prepared(lr, positions, FACTOR)

    def whole(self) -> Tensor:
        """Fine slices of all voxels as one tensor, without tiles."""
        return self.forward(self.lr)

    @torch.inference_mode()
    def tiled(self, grid: Grid) -> np.ndarray:
        """Fine slices of all voxels, as the engine computes them in small tiles, whatever memory the device has."""
        settings = replace(self.context.settings, consistency=False)
        context = ExecutionContext(settings, self.context.device, 1, ignore)
        context.tile_limit = max(grid.shape_kji[1:]) // _TILES_ALONG
        axis_pass = plan(grid, settings).passes[0]
        fine = np.empty(axis_pass.target.shape_kji, np.float32)
        request = AxisRequest(self.lr[0, 0].cpu().numpy(), axis_pass, fine, SliceProfile(), trained_window("ct"))
        SequenceRefiner(self.generator, context).refine(request)
        return fine
