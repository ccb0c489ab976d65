"""What a plan costs: estimates of memory and time, and the memory that may be used."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..models.store import detail_files_of, file_of, has_detail
from ..settings import EnhanceSettings
from ..system.memory import physical_bytes
from ..system.process import available_cpus
from ..volumes.grid import AXES_IJK
from .planning import Plan

_MIRROR_BYTES = 20  # per voxel: unrounded result, mean, sum of squares, current result and its difference
PROGRAM_BYTES = 3e8  # of the program with PyTorch, before any volume, without the libraries of CUDA
LEAST_WORKING_BYTES, _MOST_WORKING_BYTES = 6e8, 1e9
_WORKING_BYTES_A_VOXEL = 100  # per measured voxel, summed over all passes
_COLUMN_BYTES, _COLUMN_BYTES_A_THREAD = 9000, 1500  # per column of slices in a tile, with the model general
_MOST_THREADS = 8  # on one tile
_LARGEST_SIDE, _MARGIN = 256, 12  # of a tile, with the model general
_SHARE_OF_MEMORY = 0.6  # the rest is left to other programs
_CORE_SECONDS_A_VOXEL = 8e-6  # AMD EPYC 8.1e-6 for 512 x 512 x 100, 8.6e-6 for 256 x 256 x 32; Xeon 6.3e-6, 6.6e-6
_BYTES_OF_GENERAL = 1.24e6  # file of the model that was timed; the time is proportional to the number of weights
START_SECONDS = 3.0  # 2 on an idle Xeon, 5 on a busy one


@dataclass(frozen=True)
class Estimate:
    """Cost of a plan; the time is extrapolated from two machines by voxels and model size.

    Attributes
    ----------
    output_mb : float
        Size of the result, uncompressed, in 1e6 bytes.
    memory_gb : float
        Peak memory of the program with the model general on a CPU, in 1e9 bytes.
    cpu_seconds : float
        Time on a CPU with ``threads``, including the start of the program.
    threads : int
        Threads of the estimate.
    """

    output_mb: float
    memory_gb: float
    cpu_seconds: float
    threads: int


def estimate(planned: Plan, bytes_a_voxel: int, settings: EnhanceSettings) -> Estimate:
    """Estimate memory and time of a plan, without loading a network.

    Parameters
    ----------
    planned : Plan
        See `plan`.
    bytes_a_voxel : int
        Size of the type of the volume.
    settings : EnhanceSettings
        Model, detail, threads, quality and uncertainty count.

    Raises
    ------
    ModelError
        The model or its detail model is damaged, where the time depends on both.
    """
    threads = settings.threads or available_cpus()
    runs = _details_of_runs(planned, settings)
    voxels = sum(math.prod(one.source.shape_kji) for one in planned.passes)
    seconds = voxels * sum(_core_seconds_a_voxel(settings, detail) for detail in runs) / threads
    memory = PROGRAM_BYTES + volume_bytes(planned, bytes_a_voxel, settings)
    memory += _tile_bytes(planned, working_bytes(len(runs) * voxels), threads)
    output = math.prod(planned.target.shape_kji) * bytes_a_voxel
    return Estimate(output / 1e6, memory / 1e9, START_SECONDS + seconds, threads)


def working_bytes(voxels: int) -> float:
    """Working memory for some measured voxels: long runs get larger tiles, which have relatively smaller margins."""
    return min(max(voxels * _WORKING_BYTES_A_VOXEL, LEAST_WORKING_BYTES), _MOST_WORKING_BYTES)


def _tile_bytes(planned: Plan, working: float, threads: int) -> float:
    """Memory of the largest tile that fits into the working memory."""
    a_column = _COLUMN_BYTES + _COLUMN_BYTES_A_THREAD * min(threads, _MOST_THREADS)
    side = min(math.isqrt(int(working / a_column)) - 2 * _MARGIN, _LARGEST_SIDE)

    def longest(count: int) -> int:
        tiles = math.ceil(count / side)
        return min(count, math.ceil(count / tiles) + min(tiles - 1, 2) * _MARGIN)

    planes = ([one.source.count(axis) for axis in AXES_IJK if axis != one.axis] for one in planned.passes)
    return a_column * max(longest(rows) * longest(columns) for rows, columns in planes)


def volume_bytes(planned: Plan, bytes_a_voxel: int, settings: EnhanceSettings) -> float:
    """Memory of the volume and its results."""
    voxels_in = math.prod(planned.source.shape_kji)
    voxels_out = math.prod(planned.target.shape_kji)
    between = 4 * math.prod(planned.passes[-1].source.shape_kji) if len(planned.passes) > 1 else 0
    mirrors = voxels_out * _MIRROR_BYTES if settings.refines_mirrors else 0
    return (voxels_in + voxels_out) * bytes_a_voxel + between + mirrors


def _details_of_runs(planned: Plan, settings: EnhanceSettings) -> list[float]:
    """The detail of the model in each run through the volume: see `request.Request.voxels_to_refine`."""
    runs = [settings.detail] * (len(planned.mirrors) if settings.refines_mirrors else 1)
    path = file_of(settings.model)
    if settings.uncertainty and path.is_file() and has_detail(path):
        runs += [end for end in (0.0, 1.0) if end != settings.detail]
    return runs


def _core_seconds_a_voxel(settings: EnhanceSettings, detail: float) -> float:
    """Core seconds per measured voxel with the model of the settings; those of the model general if it is missing."""
    path = file_of(settings.model)
    if not path.is_file():
        return _CORE_SECONDS_A_VOXEL
    borrowed = detail_files_of(path)[1:] if detail else []  # another model with its detail model; both run
    size = path.stat().st_size + 2 * sum(file.stat().st_size for file in borrowed if file.is_file())
    return _CORE_SECONDS_A_VOXEL * size / _BYTES_OF_GENERAL


def allowed_bytes(settings: EnhanceSettings) -> float:
    """Memory that the program may use: that of the settings, or else a share of the memory of the computer."""
    if settings.memory_gb is not None:
        return settings.memory_gb * 1e9
    return (physical_bytes() or math.inf) * _SHARE_OF_MEMORY
