"""Planning: from settings to passes, with their axes, factors and grids."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from ..errors import SettingsError, VolumeError
from ..settings import LARGEST_FACTOR, EnhanceSettings, check_factor
from ..volumes.grid import AXES_IJK, Grid, array_axis
from ..volumes.tilt import straight_grid

_EXACT = 1e-6  # of a voxel, up to which refined samples fill the volume exactly
_SAME = 1e-3  # relative difference up to which a spacing counts as the target spacing
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
    def mirrors(self) -> list[tuple[int, ...]]:
        """The array axes of each mirror image, the eight of three axes at most, the unchanged one first.

        An axis whose refined samples do not fill the volume exactly has no mirror: its far end lies elsewhere.
        """
        exact = [
            array_axis(axis)
            for axis, factor in zip(AXES_IJK, self.factor_ijk, strict=True)
            if abs(self.source.count(axis) * factor - self.target.count(axis)) < _EXACT
        ]
        chosen = product((False, True), repeat=len(exact))
        return [tuple(axis for axis, is_turned in zip(exact, one, strict=True) if is_turned) for one in chosen]

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
        Nothing would be refined, a factor lies outside (1, 8], or axes are named without a factor.
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
        check_factor(factors[axis], f"the factor along {axis}")
        if grid.count(axis) < 2:
            raise VolumeError(f"there is a single slice along {axis}, and nothing to refine between")
        refined = current.refined(axis, factors[axis])
        passes.append(Pass(axis, factors[axis], current, refined))
        current = refined
    return Plan(grid, tuple(passes))


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
    wanted = dict(zip(AXES_IJK, settings.spacing_ijk_mm or grid.spacing_ijk_mm, strict=True))
    finer = [axis for axis in AXES_IJK if wanted[axis] > grid.spacing_mm(axis) * (1 + _SAME)]
    return {axis: wanted[axis] / grid.spacing_mm(axis) for axis in finer}


def check_own_factor(planned: Plan, model: str, factors: tuple[float, ...]) -> None:
    """Refuse passes that an in-plane model does not support, by its name and its factors.

    Raises
    ------
    SettingsError
        See above.
    """
    asked = [one.factor for one in planned.passes]
    if factors and not any(asked == [factor, factor] for factor in factors):
        known = " or ".join(f"{factor:g}" for factor in factors)
        raise SettingsError(
            f"the model {model} refines both in-plane axes {known} times and nothing else;"
            f" ask for in-plane refinement by {factors[0]:g}, or choose the model general"
        )


def _factors(grid: Grid, settings: EnhanceSettings) -> dict[str, float]:
    if settings.factor is not None:
        return dict.fromkeys(named_axes(grid, settings.axes), settings.factor)
    if settings.axes != EnhanceSettings.axes:
        raise SettingsError(f"the axes {settings.axes} need a factor; state one, or leave out the axes")
    if settings.spacing_ijk_mm is not None:
        wanted = dict(zip(AXES_IJK, settings.spacing_ijk_mm, strict=True))
        coarser = [axis for axis in AXES_IJK if wanted[axis] < grid.spacing_mm(axis) * (1 - _SAME)]
        return {axis: _rounded(grid.spacing_mm(axis) / wanted[axis]) for axis in coarser}
    across, distance = grid.through_plane_axis, grid.through_plane_spacing_mm
    in_plane = min(grid.spacing_mm(axis) for axis in AXES_IJK if axis != across)
    if in_plane >= distance * (1 - _SAME):
        return {}
    return {across: min(_rounded(distance / in_plane), LARGEST_FACTOR)}


def _rounded(factor: float) -> float:
    """Round 4.000001 to 4, as spacings are written with few digits."""
    near = float(Fraction(factor).limit_denominator(8))
    return near if abs(near - factor) < _ROUNDING * factor else factor
