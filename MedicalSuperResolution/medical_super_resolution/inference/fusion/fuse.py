"""Fusion of stacks: refinement, registration, brightness, solver and report."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ...models.file import Model
from ...progress import Progress, ignore
from ...volumes.grid import Grid
from ...volumes.intensity import HOUNSFIELD_RANGE, in_type
from ...volumes.registration import described, rigid_motion
from ...volumes.volume import Volume
from ..device import cpu_threads, device_errors, undisturbed
from ..refiners.padding import padding_on
from . import stacks as sets
from .alignment import aligned, step_count
from .brightness import evenly_shaded, matched_gains
from .prior import RefinedStack, blended, refined_again, refined_stack
from .report import Fused, FusionReport
from .settings import FusionSettings
from .solver import Measurement, contradiction, measurement, solve

_HALF = 0.5


@undisturbed()
def fuse_stacks(
    stacks: Sequence[Volume],
    model: Model,
    settings: FusionSettings,
    *,
    like: Volume | None = None,
    uncertainty: bool = True,
    progress: Progress = ignore,
) -> Fused:
    """Fuse stacks of one contrast and one session into one volume with cubic voxels.

    Each stack is refined by the model, the refined stacks are registered, their brightness is matched, and their
    blend is the prior. The result minimizes prior_weight * |x - prior|^2 + sum_s |A_s x - y_s|^2, where A_s acquires x
    as stack s.

    Parameters
    ----------
    stacks
        2 to 12 stacks in any planes; the result does not depend on their order.
    like
        A volume whose grid the result takes; None for a grid over all stacks.
    uncertainty
        Whether to compute how far the stacks contradict each other.
    progress
        Called with the steps done and in total; it may raise `errors.Cancelled`.

    Raises
    ------
    VolumeError
        See `stacks.check`, `stacks.union_grid` and `stacks.cropped_grid`; or no stack overlaps with the grid of
        ``like``.
    SettingsError, ModelError
        See `inference.enhance.enhance`.
    DeviceError
        The device is absent or failed, or the memory does not suffice.
    """
    started = time.monotonic()
    modality = sets.check(stacks)
    if like is not None:
        sets.check_reached(stacks, like.grid)
    order = sets.in_order(stacks)
    fusion = Fusion([replace(stacks[number], modality=modality) for number in order], model, settings, progress)
    with device_errors(), cpu_threads(settings.enhance.threads):
        fused = fusion.result(like.grid if like else None)
        spread = Volume(fusion.uncertainty(fused).numpy(), fusion.grid) if uncertainty else None
    kept = [order.index(number) for number in range(len(stacks))]
    report = _report(fusion, [fusion.refined[number] for number in kept], [fusion.errors[n] for n in kept], started)
    whole = in_type(fused.numpy(), np.result_type(*(stack.array.dtype for stack in stacks)))
    return Fused(Volume(whole, fusion.grid, modality=modality), report, spread)


class Fusion:
    """The state of one fusion. The stacks are not checked; a single one is allowed.

    Attributes
    ----------
    refined
        Each stack with its prior, motion and gain.
    grid
        Grid of the result.
    errors
        Consistency error of each stack.
    """

    def __init__(self, stacks: Sequence[Volume], model: Model, settings: FusionSettings, progress: Progress) -> None:
        self._stacks, self._model, self._settings, self._progress = stacks, model, settings, progress
        self._done, self._steps = 0, 2 * settings.rounds * len(stacks) + settings.rounds * settings.iterations + 2
        if settings.register != "none" and len(stacks) > 1:
            self._steps += len(stacks) - 1 + step_count(len(stacks), slices=settings.register == "slices")
        self.spacing_mm = settings.spacing_mm or sets.finest_spacing_mm(stacks)
        self._whole_grids: list[Grid] = []
        self.refined: list[RefinedStack] = []
        self.errors: list[float] = []
        self.grid: Grid

    @torch.inference_mode()
    def result(self, grid: Grid | None = None) -> torch.Tensor:
        """The fused volume, (Z, Y, X) float32."""
        if grid is not None:
            self.spacing_mm = min(grid.spacing_ijk_mm)
        self._wanted(grid or sets.union_grid([stack.grid for stack in self._stacks], self.spacing_mm))  # may refuse
        self._refine()
        if self._settings.register != "none" and len(self.refined) > 1:
            self._register()
        self.grid = self._wanted(grid or sets.union_grid(self._moved_grids(), self.spacing_mm))
        if self.refined[0].stack.modality != "ct":  # Hounsfield units need no matching
            self._match_brightness()
        self._step()
        empty = min(one.lowest for one in self.refined)
        measurements = [measurement(one, self.grid) for one in self.refined]
        fused = self._solved(self.refined, measurements, empty)
        for _ in range(self._settings.rounds - 1):
            fused = self._solved([self._refined_again(one, fused) for one in self.refined], measurements, empty)
        self.errors = [
            _rms(measurement, fused) / one.gain for one, measurement in zip(self.refined, measurements, strict=True)
        ]
        self._progress(self._steps, self._steps)
        return fused

    @torch.inference_mode()
    def uncertainty(self, fused: torch.Tensor) -> torch.Tensor:
        """Local difference between the stacks and the fused volume, (Z, Y, X) float32; call it after `result`."""
        return contradiction(fused, [measurement(one, self.grid) for one in self.refined])

    def _solved(self, prior: Sequence[RefinedStack], measurements: Sequence[Measurement], empty: float) -> torch.Tensor:
        fused = solve(
            blended(prior, self.grid, empty, sharp=True),
            measurements,
            prior_weight=self._settings.prior_weight,
            iterations=self._settings.iterations,
            step=self._step,
        )
        return fused.clamp_(min=self._floor(empty))

    def _refined_again(self, one: RefinedStack, fused: torch.Tensor) -> RefinedStack:
        again = refined_again(one, fused, self.grid, self._model, self._settings.enhance, self._check_cancelled)
        self._step(2)
        return again

    def _floor(self, lowest: float) -> float:
        """The lowest meaningful value, as in `enhance`."""
        if self.refined[0].stack.modality == "ct":
            return min(lowest, HOUNSFIELD_RANGE[0])
        return 0.0 if lowest >= 0 else -math.inf

    def _step(self, count: int = 1) -> None:
        self._done += count
        self._progress(min(self._done, self._steps), self._steps)

    def _refine(self) -> None:
        region = self._settings.region_ras_mm
        for stack in self._stacks:
            marked = replace(stack, padding=padding_on(stack, stack.grid))
            coarse = sets.as_coarse_as(marked, self.spacing_mm)
            self._whole_grids.append(coarse.grid)
            coarse = coarse if region is None else sets.near(coarse, region)
            self.refined.append(
                refined_stack(coarse, self.spacing_mm, self._model, self._settings.enhance, self._check_cancelled)
            )
            self._step(2)

    def _check_cancelled(self, done: int, total: int) -> None:
        """Progress callback of one refinement, whose steps are not counted."""
        self._progress(min(self._done, self._steps), self._steps)

    def _register(self) -> None:
        first = self.refined[0].fine
        for number, one in enumerate(self.refined[1:], start=1):
            self.refined[number] = replace(one, motion=rigid_motion(first, one.fine))
            self._step()
        self.refined = aligned(
            self.refined, self.spacing_mm, slices=self._settings.register == "slices", step=self._step
        )

    def _wanted(self, grid: Grid) -> Grid:
        """The part of a grid inside the region, where one is set."""
        region = self._settings.region_ras_mm
        return grid if region is None else sets.cropped_grid(grid, region)

    def _moved_grids(self) -> list[Grid]:
        """The whole grids of the stacks after their motions, also outside the region."""
        stacks = zip(self._whole_grids, self.refined, strict=True)
        return [Grid(whole.shape_kji, one.motion @ whole.ijk_to_ras) for whole, one in stacks]

    def _match_brightness(self) -> None:
        gains = matched_gains(self.refined, self.grid)
        self.refined = [replace(one, gain=gain) for one, gain in zip(self.refined, gains, strict=True)]
        if self._settings.shading:
            self.refined = evenly_shaded(self.refined, self.grid)


def _rms(measurement: Measurement, volume: torch.Tensor) -> float:
    missing = measurement.missing(volume).double().square()
    return math.sqrt(float(missing.sum()) / max(float(measurement.valid().sum()), 1.0))


def _report(fusion: Fusion, stacks: list[RefinedStack], errors: list[float], started: float) -> FusionReport:
    motions = [described(one.motion, one.stack) for one in stacks]
    model, settings = fusion._model, fusion._settings
    asked = dataclasses.asdict(settings)
    asked["enhance"]["model"] = model.name  # a path may name a patient
    return FusionReport(
        model=model.name,
        model_sha256=model.sha256,
        modality=stacks[0].stack.modality or "",
        size_ijk=fusion.grid.shape_kji[::-1],
        spacing_mm=fusion.spacing_mm,
        slice_profile=tuple(one.profile.shape for one in stacks),
        shift_mm=tuple(round(shift, 3) for shift, _ in motions),
        angle_degrees=tuple(round(angle, 3) for _, angle in motions),
        gain=tuple(round(one.gain, 4) for one in stacks),
        slices_held_down=tuple(
            0 if one.slice_weights is None else int((one.slice_weights < _HALF).sum()) for one in stacks
        ),
        consistency_error_rms=tuple(errors),
        seconds=round(time.monotonic() - started, 2),
        settings=asked,
        device=", ".join(sorted({one.device for one in stacks} - {""})) or "cpu",
        warnings=tuple(f"stack {number}: {note}" for number, one in enumerate(stacks, 1) for note in one.stack.notes),
    )
