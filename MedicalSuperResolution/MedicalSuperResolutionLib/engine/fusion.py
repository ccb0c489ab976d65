"""Fusing several stacks of the scene into one volume, in the engine's process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import qt
from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.settings import EnhanceSettings, arguments_of
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.tilt import straight_grid, straightened
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine.run_times import RunTimes
from MedicalSuperResolutionLib.process import exchange
from MedicalSuperResolutionLib.process.runner import Runner
from MedicalSuperResolutionLib.scene import kinds, stacks
from MedicalSuperResolutionLib.scene.region import Moves
from MedicalSuperResolutionLib.scene.stacks import FusedStacks
from MedicalSuperResolutionLib.setup.models import check_installed
from MedicalSuperResolutionLib.translation import tr as _

_COUNTED = ("model", "slice_thickness_mm", "uncertainty", "device", "threads")  # of the settings, in a fusion


@dataclass(frozen=True)
class FuseExchange:
    """`medsr fuse`.

    Parameters
    ----------
    stacks
        See `stacks.volumes_of`; straight.
    settings
        Model, device and threads; whether an uncertainty is made; slice thickness, where it is the same for all.
    spacing_mm
        Of the result; None is the finest spacing of the stacks.
    """

    stacks: Sequence[Volume]
    settings: EnhanceSettings
    spacing_mm: float | None = None

    def arguments(self) -> list[str]:
        """The command line, to be run in the folder of the process."""
        settings = self.settings
        engine = EnhanceSettings(
            model=exchange.model_for_child(settings), device=settings.device, threads=settings.threads
        )
        chosen = ["fuse", *self._names(), exchange.OUTPUT, *exchange.AS_FILES, *arguments_of(engine)]
        if self.spacing_mm is not None:
            chosen += ["--spacing", repr(self.spacing_mm)]
        if modality := next((stack.modality for stack in self.stacks if stack.modality), None):
            chosen += ["--modality", modality]
        if self.settings.uncertainty:
            chosen += ["--uncertainty", exchange.UNCERTAINTY]
        given = self.settings.slice_thickness_mm
        thickness = (given or stack.slice_thickness_mm or stack.grid.through_plane_spacing_mm for stack in self.stacks)
        return [*chosen, "--slice-thickness", *map(repr, thickness)]

    def write_inputs(self, folder: Path) -> None:
        """See `exchange.write_volumes`."""
        exchange.write_volumes(dict(zip(self._names(), self.stacks, strict=True)), folder)

    def result(self, folder: Path) -> FusedStacks:
        """The fused volume and what was done.

        Raises
        ------
        SuperResolutionError
            The command has left no complete result.
        """
        with exchange.incomplete_refused():
            report, volume, uncertainty = exchange.result_in(folder, uncertainty=self.settings.uncertainty)
        return FusedStacks(volume, report, uncertainty)

    def _names(self) -> list[str]:
        return [f"stack-{number}.nrrd" for number in range(1, len(self.stacks) + 1)]


class FusionTask:
    """Fusing volume nodes into a new one by an `exchange` with the engine; see `background.Task`."""

    def __init__(
        self, nodes: Sequence[vtkMRMLScalarVolumeNode], settings: EnhanceSettings, spacing_mm: float | None = None
    ) -> None:
        """Prepare the task; nothing is started.

        Raises
        ------
        SuperResolutionError
            See `checked`.
        """
        self._nodes, self._settings = list(nodes), settings
        volumes = checked(nodes, settings, spacing_mm)
        straight = [straightened(volume) if volume.grid.is_sheared else volume for volume in volumes]
        self.exchange = FuseExchange(straight, settings, spacing_mm)
        self._moves = Moves(self._nodes[0])

    def begin(self, runner: Runner) -> None:
        """Start to fuse."""
        runner.start_exchange(self.exchange)

    def check_present(self) -> None:
        """Raise if a stack was removed from the scene."""
        stacks.check(self._nodes)

    def step(self, done: int, total: int) -> tuple[int, int]:
        """Progress of the task."""
        return done, total

    def take(self, result: FusedStacks) -> vtkMRMLScalarVolumeNode:
        """See `stacks.write`."""
        return stacks.write(result, self._nodes, self._moves)

    def learn(self, result: FusedStacks, seconds: float) -> None:
        """Record the duration."""
        work = len(self._nodes) * result.volume.array.size
        RunTimes(qt.QSettings()).learn_fusion(work, self._settings, seconds)


def checked(
    nodes: Sequence[vtkMRMLScalarVolumeNode], settings: EnhanceSettings, spacing_mm: float | None
) -> list[Volume]:
    """The stacks as volumes, tilted ones as they are; refuses those that cannot be fused.

    Raises
    ------
    SuperResolutionError
        See `stacks.volumes_of`; or a volume is of a sequence, the spacing has no meaning, a setting has no effect, or
        the model is missing.
    """
    from medical_super_resolution.inference.fusion.settings import FusionSettings

    FusionSettings(spacing_mm=spacing_mm)
    for name, value in vars(EnhanceSettings()).items():
        if name not in _COUNTED and getattr(settings, name) != value:
            message = _("{name} has no effect on a fusion; leave it out, or refine a single volume with it")
            raise SettingsError(message.format(name=name))
    for node in nodes:
        if kinds.browser_of(node) is not None:
            message = _("{name} is of a sequence, which cannot be fused; copy one item into a volume of its own")
            raise SettingsError(message.format(name=node.GetName()))
    check_installed(settings.model)
    return stacks.volumes_of(nodes)


def outlook(
    nodes: Sequence[vtkMRMLScalarVolumeNode], settings: EnhanceSettings, spacing_mm: float | None = None
) -> str:
    """Forecast of a fusion in one line: grid, size and time.

    Raises
    ------
    SuperResolutionError
        It would be refused, for the reason in the message.
    """
    volumes = checked(nodes, settings, spacing_mm)
    grid = _grid_of([straight_grid(volume.grid) for volume in volumes], spacing_mm)
    voxels = math.prod(grid.shape_kji)
    line = _("{count} stacks become {grid}, {size}").format(
        count=len(nodes),
        grid=messages.grid(grid),
        size=messages.size(voxels * max(volume.array.itemsize for volume in volumes) / 1e6),
    )
    seconds = RunTimes(qt.QSettings()).fusion_seconds(len(nodes) * voxels, settings)
    return line if seconds is None else messages.with_time(line, seconds)


def _grid_of(grids: list[Grid], spacing_mm: float | None) -> Grid:
    from medical_super_resolution.inference.fusion.stacks import union_grid

    finest_first = sorted(grids, key=lambda grid: (*sorted(grid.spacing_ijk_mm), *grid.ijk_to_ras.ravel()))
    return union_grid(finest_first, spacing_mm or min(min(grid.spacing_ijk_mm) for grid in grids))
