"""Header and extensions of a NIfTI file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....errors import SettingsError
from ...grid import Grid
from ...volume import FileHeader
from .reading import header_from, unit_mm, version_of

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header


def encoded_header(grid: Grid, kept: FileHeader | None, dtype: np.dtype, volumes: int) -> bytes:
    """The bytes before the voxels of a NIfTI file for volumes on ``grid``; fields of the source's header are kept.

    sform and qform describe the refined grid each in its own space, and keep their codes.
    """
    from nibabel.nifti1 import Nifti1Header

    shape = tuple(reversed(grid.shape_kji)) + ((volumes,) if volumes > 1 else ())
    if kept is None or not kept.nifti:
        header, forms = Nifti1Header(), {"sform": (grid.ijk_to_ras, 1), "qform": (grid.ijk_to_ras, 1)}
        header.set_xyzt_units("mm", "sec")
        if kept and volumes > 1:
            header["pixdim"][4], header["toffset"] = kept.series_axis
    else:
        header = header_from(kept.nifti, version_of(kept.nifti))
        forms = _refined_forms(header, grid, kept)
    longest = np.iinfo(header["dim"].dtype).max
    if max(shape) > longest:
        raise SettingsError(f"NIfTI holds {longest} voxels along an axis, not {max(shape)}; choose .nrrd or .mha")
    repetition = float(header["pixdim"][4])
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    for name, (matrix, code) in forms.items():
        (header.set_sform if name == "sform" else header.set_qform)(matrix, code=int(code > 0))
        header[f"{name}_code"] = code  # nibabel sets none that it does not know
    header["pixdim"][1:4] = np.linalg.norm(forms["qform"][0][:3, :3], axis=0)
    header["pixdim"][4] = repetition
    for name in ("slice_code", "slice_start", "slice_end", "slice_duration"):
        header[name] = 0  # of the source's slices
    header["scl_slope"], header["scl_inter"] = 1, 0
    is_first = version_of(header.binaryblock) == 1
    header["magic"] = b"n+1\0" if is_first else b"n+2\0\r\n\x1a\n"
    extensions = kept.extensions if kept else b""
    header["vox_offset"] = (352 if is_first else 544) + len(extensions)
    return header.binaryblock + bytes([bool(extensions), 0, 0, 0]) + extensions


def _refined_forms(header: Nifti1Header, grid: Grid, kept: FileHeader) -> dict[str, tuple[np.ndarray, int]]:
    """Each form of the source, its index changed as the grid's was; the grid itself where that was straightened.

    They are in the unit of the header.
    """
    itself = np.diag([*[1 / unit_mm(header)] * 3, 1.0]) @ grid.ijk_to_ras
    change = np.linalg.inv(kept.ijk_to_ras) @ grid.ijk_to_ras
    off_axis = change[:3, :3] - np.diag(np.diag(change[:3, :3]))
    is_refinement = np.abs(off_axis).max() < 1e-4
    forms = {}
    for name in ("qform", "sform"):
        try:
            matrix, code = (header.get_sform if name == "sform" else header.get_qform)(coded=True)
        except ValueError:  # its quaternion is none; the volume was read by the other form
            matrix, code = None, 0
        if matrix is None:
            matrix, code = itself, 0
        elif is_refinement:
            matrix = matrix @ change
        else:
            matrix = itself
        forms[name] = (matrix, int(code))
    return forms
