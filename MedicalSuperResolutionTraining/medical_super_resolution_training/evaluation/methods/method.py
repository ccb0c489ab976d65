"""Methods to compare: models through the engine, classical interpolators, and result files of other programs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models.file import Model
from medical_super_resolution.models.weight_interpolation import load_model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid, array_axis
from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.resampling import INTERPOLATORS, resampled
from medical_super_resolution.volumes.volume import Volume

from ..cases import Case
from .lanczos import lanczos

BASELINE = "cubic B-spline"
LANCZOS = "Lanczos"
THICK = "thick slices"  # each coarse sample repeated over the fine samples that it covers


@dataclass(frozen=True)
class Task:
    """One volume to refine: name of the subject, case of the degradation, degraded volume, and target grid."""

    subject: str
    case: Case
    lr: Volume
    grid: Grid


@dataclass(frozen=True, eq=False)
class Refined:
    """A result on the wanted grid (K, J, I), its standard deviation if requested, and the time it took alone.

    The time is in seconds; not a number where the result is a file, or came with its standard deviation.
    """

    array: np.ndarray
    seconds: float
    uncertainty: np.ndarray | None = None


class Method(Protocol):
    """Anything that refines a volume."""

    @property
    def name(self) -> str:
        """Name in the tables."""

    @property
    def can_refine_anew(self) -> bool:
        """Whether it can refine any input, such as one with added lesions; not if its results are files."""

    def takes(self, case: Case) -> bool:
        """Whether it can refine the volumes of this case."""

    def refine(self, task: Task, *, uncertainty: bool = False) -> Refined:
        """The result on the grid of the task, with its uncertainty if requested and supported."""


@dataclass(frozen=True)
class Interpolator:
    """Lanczos, one of `resampling.INTERPOLATORS`, or the coarse samples as they are."""

    name: str
    can_refine_anew = True

    def takes(self, case: Case) -> bool:
        """Every case."""
        return True

    def refine(self, task: Task, *, uncertainty: bool = False) -> Refined:
        """Values between the measured ones."""
        started = time.monotonic()
        if self.name == THICK:
            array = _repeated(task)
        elif self.name == LANCZOS:
            array = lanczos(task.lr.array, task.grid.shape_kji, task.case)
        else:
            array = resampled(task.lr, task.grid, self.name)
        return Refined(array, time.monotonic() - started)


def _repeated(task: Task) -> np.ndarray:
    """Each coarse sample repeated over its fine samples, (K, J, I)."""
    array = task.lr.array
    for axis in task.case.axes:
        at = array_axis(axis)
        places = (np.arange(task.grid.shape_kji[at]) + 0.5) / task.case.factor
        array = array.take(np.minimum(places.astype(int), array.shape[at] - 1), axis=at)
    return array


@dataclass(frozen=True)
class Network:
    """A model, run by the engine as a user runs it.

    Parameters
    ----------
    name
        Name of its column.
    device, threads
        See `EnhanceSettings`.
    estimates_profile
        Whether the engine estimates the slice profile; otherwise it is given that of the case.
    """

    name: str
    model: Model
    device: str = "auto"
    threads: int | None = None
    estimates_profile: bool = False
    can_refine_anew = True

    @property
    def factor(self) -> float | None:
        """Factor of an in-plane model; None for one that refines any axis by any factor."""
        return next(iter(self.model.generator.capabilities.factors), None)

    def takes(self, case: Case) -> bool:
        """Whether the model can refine this case: in-plane models refine two axes by their own factor."""
        return self.factor is None or (len(case.axes) == 2 and case.factor == self.factor)

    def refine(self, task: Task, *, uncertainty: bool = False) -> Refined:
        """The enhanced volume, and its uncertainty if wanted."""
        settings = EnhanceSettings(
            factor=task.case.factor,
            axes=task.case.axes,
            slice_profile="auto" if self.estimates_profile else task.case.profile,
            detail=self.model.detail,
            uncertainty=uncertainty,
            device=self.device,
            threads=self.threads,
        )
        started = time.monotonic()
        enhanced = enhance(task.lr, self.model, settings)
        seconds = time.monotonic() - started
        if enhanced.uncertainty is None:
            return Refined(enhanced.volume.array, seconds)
        # the time includes the mirror images
        return Refined(enhanced.volume.array, math.nan, enhanced.uncertainty.array)


@dataclass(frozen=True)
class ExternalResults:
    """Results of another program: one file per subject and case in a folder, such as a_k_4.nii.gz."""

    name: str
    folder: Path
    can_refine_anew = False

    def takes(self, case: Case) -> bool:
        """Whether the folder holds anything for this case."""
        return any(self.folder.glob(f"*_{case.file_name}.*"))

    def refine(self, task: Task, *, uncertainty: bool = False) -> Refined:
        """Read the result; it must lie on the grid of the reference.

        Raises
        ------
        VolumeError
            There is none, it cannot be read, or it lies on another grid.
        """
        stem = f"{task.subject}_{task.case.file_name}"
        path = next((one for one in sorted(self.folder.glob(f"{stem}.*")) if formats.suffix_of(one)), None)
        if path is None:
            raise VolumeError(
                f"{self.name} has no result {stem} in {self.folder}; compute it from the input of that name"
            )
        volume = files.read(path)
        if volume.array.shape != task.grid.shape_kji or not np.allclose(
            volume.grid.ijk_to_ras, task.grid.ijk_to_ras, atol=0.01 * min(task.grid.spacing_ijk_mm)
        ):
            raise VolumeError(
                f"{path} is {volume.grid.described()} and does not lie where the reference,"
                f" {task.grid.described()}, lies; resample it first"
            )
        return Refined(volume.array, float("nan"))


def networks(
    names: Iterable[str], device: str, threads: int | None, *, estimate_profile: bool = False
) -> list[Network]:
    """Models by installed name or path, with "@0.5" after it for a detail; titled by their file names.

    Raises
    ------
    ModelError
        A model is missing or damaged.
    SettingsError
        Two models would have the same title.
    """
    loaded = [_loaded(name) for name in names]
    titles = [_title(model) for model in loaded]
    titles = [
        title if titles.count(title) == 1 else f"{model.path.resolve().parent.name}/{title}"
        for title, model in zip(titles, loaded, strict=True)
    ]
    twice = {title for title in titles if titles.count(title) > 1}
    if twice:
        raise SettingsError(f"two models are called {twice.pop()}; rename one of the files")
    return [
        Network(title, model, device, threads, estimate_profile) for title, model in zip(titles, loaded, strict=True)
    ]


def _loaded(name: str) -> Model:
    before, _, wanted = name.rpartition("@")
    try:
        amount = float(wanted)
    except ValueError:
        return load_model(name)
    return load_model(before, amount) if before else load_model(name)


def _title(model: Model) -> str:
    return f"{model.name}, detail {model.detail:g}" if model.detail else model.name


def results_of(text: str) -> ExternalResults:
    """Another program's results from "NAME=FOLDER".

    Raises
    ------
    SettingsError
        The text has another form, or the folder holds no volumes.
    """
    name, _, folder = text.partition("=")
    if (
        not (name and folder)
        or not Path(folder).is_dir()
        or not any(formats.suffix_of(one) for one in Path(folder).iterdir())
    ):
        raise SettingsError(f"cannot use the results {text!r}; write NAME=FOLDER, with a folder that holds volumes")
    return ExternalResults(name, Path(folder))


def interpolators(*, thick: bool = False) -> list[Interpolator]:
    """All interpolators, including the baseline; ``thick`` adds the coarse samples as they are."""
    return [Interpolator(name) for name in (*([THICK] if thick else []), *INTERPOLATORS, LANCZOS)]
