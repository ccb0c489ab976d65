"""Header and extensions of a NIfTI file."""

from __future__ import annotations

import numpy as np

from ....errors import VolumeError
from ...grid import Grid
from ...volume import FileHeader
from .fields import fields_in, form, new_fields, set_form, set_shape_and_type
from .reading import version_of


def encoded_header(grid: Grid, kept: FileHeader | None, dtype: np.dtype, volumes: int) -> bytes:
    """The bytes before the voxels of a NIfTI file for volumes on ``grid``; fields of the source's header are kept.

    sform and qform describe the refined grid each in its own space, and keep their codes.
    """
    shape = tuple(reversed(grid.shape_kji)) + ((volumes,) if volumes > 1 else ())
    if kept is None or not kept.nifti:
        header, forms = new_fields(), {"sform": (grid.ijk_to_ras, 1), "qform": (grid.ijk_to_ras, 1)}
    else:
        header = fields_in(kept.nifti, version_of(kept.nifti))
        forms = _refined_forms(header, grid, kept)
    longest = np.iinfo(header["dim"].dtype).max
    if max(shape) > longest:
        raise VolumeError(f"NIfTI holds {longest} voxels along an axis at most; choose .nrrd or .mha")
    repetition = float(header["pixdim"][4])
    set_shape_and_type(header, shape, dtype)
    for name, (matrix, code) in forms.items():
        set_form(header, name, matrix, code)
    header["pixdim"][4] = repetition
    for name in ("slice_code", "slice_start", "slice_end", "slice_duration"):
        header[name] = 0  # of the source's slices
    header["scl_slope"], header["scl_inter"] = 1, 0
    is_first = version_of(header.tobytes()) == 1
    header["magic"] = b"n+1\0" if is_first else b"n+2\0\r\n\x1a\n"
    extensions = kept.extensions if kept else b""
    header["vox_offset"] = (352 if is_first else 544) + len(extensions)
    return header.tobytes() + bytes([bool(extensions), 0, 0, 0]) + extensions


def _refined_forms(header: np.ndarray, grid: Grid, kept: FileHeader) -> dict[str, tuple[np.ndarray, int]]:
    """Each form of the source, its index changed as the grid's was; the grid itself where that was straightened."""
    change = np.linalg.inv(kept.ijk_to_ras) @ grid.ijk_to_ras
    off_axis = change[:3, :3] - np.diag(np.diag(change[:3, :3]))
    is_refinement = np.abs(off_axis).max() < 1e-4
    forms = {}
    for name in ("qform", "sform"):
        matrix = form(header, name)
        if matrix is None:  # or its quaternion is none; the volume was read by the other form
            forms[name] = (grid.ijk_to_ras, 0)
        else:
            forms[name] = (matrix @ change if is_refinement else grid.ijk_to_ras, int(header[f"{name}_code"]))
    return forms
