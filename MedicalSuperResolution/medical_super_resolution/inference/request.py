"""What volume, model and settings come to, before the work begins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from ..errors import SettingsError
from ..models.file import Model
from ..models.weight_interpolation import both_ends
from ..settings import EnhanceSettings
from ..volumes.intensity import IntensityRange, guess_modality, intensity_range, trained_window
from ..volumes.resampling import averaged
from ..volumes.tilt import straightened
from ..volumes.volume import Volume
from .planning import Plan, finer_axes, plan
from .refiners.padding import Padding, padding_of
from .uncertainty import mirrors


@dataclass(frozen=True)
class Request:
    """One volume to enhance.

    Parameters
    ----------
    volume : Volume
        The measured volume.
    model : Model
        What refines it.
    settings : EnhanceSettings
        As they were asked.
    planned : Plan
        What the settings mean for this volume and this model.
    ends : tuple of Model or None
        The model at detail 0 and at 1, where the uncertainty is asked for and there are both.
    """

    volume: Volume
    model: Model
    settings: EnhanceSettings
    planned: Plan
    ends: tuple[Model, Model] | None

    @cached_property
    def modality(self) -> str:
        """Of the volume; guessed from the values where it is not known."""
        return self.volume.modality or guess_modality(self.volume.array)

    @cached_property
    def measured(self) -> IntensityRange:
        """The intensities of the volume."""
        values = self.padding.values if self.padding else ()
        return intensity_range(self.volume.array, self.modality, padding=values, mask=self.volume.padding)

    @cached_property
    def padding(self) -> Padding | None:
        """Voxels outside the field of view."""
        return padding_of(self.volume)

    @property
    def window(self) -> tuple[float, float]:
        """Lowest and highest normalised value that networks were trained with."""
        return trained_window(self.modality)

    @property
    def thickness_mm(self) -> float:
        """Of the slices: as asked, or that of the volume, or as if they were contiguous."""
        known = self.settings.slice_thickness_mm or self.volume.slice_thickness_mm
        return known or self.planned.source.through_plane_spacing_mm

    @property
    def work(self) -> int:
        """Measured voxels to work through, in all passes of all runs."""
        passes = self.planned.passes
        passes = passes[:1] if self.model.generator.capabilities.in_one_pass else passes
        runs = len(list(mirrors(self.planned))) if self.settings.sees_mirrors else 1
        runs += sum(end is not self.model for end in self.ends or ())
        return runs * sum(math.prod(one.source.shape_kji) for one in passes)


def make_request(volume: Volume, model: Model, settings: EnhanceSettings) -> Request:
    """Decide what is to be done.

    Raises
    ------
    SettingsError
        The model cannot do what is asked; or see `planning.plan`.
    VolumeError
        See `planning.plan`.
    """
    if volume.grid.is_sheared:
        volume = straightened(volume)
    if settings.exact_spacing:
        for axis, factor in finer_axes(volume.grid, settings).items():
            volume = averaged(volume, axis, factor)
    planned = plan(volume.grid, _with_factor_of(model, settings))
    _check_model(model, settings, planned)
    return Request(volume, model, settings, planned, both_ends(model) if settings.uncertainty else None)


def _with_factor_of(model: Model, settings: EnhanceSettings) -> EnhanceSettings:
    """The settings; where they name neither factor nor spacing, a model for one factor refines as it was made to."""
    able = model.generator.capabilities
    if len(able.factors) == 1 and settings.factor is None and settings.spacing_ijk_mm is None:
        return replace(settings, factor=able.factors[0], axes=able.axes)
    return settings


def _check_model(model: Model, settings: EnhanceSettings, planned: Plan) -> None:
    """Refuse a model of another detail, and what lies outside its capabilities."""
    if model.detail != settings.detail:
        raise SettingsError(
            f"detail {settings.detail:g} is asked for, but the model was loaded with {model.detail:g};"
            " load it with load_model(name, detail)"
        )
    able = model.generator.capabilities
    if settings.precision not in ("auto", *able.precisions):
        raise SettingsError(
            f"the model {model.name} does not compute in precision {settings.precision}; choose one of:"
            f" {', '.join(able.precisions)}"
        )
    if not able.factors:
        return
    asked = [one.factor for one in planned.passes]
    if not any(asked == [factor, factor] for factor in able.factors):
        known = " or ".join(f"{factor:g}" for factor in able.factors)
        raise SettingsError(
            f"the model {model.name} refines both in-plane axes {known} times and nothing else;"
            f" ask for --axes {able.axes} --factor {able.factors[0]:g}, or choose the model general"
        )
