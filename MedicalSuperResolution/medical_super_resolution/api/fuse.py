"""The public function: fuse images of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

from ..inference.fusion.fuse import fuse_stacks
from ..inference.fusion.report import Fused
from ..inference.fusion.settings import FusionSettings
from ..models.file import Model
from ..models.weight_interpolation import load_model
from ..progress import Progress, ignore
from ..volumes.volume import Volume
from .image_kinds import volume_with_place
from .options import settings_from


@overload
def fuse(
    stacks: Sequence[Any],
    model: str | Path | Model | None = None,
    settings: FusionSettings | None = None,
    *,
    like: Any = None,  # noqa: ANN401 - of packages that need not be installed
    full: Literal[False] = False,
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of FusionSettings, which checks them
) -> Volume: ...


@overload
def fuse(
    stacks: Sequence[Any],
    model: str | Path | Model | None = None,
    settings: FusionSettings | None = None,
    *,
    like: Any = None,  # noqa: ANN401 - of packages that need not be installed
    full: Literal[True],
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of FusionSettings, which checks them
) -> Fused: ...


@overload
def fuse(
    stacks: Sequence[Any],
    model: str | Path | Model | None = None,
    settings: FusionSettings | None = None,
    *,
    like: Any = None,  # noqa: ANN401 - of packages that need not be installed
    full: bool,
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of FusionSettings, which checks them
) -> Volume | Fused: ...


def fuse(
    stacks: Sequence[Any],
    model: str | Path | Model | None = None,
    settings: FusionSettings | None = None,
    *,
    like: Any = None,
    full: bool = False,
    progress: Progress = ignore,
    **options: Any,
) -> Volume | Fused:
    """Fuse thick stacks of one contrast and one session into one volume with cubic voxels.

    Parameters
    ----------
    stacks : sequence of str, Path, Volume, or images that `enhance` takes
        2 to 12 stacks, in any planes; no arrays, of which a `Volume` tells where they lie. The result does not depend
        on their order.
    model : str, Path or Model, optional
        The name of an installed model, the path of a model file, or the result of `load_model`. Without it, the model
        that ``enhance`` of the settings names.
    settings : FusionSettings, optional
        The settings. Without them, the defaults.
    like : str, Path, Volume, or image that `enhance` takes, optional
        The image whose grid the result takes; no array. Without it, a grid that covers all stacks.
    full : bool
        Return a `Fused` with the volume, a report and the uncertainty, instead of the volume alone.
    progress : callable
        Called with the numbers of steps done and in total. It may raise `errors.Cancelled` to stop.
    **options
        Fields of `FusionSettings`, such as ``spacing_mm=1.0``; they replace those of ``settings``.

    Returns
    -------
    Volume or Fused
        The fused volume, in the data type that holds those of all stacks. Integers are rounded and clipped to their
        type's range.

    Raises
    ------
    TypeError
        A stack or ``like`` is of an unsupported kind, or an option is not a field of `FusionSettings`.
    VolumeError
        There are fewer than 2 or more than 12 stacks, they have different modalities, one is a label map, is given
        twice, or does not overlap with the others; the region or ``like`` lies outside them; or the result would have
        more than 2^30 voxels.
    SettingsError
        The settings are invalid.
    ModelError
        There is no such model, or its file is damaged.
    DeviceError
        The compute device is absent or ran out of memory.

    Examples
    --------
    >>> volume = fuse(["axial.nii.gz", "coronal.nii.gz"], spacing_mm=1.0)  # doctest: +SKIP
    """
    if isinstance(stacks, str | Path):
        raise TypeError(f"fuse takes a list of 2 to 12 stacks, got the single path {str(stacks)!r}")
    settings = settings_from(FusionSettings, settings, options)
    volumes = [volume_with_place(stack) for stack in stacks]
    chosen = settings.enhance
    loaded = model if isinstance(model, Model) else load_model(model or chosen.model, chosen.detail)
    wanted = None if like is None else volume_with_place(like)
    fused = fuse_stacks(volumes, loaded, settings, like=wanted, uncertainty=full, progress=progress)
    return fused if full else fused.volume
