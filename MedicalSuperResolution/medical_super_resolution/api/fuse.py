"""The public function: fuse images of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..inference.fusion.fuse import fuse_stacks
from ..inference.fusion.report import Fused
from ..inference.fusion.settings import FusionSettings
from ..models.file import Model
from ..models.weight_interpolation import load_model
from ..progress import Progress, ignore
from ..volumes.volume import Volume
from .image_kinds import to_volume


def fuse(
    stacks: Sequence[Any],
    model: str | Path | Model | None = None,
    settings: FusionSettings | None = None,
    *,
    like: Volume | None = None,
    full: bool = False,
    progress: Progress = ignore,
    **options: Any,  # noqa: ANN401 - the fields of FusionSettings, which checks them
) -> Volume | Fused:
    """Fuse thick stacks of one contrast and one session into one volume with cubic voxels.

    Parameters
    ----------
    stacks : sequence of str, Path, Volume, or images that `enhance` takes
        2 to 12 stacks, in any planes. The result does not depend on their order.
    model : str, Path or Model, optional
        The name of an installed model, the path of a model file, or the result of `load_model`. Without it, the model
        that ``enhance`` of the settings names.
    settings : FusionSettings, optional
        The settings. Without them, the defaults.
    like : Volume, optional
        The volume whose grid the result takes. Without it, a grid that covers all stacks.
    full : bool
        Return a `Fused` with the volume, a report and the uncertainty, instead of the volume alone.
    progress : callable
        Called with the numbers of steps done and in total. It may raise `errors.Cancelled` to stop.
    **options
        Fields of `FusionSettings`, such as ``spacing_mm=1.0``; they replace those of ``settings``.

    Returns
    -------
    Volume or Fused
        The fused volume, in the data type of the stacks. Integers are rounded and clipped to their type's range.

    Raises
    ------
    VolumeError
        There are fewer than 2 or more than 12 stacks, they have different modalities, one is given twice, or one does
        not overlap with the others.
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
    volumes = [to_volume(stack, spacing=None, affine=None).volume for stack in stacks]
    settings = replace(settings or FusionSettings(), **options)
    chosen = settings.enhance
    loaded = model if isinstance(model, Model) else load_model(model or chosen.model, chosen.detail)
    fused = fuse_stacks(volumes, loaded, settings, like=like, uncertainty=full, progress=progress)
    return fused if full else fused.volume
