"""The public functions: enhance an image of any kind, or the images of a dictionary."""

from __future__ import annotations

import copy
from collections.abc import Iterable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np

from ..errors import SettingsError
from ..inference import enhance as engine
from ..models.file import Model
from ..models.weight_interpolation import load_model
from ..progress import Progress, ignore
from ..settings import EnhanceSettings, check_modality
from ..volumes.volume import Enhanced, Volume
from .image_kinds import to_volume
from .options import settings_from

_Data = TypeVar("_Data", bound=MutableMapping[Any, Any])
_Image = TypeVar("_Image")


@overload
def enhance(
    image: str | Path | Volume,
    model: str | Path | Model | None = None,
    settings: EnhanceSettings | None = None,
    *,
    spacing: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
    modality: str | None = None,
    full: Literal[False] = False,
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of EnhanceSettings, which checks them
) -> Volume: ...


@overload
def enhance(
    image: str | Path | Volume,
    model: str | Path | Model | None = None,
    settings: EnhanceSettings | None = None,
    *,
    spacing: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
    modality: str | None = None,
    full: Literal[True],
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of EnhanceSettings, which checks them
) -> Enhanced[Volume]: ...


@overload
def enhance(
    image: _Image,
    model: str | Path | Model | None = None,
    settings: EnhanceSettings | None = None,
    *,
    spacing: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
    modality: str | None = None,
    full: Literal[False] = False,
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of EnhanceSettings, which checks them
) -> _Image: ...


@overload
def enhance(
    image: _Image,
    model: str | Path | Model | None = None,
    settings: EnhanceSettings | None = None,
    *,
    spacing: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
    modality: str | None = None,
    full: Literal[True],
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of EnhanceSettings, which checks them
) -> Enhanced[_Image]: ...


@overload
def enhance(
    image: Any,  # noqa: ANN401
    model: str | Path | Model | None = None,
    settings: EnhanceSettings | None = None,
    *,
    spacing: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
    modality: str | None = None,
    full: bool,
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of EnhanceSettings, which checks them
) -> Any: ...  # noqa: ANN401 - the one or the other


def enhance(
    image: Any,
    model: str | Path | Model | None = None,
    settings: EnhanceSettings | None = None,
    *,
    spacing: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
    modality: str | None = None,
    full: bool = False,
    progress: Progress = ignore,
    **options: Any,
) -> Any:
    """Refine an image and return an image of the same kind.

    With neither ``factor`` nor ``spacing_ijk_mm`` among the settings, the through-plane axis is refined to the in-plane
    spacing, at most 8 times. An in-plane model of one factor refines both in-plane axes by that factor instead.

    Parameters
    ----------
    image : str, Path, Volume, SimpleITK.Image, nibabel image, MetaTensor, ScalarImage, ndarray or Tensor
        One three-dimensional image with one value in each voxel. A path is read with `read` and gives a `Volume`. An
        array has the axis order (K, J, I), slowest first, and needs ``spacing`` or ``affine``.
    model : str, Path or Model, optional
        The name of an installed model, the path of a model file, or the result of `load_model`. Without it, the model
        that the settings name.
    settings : EnhanceSettings, optional
        The settings. Without them, the defaults.
    spacing : tuple of float, optional
        For an array: distance between voxel centers along i, j and k, in mm.
    affine : ndarray of shape (4, 4), optional
        For an array: matrix from voxel index (i, j, k) to millimeters in RAS.
    modality : str, optional
        Modality of the image: "ct", "mr", "pet" or "us". Without it, that of the file, or a guess from the values.
    full : bool
        Return an `Enhanced` with the image, a report and the uncertainty, instead of the image alone.
    progress : callable
        Called with the numbers of measured voxels done and in total. It may raise `errors.Cancelled` to stop.
    **options
        Fields of `EnhanceSettings`, such as ``factor=4``; they replace those of ``settings``.

    Returns
    -------
    image of the kind given, or Enhanced
        The refined image. Integers are rounded and stay within their type.

    Raises
    ------
    TypeError
        ``image`` is of an unsupported kind, or an option is not a field of `EnhanceSettings`.
    SettingsError
        The settings are invalid for this image or model, or an array comes without its place.
    VolumeError
        The image cannot be read, is not one scalar volume, has a single slice along a refined axis, or holds values
        that are not finite or cannot be computed with.
    ModelError
        There is no such model, or its file is damaged.
    DeviceError
        The compute device is absent or ran out of memory.

    Examples
    --------
    >>> thin = enhance("thick.nii.gz", factor=4)  # doctest: +SKIP
    >>> thin = enhance(array, spacing=(0.8, 0.8, 3.2), modality="mr")  # doctest: +SKIP
    """
    check_modality(modality)
    settings = settings_from(EnhanceSettings, settings, options)
    converted = to_volume(image, spacing=spacing, affine=affine)
    if settings.uncertainty and not full:
        raise SettingsError("the uncertainty is part of the full result; add full=True, or leave uncertainty out")
    volume = replace(converted.volume, modality=modality) if modality else converted.volume
    volume.check_finite()
    chosen = model if isinstance(model, Model) else load_model(model or settings.model, settings.detail)
    enhanced = engine.enhance(volume, chosen, settings, progress)
    if not full:
        return converted.restore(enhanced.volume)
    uncertainty = converted.restore(enhanced.uncertainty) if enhanced.uncertainty else None
    return Enhanced(converted.restore(enhanced.volume), enhanced.report, uncertainty)


class EnhanceTransform:
    """Enhance the images of a dictionary, as a dictionary transform of MONAI or on a TorchIO subject.

    Parameters
    ----------
    keys : str or iterable of str
        The entries to enhance.
    model : str, Path or Model, optional
        As in `enhance`. It is loaded with the first dictionary, and kept.
    settings : EnhanceSettings, optional
        As in `enhance`.
    **options
        Fields of `EnhanceSettings`.

    Raises
    ------
    TypeError, SettingsError
        As in `enhance`, of the settings; or an uncertainty is asked for.
    """

    def __init__(
        self,
        keys: str | Iterable[str],
        model: str | Path | Model | None = None,
        settings: EnhanceSettings | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self.keys = (keys,) if isinstance(keys, str) else tuple(keys)
        self.settings = settings_from(EnhanceSettings, settings, options)
        if self.settings.uncertainty:
            raise SettingsError("EnhanceTransform returns images alone; leave uncertainty out, or call enhance instead")
        self._model = model

    def __repr__(self) -> str:
        return f"EnhanceTransform(keys={self.keys}, {self.settings})"

    def __call__(self, data: _Data) -> _Data:
        """Return a copy of the dictionary with the entries refined; the others are the same objects."""
        if not isinstance(self._model, Model):
            self._model = load_model(self._model or self.settings.model, self.settings.detail)
        result = copy.copy(data)
        for key in self.keys:
            result[key] = enhance(data[key], self._model, self.settings)
        if hasattr(result, "update_attributes"):  # of a TorchIO subject, whose images are attributes, too
            result.update_attributes()
        return result
