"""One enhancement to carry out: volume, model, settings, and the plan that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ..errors import SettingsError
from ..models.file import Model
from ..models.weight_interpolation import both_ends
from ..settings import EnhanceSettings, check_slice_thickness, with_own_factor
from ..volumes.intensity import IntensityRange, check_magnitude, guess_modality, intensity_range, trained_window
from ..volumes.resampling import averaged
from ..volumes.tilt import straightened
from ..volumes.volume import Volume
from .planning import Plan, check_own_factor, finer_axes, plan
from .refiners.padding import Padding, padding_of


@dataclass(frozen=True)
class Request:
    """One volume to enhance.

    Parameters
    ----------
    volume : Volume
        The measured volume.
    model : Model
        The model that refines it.
    settings : EnhanceSettings
        As requested.
    planned : Plan
        The passes for this volume and this model.
    ends : tuple of Model or None
        The model at detail 0 and at 1, where the uncertainty is requested and both exist.
    """

    volume: Volume
    model: Model
    settings: EnhanceSettings
    planned: Plan
    ends: tuple[Model, Model] | None

    @cached_property
    def modality(self) -> str:
        """Modality of the volume; guessed from its values where it is not known."""
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
        """Lowest and highest normalized value that networks were trained with."""
        return trained_window(self.modality)

    @property
    def thickness_mm(self) -> float:
        """Slice thickness in mm: that of the settings, else of the volume, else the distance between slices."""
        known = self.settings.slice_thickness_mm or self.volume.slice_thickness_mm
        return known or self.planned.source.through_plane_spacing_mm

    @property
    def voxels_to_refine(self) -> int:
        """Measured voxels, summed over all passes of all runs."""
        passes = self.planned.passes
        passes = passes[:1] if self.model.generator.capabilities.in_one_pass else passes
        runs = len(self.planned.mirrors) if self.settings.refines_mirrors else 1
        runs += sum(end is not self.model for end in self.ends or ())
        return runs * sum(math.prod(one.source.shape_kji) for one in passes)


def make_request(volume: Volume, model: Model, settings: EnhanceSettings) -> Request:
    """Plan the enhancement of a volume.

    Raises
    ------
    SettingsError
        The model does not support the settings, the slice thickness is not above 0, or there is no mirror image to
        refine; or see `planning.plan`.
    VolumeError
        See `planning.plan` and `intensity.check_magnitude`.
    ModelError
        An uncertainty is asked for, and the detail model of the model is damaged.
    """
    check_magnitude(volume.array)
    if volume.slice_thickness_mm:
        check_slice_thickness(volume.slice_thickness_mm)
    volume = straightened(volume)
    if settings.exact_spacing:
        for axis, factor in finer_axes(volume.grid, settings).items():
            volume = averaged(volume, axis, factor)
    planned = plan(volume.grid, with_own_factor(settings, model.generator.capabilities.factors))
    _check_model(model, settings, planned)
    if settings.refines_mirrors:
        _check_mirrors(planned)
    return Request(volume, model, settings, planned, both_ends(model) if settings.uncertainty else None)


def _check_model(model: Model, settings: EnhanceSettings, planned: Plan) -> None:
    """Refuse a model that was loaded with another detail, or that does not support the settings."""
    if model.detail != settings.detail:
        raise SettingsError(
            f"detail {settings.detail:g} is asked for, but the model was loaded with {model.detail:g};"
            " load it with load_model(name, detail)"
        )
    capabilities = model.generator.capabilities
    if settings.precision not in ("auto", *capabilities.precisions):
        raise SettingsError(
            f"the model {model.name} does not compute in precision {settings.precision}; choose one of:"
            f" {', '.join(capabilities.precisions)}"
        )
    check_own_factor(planned, model.name, capabilities.factors)


def _check_mirrors(planned: Plan) -> None:
    """Refuse uncertainty and best quality of a scan whose only image is itself: one would be 0, the other standard."""
    if len(planned.mirrors) == 1:
        i, j, k = planned.factor_ijk
        raise SettingsError(
            "uncertainty and best quality compare mirror images of the scan, and with the factors"
            f" {i:.4g}, {j:.4g} and {k:.4g} along i, j and k the result has the extent of the scan along no axis; leave"
            " both out, or refine one axis at a time"
        )
