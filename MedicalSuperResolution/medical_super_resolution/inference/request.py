"""What volume, model and settings come to, before the work begins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from ..errors import SettingsError
from ..models.file import Model
from ..models.weight_interpolation import both_ends
from ..networks.generators.plane import PlaneGenerator
from ..settings import EnhanceSettings
from ..volumes.intensity import IntensityRange, guess_modality, intensity_range, trained_window
from ..volumes.volume import Volume
from .padding import Padding, padding_of
from .planning import Plan, plan
from .uncertainty import mirrors


@dataclass(frozen=True)
class Request:
    """One volume to enhance.

    settings : as they were asked. planned : what they mean for this volume and this model.
    ends : the model at sharpness 0 and at 1, where the uncertainty is asked for and there are both.
    """

    volume: Volume
    model: Model
    settings: EnhanceSettings
    planned: Plan
    ends: tuple[Model, Model] | None

    @cached_property
    def modality(self) -> str:
        """Of the volume; guessed where it does not say."""
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
        """Of the slices: as asked, or as the volume says, or as if they were contiguous."""
        known = self.settings.slice_thickness_mm or self.volume.slice_thickness_mm
        return known or self.planned.source.through_plane_spacing_mm

    @property
    def work(self) -> int:
        """Measured voxels to work through, in all passes of all runs."""
        passes = self.planned.passes
        passes = passes[:1] if isinstance(self.model.generator, PlaneGenerator) else passes
        runs = len(list(mirrors(self.planned))) if self.settings.uncertainty else 1
        runs += sum(end is not self.model for end in self.ends or ())
        return runs * sum(math.prod(one.source.shape_kji) for one in passes)


def make_request(volume: Volume, model: Model, settings: EnhanceSettings) -> Request:
    """Decide what is to be done.

    Raises
    ------
    SettingsError, VolumeError : see `planning.plan`. SettingsError also where the model cannot do what is asked.
    """
    planned = plan(volume.grid, _as_the_model_refines(model, settings))
    _check_model(model, settings, planned)
    return Request(volume, model, settings, planned, both_ends(model) if settings.uncertainty else None)


def _as_the_model_refines(model: Model, settings: EnhanceSettings) -> EnhanceSettings:
    """The settings; where they say neither factor nor spacing, an in-plane model refines as it was made to."""
    if isinstance(model.generator, PlaneGenerator) and settings.factor is None and settings.spacing_ijk_mm is None:
        return replace(settings, factor=float(model.generator.factor), axes="in-plane")
    return settings


def _check_model(model: Model, settings: EnhanceSettings, planned: Plan) -> None:
    """Refuse a model of another sharpness, and to ask an in-plane model for anything but its factor along two axes."""
    if model.sharpness != settings.sharpness:
        raise SettingsError(
            f"sharpness {settings.sharpness:g} is asked for, but the model was loaded with {model.sharpness:g};"
            " load it by sharpness.load"
        )
    if not isinstance(model.generator, PlaneGenerator):
        return
    factor = float(model.generator.factor)
    if [one.factor for one in planned.passes] != [factor, factor]:
        raise SettingsError(
            f"the model {model.name} refines both in-plane axes {factor:g} times and nothing else;"
            f" ask for --axes in-plane --factor {factor:g}, or choose the model general"
        )
