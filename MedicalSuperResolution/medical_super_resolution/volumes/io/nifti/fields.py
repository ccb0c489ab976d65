"""The fields of a NIfTI header as a NumPy record, and the place in space by each of its two forms.

They are read here and not by nibabel, whose import takes 25 MB of memory and 0.15 s, because it imports pydicom.

References
----------
.. [1] NIfTI-1 data format. https://nifti.nimh.nih.gov/nifti-1
.. [2] NIfTI-2 data format. https://nifti.nimh.nih.gov/nifti-2
"""

from __future__ import annotations

from typing import Literal

import numpy as np

ByteOrder = Literal["<", ">"]  # little and big endian
_FIRST = [
    ("sizeof_hdr", "i4"), ("data_type", "V28"), ("extents", "i4"), ("session_error", "i2"), ("regular", "V1"),
    ("dim_info", "u1"), ("dim", "i2", 8), ("intent_p", "f4", 3), ("intent_code", "i2"), ("datatype", "i2"),
    ("bitpix", "i2"), ("slice_start", "i2"), ("pixdim", "f4", 8), ("vox_offset", "f4"), ("scl_slope", "f4"),
    ("scl_inter", "f4"), ("slice_end", "i2"), ("slice_code", "u1"), ("xyzt_units", "u1"), ("cal", "f4", 2),
    ("slice_duration", "f4"), ("toffset", "f4"), ("gl", "i4", 2), ("descrip", "V104"), ("qform_code", "i2"),
    ("sform_code", "i2"), ("quatern", "f4", 3), ("qoffset", "f4", 3), ("srow", "f4", (3, 4)), ("intent_name", "V16"),
    ("magic", "S4"),
]  # fmt: skip
_SECOND = [
    ("sizeof_hdr", "i4"), ("magic", "S8"), ("datatype", "i2"), ("bitpix", "i2"), ("dim", "i8", 8),
    ("intent_p", "f8", 3), ("pixdim", "f8", 8), ("vox_offset", "i8"), ("scl_slope", "f8"), ("scl_inter", "f8"),
    ("cal", "f8", 2), ("slice_duration", "f8"), ("toffset", "f8"), ("slice_start", "i8"), ("slice_end", "i8"),
    ("descrip", "V104"), ("qform_code", "i4"), ("sform_code", "i4"), ("quatern", "f8", 3), ("qoffset", "f8", 3),
    ("srow", "f8", (3, 4)), ("slice_code", "i4"), ("xyzt_units", "i4"), ("intent_code", "i4"), ("intent_name", "V16"),
    ("dim_info", "u1"), ("unused_str", "V15"),
]  # fmt: skip
LAYOUTS = {1: np.dtype(_FIRST), 2: np.dtype(_SECOND)}  # 348 and 540 bytes
DATA_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
    1792: "c16",
}  # fmt: skip
_CODES = {np.dtype(name): code for code, name in DATA_TYPES.items()}
_MM_AND_SECONDS = 2 | 8
_ROUNDING = 3  # units in the last place, by which a quaternion may exceed 1


def fields_in(block: bytes, version: int, order: ByteOrder = "<") -> np.ndarray:
    """The header of a version at the beginning of some bytes: an array () of records, a copy."""
    layout = LAYOUTS[version]
    return np.frombuffer(block[: layout.itemsize], layout.newbyteorder(order)).reshape(()).copy()


def new_fields() -> np.ndarray:
    """The header of a NIfTI-1 file in mm and seconds, without size and place."""
    header = np.zeros((), LAYOUTS[1].newbyteorder("<"))
    header["sizeof_hdr"] = header.itemsize
    header["pixdim"] = 1
    header["xyzt_units"] = _MM_AND_SECONDS
    return header


def set_shape_and_type(header: np.ndarray, shape_ijk: tuple[int, ...], dtype: np.dtype) -> None:
    """Write the size of the voxels' array, its first index the fastest, and the type of the voxels."""
    count = len(shape_ijk)
    header["dim"] = 1
    header["dim"][: count + 1] = (count, *shape_ijk)
    header["pixdim"][count + 1 :] = 1
    header["datatype"], header["bitpix"] = _CODES[dtype.newbyteorder("=")], 8 * dtype.itemsize


def form(header: np.ndarray, name: str) -> np.ndarray | None:
    """(4, 4) index to RAS, in the header's units, by the "sform" or the "qform".

    None where the header has none, or one whose quaternion is none.
    """
    if not header[f"{name}_code"]:
        return None
    matrix = np.eye(4)
    if name == "sform":
        matrix[:3] = header["srow"]
        return matrix
    spacing = header["pixdim"][1:4] * [1, 1, header["pixdim"][0]]
    with np.errstate(all="ignore"):  # in a damaged header
        rotation = _rotation(header["quatern"].astype(np.float64), _ROUNDING * np.finfo(header["quatern"].dtype).eps)
    if rotation is None:
        return None
    matrix[:3, :3], matrix[:3, 3] = rotation * spacing, header["qoffset"]
    return matrix


def set_form(header: np.ndarray, name: str, matrix: np.ndarray, code: int) -> None:
    """Write a form, (4, 4) index to RAS; a qform, which has no shears, as the nearest without."""
    header[f"{name}_code"] = code
    if name == "sform":
        header["srow"] = matrix[:3]
        return
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    axes = matrix[:3, :3] / spacing
    handedness = 1 if np.linalg.det(axes) > 0 else -1
    left, _, right = np.linalg.svd(axes * [1, 1, handedness])
    header["pixdim"][:4] = (handedness, *spacing)
    header["quatern"], header["qoffset"] = _quaternion(left @ right)[1:], matrix[:3, 3]


def place_without_forms(header: np.ndarray) -> np.ndarray:
    """(4, 4) index to RAS without any form: the first axis to the left, 0 in the middle, as in Analyze 7.5."""
    count = min(int(header["dim"][0]), 3)
    sizes, spacing = np.ones(3), np.ones(3)
    sizes[:count], spacing[:count] = header["dim"][1 : count + 1], header["pixdim"][1 : count + 1]
    spacing[0] = -spacing[0]
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -(sizes - 1) / 2 * spacing
    return matrix


def _rotation(vector: np.ndarray, rounding: float) -> np.ndarray | None:
    """(3, 3) of a unit quaternion with the given vector part and a real part of at least 0; None if there is none."""
    square = 1 - vector @ vector
    if square < -rounding:
        return None
    real = np.sqrt(square) if square > rounding else 0.0
    cross = np.cross(np.eye(3), vector)
    twice = 2 / (real**2 + vector @ vector)
    return np.eye(3) + twice * (real * cross + np.outer(vector, vector) - vector @ vector * np.eye(3))


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """(real, i, j, k) of a rotation (3, 3), with a real part of at least 0.

    The products of all pairs of its parts, times 4, are sums of elements of the matrix. The row of those with the
    largest part is the most exact.
    """
    trace = np.trace(rotation)
    antisymmetric = rotation - rotation.T
    products = np.empty((4, 4))
    products[0, 0] = 1 + trace
    products[0, 1:] = products[1:, 0] = antisymmetric[[2, 0, 1], [1, 2, 0]]
    products[1:, 1:] = rotation + rotation.T + (1 - trace) * np.eye(3)
    row = products[np.diag(products).argmax()]
    return row / np.linalg.norm(row) * (-1 if row[0] < 0 else 1)
