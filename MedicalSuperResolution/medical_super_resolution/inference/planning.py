"""Planning: from settings to passes, with axes, factors and grids; estimates of memory and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from ..errors import SettingsError, VolumeError
from ..models.store import detail_files_of, file_of
from ..settings import LARGEST_FACTOR, EnhanceSettings, check_factor
from ..system.memory import physical_bytes
from ..system.process import available_cpus
from ..volumes.grid import AXES_IJK, Grid
from ..volumes.tilt import straight_grid

_SAME = 1e-3  # relative difference up to which a spacing counts as the target spacing
_MIRROR_RUNS = 8  # mirror images of three axes
_MIRROR_BYTES = 20  # per voxel: unrounded result, mean, sum of squares, current result and its difference
PROGRAM_BYTES = 4.5e8  # at most, of the program with PyTorch, before any volume; limits leave room for it
_USUAL_PROGRAM_BYTES = 3e8  # without the CUDA libraries
_LEAST_WORKING_BYTES, _MOST_WORKING_BYTES = 6e8, 1e9
_WORKING_BYTES_A_VOXEL = 100  # per measured voxel, summed over all passes
_COLUMN_BYTES, _COLUMN_BYTES_A_THREAD = 9000, 1500  # per column of slices in a tile, with the model general
_MOST_THREADS = 8  # on one tile
_LARGEST_SIDE, _MARGIN = 256, 12  # of a tile, with the model general
_SHARE_OF_MEMORY = 0.6  # the rest is left to other programs
_CORE_SECONDS_A_VOXEL = 1.05e-5  # AMD EPYC 1.04e-5; Intel Xeon 0.82e-5 for large volumes, 1.2e-5 to 1.5e-5 for small
_BYTES_OF_GENERAL = 1.24e6  # file of the model that was timed; the time is proportional to the number of weights
_START_SECONDS = 4.0  # 3 on an idle Xeon of 2.5 GHz, 5 on a busy one
_ROUNDING = 1e-5  # relative error of a spacing that was written with six digits


@dataclass(frozen=True)
class Pass:
    """One axis refined once: ``axis`` is "i", "j" or "k"; ``source`` and ``target`` are the grids before and after."""

    axis: str
    factor: float
    source: Grid
    target: Grid


@dataclass(frozen=True)
class Plan:
    """The passes of an enhancement, in order."""

    source: Grid
    passes: tuple[Pass, ...]

    @property
    def target(self) -> Grid:
        """The grid of the result."""
        return self.passes[-1].target

    @property
    def factor_ijk(self) -> tuple[float, float, float]:
        """Refinement factors along i, j and k; 1 for an axis that is kept."""
        by_axis = {one.axis: one.factor for one in self.passes}
        return by_axis.get("i", 1.0), by_axis.get("j", 1.0), by_axis.get("k", 1.0)

    @property
    def description(self) -> str:
        """For people: "512x512x40 at 0.70x0.70x5.00 mm becomes 512x512x286 at 0.70x0.70x0.70 mm"."""
        return f"{self.source.described()} becomes {self.target.described()}"


def plan(grid: Grid, settings: EnhanceSettings) -> Plan:
    """Decide the passes for a volume on ``grid``, or on the straight grid of its slices where they are tilted.

    The through-plane axis comes first, so that the in-plane passes refine thin slices.

    Raises
    ------
    SettingsError
        Nothing would be refined, or a factor lies outside (1, 8].
    VolumeError
        There is a single slice along an axis to refine; or see `tilt.straight_grid`.
    """
    grid = straight_grid(grid)
    factors = _factors(grid, settings)
    if not factors:
        raise SettingsError(f"nothing to refine: the volume, {grid.described()}, is as fine as asked already")
    through_plane = grid.through_plane_axis
    passes = []
    current = grid
    for axis in sorted(factors, key=lambda name: (name != through_plane, "kji".index(name))):
        check_factor(factors[axis], f"the factor along {axis}", axis)
        if grid.count(axis) < 2:
            raise VolumeError(f"the volume has a single slice along {axis}; there is nothing to refine between")
        refined = current.refined(axis, factors[axis])
        passes.append(Pass(axis, factors[axis], current, refined))
        current = refined
    return Plan(grid, tuple(passes))


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
        Model, threads and quality count.
    """
    threads = settings.threads or available_cpus()
    runs = _MIRROR_RUNS if settings.refines_mirrors else 1
    voxels = runs * sum(math.prod(one.source.shape_kji) for one in planned.passes)
    seconds = voxels * _core_seconds_a_voxel(settings) / threads
    memory = _USUAL_PROGRAM_BYTES + _volume_bytes(planned, bytes_a_voxel, settings)
    memory += _tile_bytes(planned, working_bytes(voxels), threads)
    output = math.prod(planned.target.shape_kji) * bytes_a_voxel
    return Estimate(output / 1e6, memory / 1e9, _START_SECONDS + seconds, threads)


