"""The kinds of images that `enhance` takes, each with its conversion to a `Volume` and back.

Images of other packages are recognized by the name of their class, so that none of these packages is imported unless
the caller has imported it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SettingsError, VolumeError
from ..volumes.grid import LPS_TO_RAS, Grid
from ..volumes.volume import Volume

_WITH_PLACE = "a path, a Volume, a SimpleITK image, a nibabel image, a MONAI MetaTensor, a TorchIO ScalarImage"
SUPPORTED = f"{_WITH_PLACE}, or an array (K, J, I) with spacing= or affine="


@dataclass(frozen=True)
class Converted:
    """An image as a volume, and the conversion back.

    Attributes
    ----------
    volume : Volume
        The image.
    restore : callable
        Takes another volume and returns it as an image of the kind of the original.
    """

    volume: Volume
    restore: Callable[[Volume], Any]


def to_volume(
    image: Any,  # noqa: ANN401 - of packages that need not be installed
    *,
    spacing: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
) -> Converted:
    """Convert an image of any known kind.

    Parameters
    ----------
    image : path, Volume, SimpleITK.Image, nibabel.SpatialImage, monai.data.MetaTensor, torchio.ScalarImage, or array
        One three-dimensional image with one value in each voxel.
    spacing : tuple of float, optional
        For an array: distance between voxel centers along i, j and k, in mm.
    affine : ndarray of shape (4, 4), optional
        For an array: matrix from voxel index (i, j, k) to millimeters in RAS.

    Returns
    -------
    Converted
        The volume, and the conversion back.

    Raises
    ------
    TypeError
        The image is of none of these kinds.
    SettingsError
        An array comes without its spacing or with one that is none, or an image that has one comes with another.
    VolumeError
        The image is no scalar volume.
    """
    convert = _conversion_of(image)
    if convert is not None:
        if spacing is not None or affine is not None:
            raise SettingsError(f"spacing and affine are for arrays; {type(image).__name__} carries its own")
        return convert(image)
    if isinstance(image, np.ndarray) or _is_a("torch", "Tensor")(image):
        return _from_array(image, spacing, affine)
    raise TypeError(f"enhance takes {SUPPORTED}; got {_full_name(type(image))}")


def volume_with_place(image: Any) -> Volume:  # noqa: ANN401
    """The volume of an image of any known kind but an array, which does not tell where it lies.

    Raises
    ------
    TypeError
        The image is of none of these kinds.
    VolumeError
        The image is no scalar volume.
    """
    convert = _conversion_of(image)
    if convert is None:
        name = _full_name(type(image))
        raise TypeError(f"fuse takes {_WITH_PLACE}; got {name}; make a Volume of an array by Volume(array, grid)")
    return convert(image).volume


def _conversion_of(image: object) -> Callable[[Any], Converted] | None:
    return next((convert for is_kind, convert in _KINDS if is_kind(image)), None)


def _full_name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _is_a(package: str, name: str) -> Callable[[object], bool]:
    """Recognize a class of a package, and what derives from it, without importing the package."""

    def check(image: object) -> bool:
        return any(one.__name__ == name and one.__module__.partition(".")[0] == package for one in type(image).__mro__)

    return check


def _from_path(path: str | Path) -> Converted:
    from ..volumes.io import files

    return Converted(files.read(path), lambda volume: volume)


def _from_simple_itk(image: Any) -> Converted:  # noqa: ANN401
    import SimpleITK as sitk

    from ..volumes.resampling import grid_of, to_image

    if image.GetPixelIDValue() in (
        sitk.sitkLabelUInt8,
        sitk.sitkLabelUInt16,
        sitk.sitkLabelUInt32,
        sitk.sitkLabelUInt64,
    ):
        # SimpleITK would end the program
        raise VolumeError("the SimpleITK image is a list of label objects; make voxels of it by sitk.LabelMapToLabel")
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeError(
            f"the SimpleITK image has {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()}"
            " values in each voxel; pick one scalar 3-D volume of it first"
        )
    return Converted(Volume(sitk.GetArrayFromImage(image), grid_of(image)), to_image)


def _from_nibabel(image: Any) -> Converted:  # noqa: ANN401
    from ..volumes.io.nifti.reading import with_slice_axis

    if len(image.shape) != 3:
        raise VolumeError(f"the nibabel image has the shape {image.shape}; pick one 3-D volume of it first")
    if image.affine is None:
        raise VolumeError("the nibabel image has no affine; give it one first")
    array = np.asanyarray(image.dataobj).transpose()  # (I, J, K) -> (K, J, I), a view

    def restore(volume: Volume) -> Any:  # noqa: ANN401
        header = image.header.copy()
        header.set_data_dtype(volume.array.dtype)
        for stale in ("slice_code", "slice_start", "slice_end", "slice_duration"):  # of NIfTI: times of the old slices
            if stale in header:
                header[stale] = 0
        made = type(image)(volume.array.transpose(), volume.grid.ijk_to_ras, header)
        if hasattr(image, "get_sform"):  # NIfTI, in which a volume can have two places
            to_old_voxels = np.linalg.inv(image.affine) @ volume.grid.ijk_to_ras
            places = image.get_qform(coded=True), image.get_sform(coded=True)
            for (matrix, code), put in zip(places, (made.set_qform, made.set_sform), strict=True):
                if any(code for _, code in places):  # else its affine is in no header
                    put(None if matrix is None else matrix @ to_old_voxels, code)
        return made

    grid = Grid(array.shape, image.affine)
    if hasattr(image.header, "get_dim_info"):  # NIfTI
        grid = with_slice_axis(grid, image.header)
    return Converted(Volume(array, grid), restore)


def _from_meta_tensor(image: Any) -> Converted:  # noqa: ANN401
    is_lps = str(getattr(image.meta.get("space", ""), "value", image.meta.get("space", ""))).upper() == "LPS"
    to_ras = LPS_TO_RAS if is_lps else np.eye(4)
    values = image.as_tensor()
    affine = to_ras @ np.asarray(image.affine.cpu(), dtype=np.float64)

    def restore(volume: Volume) -> Any:  # noqa: ANN401
        made = _tensor_like(volume, values)
        meta = {key: value for key, value in image.meta.items() if key != "affine"}
        return type(image)(made, affine=_tensor(to_ras @ volume.grid.ijk_to_ras), meta=meta)

    return Converted(_from_channels(values, affine), restore)


def _from_torchio(image: Any) -> Converted:  # noqa: ANN401
    affine = np.asarray(image.affine, dtype=np.float64)

    def restore(volume: Volume) -> Any:  # noqa: ANN401
        return type(image)(tensor=_tensor_like(volume, image.data), affine=volume.grid.ijk_to_ras)

    return Converted(_from_channels(image.data, affine), restore)


def _from_channels(values: Any, affine: np.ndarray) -> Volume:  # noqa: ANN401 - a torch tensor
    """A tensor (I, J, K) or (1, I, J, K) as a volume."""
    if values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[0] != 1):
        raise VolumeError(f"the image has the shape {tuple(values.shape)}; pick one channel of one 3-D volume first")
    array = _array_of(values).reshape(values.shape[-3:]).transpose()
    return Volume(array, Grid(array.shape, affine))


def _array_of(tensor: Any) -> np.ndarray:  # noqa: ANN401
    """The voxels of a tensor, without a copy where it lies in memory as an array does."""
    try:
        return tensor.detach().cpu().resolve_neg().numpy()
    except (TypeError, NotImplementedError) as problem:  # such as bfloat16, sparse and meta tensors
        kind = f"{tensor.dtype}, {tensor.layout} on the device {tensor.device}"
        raise VolumeError(f"the tensor is {kind}; give a dense one of another type, such as float32") from problem


def _tensor(array: np.ndarray) -> Any:  # noqa: ANN401
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))


def _tensor_like(volume: Volume, values: Any) -> Any:  # noqa: ANN401
    """The voxels as a tensor with the axes and on the device of another, whose channel axis is kept."""
    made = _tensor(volume.array.transpose()).to(values.device)
    return made[None] if values.ndim == 4 else made


def _from_array(image: Any, spacing: tuple[float, float, float] | None, affine: np.ndarray | None) -> Converted:  # noqa: ANN401
    if (spacing is None) == (affine is None):
        what = "no spacing" if spacing is None else "both spacing and affine"
        raise SettingsError(f"the array comes with {what}; give spacing=(i, j, k) in mm, or affine= from ijk to RAS")
    is_tensor = not isinstance(image, np.ndarray)
    array = _array_of(image) if is_tensor else image
    if array.ndim != 3:
        raise VolumeError(f"the array has the shape {array.shape}; enhance takes one volume with three axes (K, J, I)")
    grid = Grid(array.shape, _matrix(affine) if spacing is None else _diagonal(spacing))

    def restore(volume: Volume) -> Any:  # noqa: ANN401
        return _tensor(volume.array).to(image.device) if is_tensor else volume.array

    return Converted(Volume(array, grid), restore)


def _matrix(affine: object) -> np.ndarray:
    values = _numbers(affine, (4, 4))
    if values is None:
        raise SettingsError(f"affine has 4 x 4 numbers, from ijk to RAS in mm; got {affine!r}")
    return values


def _diagonal(spacing: tuple[float, float, float]) -> np.ndarray:
    values = _numbers(spacing, (3,))
    if values is None or not (values > 0).all():
        raise SettingsError(f"spacing has three values above 0 mm, along i, j and k; got {spacing!r}")
    return np.diag([*map(float, values), 1.0])


def _numbers(values: object, shape: tuple[int, ...]) -> np.ndarray | None:
    """An array of real numbers of this shape; None if it is none."""
    try:
        found = np.asarray(values)
    except ValueError:  # rows of several lengths
        return None
    return found if found.shape == shape and found.dtype.kind in "iuf" else None


_KINDS: tuple[tuple[Callable[[object], bool], Callable[[Any], Converted]], ...] = (
    (lambda image: isinstance(image, str | Path), _from_path),
    (lambda image: isinstance(image, Volume), lambda image: Converted(image, lambda volume: volume)),
    (_is_a("SimpleITK", "Image"), _from_simple_itk),
    (_is_a("nibabel", "SpatialImage"), _from_nibabel),
    (_is_a("monai", "MetaTensor"), _from_meta_tensor),
    (_is_a("torchio", "ScalarImage"), _from_torchio),
)