def working_bytes(voxels: int) -> float:
    """Working memory for some measured voxels: long runs get larger tiles, which have relatively smaller margins."""
    return min(max(voxels * _WORKING_BYTES_A_VOXEL, _LEAST_WORKING_BYTES), _MOST_WORKING_BYTES)


def _tile_bytes(planned: Plan, working: float, threads: int) -> float:
    """Memory of the largest tile that fits into the working memory."""
    a_column = _COLUMN_BYTES + _COLUMN_BYTES_A_THREAD * min(threads, _MOST_THREADS)
    side = min(math.isqrt(int(working / a_column)) - 2 * _MARGIN, _LARGEST_SIDE)

    def longest(count: int) -> int:
        tiles = math.ceil(count / side)
        return min(count, math.ceil(count / tiles) + min(tiles - 1, 2) * _MARGIN)

    planes = ([one.source.count(axis) for axis in AXES_IJK if axis != one.axis] for one in planned.passes)
    return a_column * max(longest(rows) * longest(columns) for rows, columns in planes)


def _volume_bytes(planned: Plan, bytes_a_voxel: int, settings: EnhanceSettings) -> float:
    """Memory of the volume and its results."""
    voxels_in = math.prod(planned.source.shape_kji)
    voxels_out = math.prod(planned.target.shape_kji)
    between = 4 * math.prod(planned.passes[-1].source.shape_kji) if len(planned.passes) > 1 else 0
    mirrors = voxels_out * _MIRROR_BYTES if settings.refines_mirrors else 0
    return (voxels_in + voxels_out) * bytes_a_voxel + between + mirrors


def _core_seconds_a_voxel(settings: EnhanceSettings) -> float:
    """Core seconds per measured voxel with the model of the settings; those of the model general if it is missing."""
    path = file_of(settings.model)
    if not path.is_file():
        return _CORE_SECONDS_A_VOXEL
    borrowed = detail_files_of(path)[1:] if settings.detail else []  # another model with its detail model; both run
    size = path.stat().st_size + 2 * sum(file.stat().st_size for file in borrowed if file.is_file())
    return _CORE_SECONDS_A_VOXEL * size / _BYTES_OF_GENERAL


def fits_memory(planned: Plan, bytes_a_voxel: int, settings: EnhanceSettings) -> bool:
    """Whether input, results and working memory fit into `allowed_bytes`."""
    needed = PROGRAM_BYTES + _volume_bytes(planned, bytes_a_voxel, settings) + _LEAST_WORKING_BYTES
    return needed <= allowed_bytes(settings)


def allowed_bytes(settings: EnhanceSettings) -> float:
    """Memory that the program may use: that of the settings, or else a share of the memory of the computer."""
    if settings.memory_gb is not None:
        return settings.memory_gb * 1e9
    return (physical_bytes() or math.inf) * _SHARE_OF_MEMORY


def named_axes(grid: Grid, axes: str) -> str:
    """The index axes that ``axes`` means on this grid: "through-plane", "in-plane", or letters."""
    through_plane = grid.through_plane_axis
    if axes == "through-plane":
        return through_plane
    if axes == "in-plane":
        return AXES_IJK.replace(through_plane, "")
    return axes


def finer_axes(grid: Grid, settings: EnhanceSettings) -> dict[str, float]:
    """The axes that are finer than the requested spacing, each with requested over present spacing."""
    spacing = dict(zip(AXES_IJK, grid.spacing_ijk_mm, strict=True))
    wanted = dict(zip(AXES_IJK, settings.spacing_ijk_mm or grid.spacing_ijk_mm, strict=True))
    return {axis: wanted[axis] / spacing[axis] for axis in AXES_IJK if wanted[axis] > spacing[axis] * (1 + _SAME)}


def _factors(grid: Grid, settings: EnhanceSettings) -> dict[str, float]:
    spacing = dict(zip(AXES_IJK, grid.spacing_ijk_mm, strict=True))
    if settings.factor is not None:
        return dict.fromkeys(named_axes(grid, settings.axes), settings.factor)
    if settings.spacing_ijk_mm is not None:
        wanted = dict(zip(AXES_IJK, settings.spacing_ijk_mm, strict=True))
        return {
            axis: _rounded(spacing[axis] / wanted[axis])
            for axis in AXES_IJK
            if wanted[axis] < spacing[axis] * (1 - _SAME)
        }
    axis = grid.through_plane_axis
    in_plane = min(spacing[other] for other in AXES_IJK if other != axis)
    if in_plane >= spacing[axis] * (1 - _SAME):
        return {}
    return {axis: min(_rounded(spacing[axis] / in_plane), LARGEST_FACTOR)}


def _rounded(factor: float) -> float:
    """Round 4.000001 to 4, as spacings are written with few digits."""
    near = float(Fraction(factor).limit_denominator(8))
    return near if abs(near - factor) < _ROUNDING * factor else factor
