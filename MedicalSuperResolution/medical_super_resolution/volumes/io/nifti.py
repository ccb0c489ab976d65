"""Headers of NIfTI-1, NIfTI-2 and FreeSurfer files, through nibabel."""

from __future__ import annotations

import gzip
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import VolumeError
from ..grid import AXES_IJK, SAME_SPACING, Grid
from ..volume import FileHeader
from .foreign import not_read
from .header import Header, Voxels, checked_sizes, damaged, in_several_values, placed

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

LARGEST_OFFSET = 1 << 26  # bytes before the voxels, such as notes of other programs
_SIZES_OF_HEADER = {348: 1, 540: 2}  # bytes of NIfTI-1 and NIfTI-2
_MAGIC = {1: (344, (b"n+1", b"ni1")), 2: (4, (b"n+2", b"ni2"))}
_MM_A_UNIT = {1: 1000.0, 3: 0.001}  # metres and micrometres; all else is millimetres
_INTENT_LABEL = 1002
_MGH_BYTES = 284
_MGH_FOOTER_BYTES = 20
_COLOURS = {128: 3, 2304: 4}
_SCALAR_KINDS = "iuf"
_LARGEST_ITEM = 8  # bytes; there are 16-byte floating numbers


def read_nifti_header(path: Path) -> Header:
    """The header of ``.nii``, ``.nii.gz``, or of a pair of ``.hdr`` and ``.img``.

    The sform is the place in space where it has a code, else the qform, as all readers of neuroimages do. A slope of 0
    is no slope.

    Raises
    ------
    VolumeError
        It is no NIfTI file, or damaged.
    """
    header_file = _header_file(path)
    is_packed = header_file.name.lower().endswith(".gz")
    with gzip.open(header_file) if is_packed else header_file.open("rb") as file:
        block = file.read(max(_SIZES_OF_HEADER))
    version, order = _version(path, block)
    header = header_from(block, version, order)
    is_pair = header["magic"].tobytes().startswith(b"ni")
    sizes = _sizes(path, header)
    grid, notes = placed(path, sizes, _affine(path, header))
    grid = _with_slice_axis(grid, header)
    stored = _stored(path, header)
    slope, intercept = _scaling(path, header)
    offset = float(header["vox_offset"])
    least = 0 if is_pair else max(_SIZES_OF_HEADER) if version == 2 else 348
    if not 0 <= offset <= LARGEST_OFFSET:
        raise VolumeError(f"{path} is damaged: its voxels cannot begin at byte {offset:g}; get it again")
    place = int(offset) if offset >= least else least + 4
    file_of_voxels = _image_file(header_file) if is_pair else header_file
    packed = file_of_voxels.name.lower().endswith(".gz")
    voxels = Voxels(file_of_voxels, place, "gzip" if packed else "raw", is_file_packed=packed)
    is_labels = int(header["intent_code"]) == _INTENT_LABEL
    kept = FileHeader(
        grid.ijk_to_ras, nifti=header.binaryblock if order == "<" else _swapped(header), is_labels=is_labels
    )
    return Header(path, sizes, grid, stored, voxels, kept, slope, intercept, notes=notes)


def read_mgh_header(path: Path) -> Header:
    """The header of FreeSurfer's ``.mgh`` and ``.mgz``."""
    from nibabel.freesurfer.mghformat import MGHHeader
    from nibabel.spatialimages import HeaderDataError

    is_packed = not path.name.lower().endswith(".mgh")
    with gzip.open(path) if is_packed else path.open("rb") as file:
        block = file.read(_MGH_BYTES)
    if len(block) < _MGH_BYTES or block[:4] != b"\0\0\0\x01":
        raise not_read(path, block)
    try:
        header = MGHHeader(block + bytes(_MGH_FOOTER_BYTES), check=False)
        sizes = checked_sizes(path, [int(count) for count in header["dims"]])
        stored = header.get_data_dtype()
        matrix = header.get_affine()
    except (HeaderDataError, ValueError, KeyError, ZeroDivisionError) as problem:
        raise damaged(path, "its header is damaged") from problem
    grid, notes = placed(path, sizes, matrix)
    voxels = Voxels(path, _MGH_BYTES, "gzip" if is_packed else "raw", is_file_packed=is_packed)
    return Header(path, sizes, grid, stored.newbyteorder(">"), voxels, FileHeader(grid.ijk_to_ras), notes=notes)


def header_from(block: bytes, version: int, order: str = "<") -> Nifti1Header:
    """The nibabel header in some bytes, nothing in it changed or checked."""
    import nibabel

    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it prints what we refuse in one sentence
    kind = nibabel.Nifti2Header if version == 2 else nibabel.Nifti1Header
    size = next(size for size, number in _SIZES_OF_HEADER.items() if number == version)
    return kind(block[:size], endianness=order, check=False)


def version_of(block: bytes) -> int:
    """1 or 2, of a NIfTI header in some bytes."""
    return _SIZES_OF_HEADER.get(int.from_bytes(block[:4], "little"), 1)


def _version(path: Path, block: bytes) -> tuple[int, str]:
    if not block:
        raise damaged(path, "it is empty")
    for order, name in (("<", "little"), (">", "big")):
        version = _SIZES_OF_HEADER.get(int.from_bytes(block[:4], name))  # type: ignore[arg-type]
        if version is None or len(block) < (348 if version == 1 else 540):
            continue
        start, known = _MAGIC[version]
        if block[start : start + 3] in known:
            return version, order
        raise VolumeError(
            f"{path} is not a format that this program reads: Analyze 7.5, which does not say where left and right are;"
            " convert it to NIfTI first"
        )
    raise not_read(path, block)


def _header_file(path: Path) -> Path:
    """The file with the header: of a pair, the one that ends in .hdr."""
    name = path.name.lower()
    for ending in (".img", ".img.gz"):
        if name.endswith(ending):
            stem = path.name[: -len(ending)]
            for other in (".hdr", ".hdr.gz", ".HDR"):
                if (path.parent / (stem + other)).is_file():
                    return path.parent / (stem + other)
            raise VolumeError(f"{path} has no header beside it; put {stem}.hdr into the same folder")
    return path


def _image_file(header: Path) -> Path:
    """The file with the voxels of a pair, beside its header."""
    stem = header.name[: header.name.lower().index(".hdr")]
    for ending in (".img", ".img.gz", ".IMG"):
        if (header.parent / (stem + ending)).is_file():
            return header.parent / (stem + ending)
    raise VolumeError(f"{header} has no voxels beside it; put {stem}.img into the same folder")


def _sizes(path: Path, header: Nifti1Header) -> tuple[int, ...]:
    dimensions = int(header["dim"][0])
    if not 1 <= dimensions <= 7:
        raise damaged(path, f"it has {dimensions} dimensions")
    if colours := _COLOURS.get(int(header["datatype"])):
        raise in_several_values(path, colours)
    counts = [int(count) for count in header["dim"][1 : dimensions + 1]]
    if dimensions >= 5 and counts[3] == 1 and counts[4] > 1:
        raise in_several_values(path, counts[4])
    return checked_sizes(path, counts)


def _affine(path: Path, header: Nifti1Header) -> np.ndarray:
    """(4, 4) index to RAS, in millimetres."""
    from nibabel.spatialimages import HeaderDataError

    spacing = np.abs(header["pixdim"][1:4])  # as nibabel mends them: a negative spacing is one without its sign
    spacing[spacing == 0] = 1
    header["pixdim"][1:4] = spacing
    unused = header["pixdim"][4:]
    header["pixdim"][4:] = np.where(np.isfinite(unused), unused, 0)
    try:
        if header["sform_code"] > 0:
            matrix = header.get_sform()
        elif header["qform_code"] > 0:
            matrix = header.get_qform()
        else:
            matrix = header.get_base_affine()
    except (HeaderDataError, ValueError, np.linalg.LinAlgError) as problem:
        raise damaged(path, "its place in space is damaged") from problem
    unit = _MM_A_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    with np.errstate(all="ignore"):  # what is not finite is refused as a place
        return np.diag([unit, unit, unit, 1.0]) @ np.asarray(matrix, np.float64)


def _with_slice_axis(grid: Grid, header: Nifti1Header) -> Grid:
    """The grid; where its spacings are all the same, with the slice axis that the header names."""
    spacing = grid.spacing_ijk_mm
    axis = header.get_dim_info()[2]
    if axis is None or max(spacing) > min(spacing) * (1 + SAME_SPACING):
        return grid
    return replace(grid, slice_axis=AXES_IJK[axis])


def _stored(path: Path, header: Nifti1Header) -> np.dtype:
    try:
        stored = header.get_data_dtype()
    except Exception as problem:  # noqa: BLE001 - nibabel raises one of several for an unknown number
        raise damaged(path, f"its voxels are of the unknown type {int(header['datatype'])}") from problem
    if stored.kind not in _SCALAR_KINDS or stored.itemsize > _LARGEST_ITEM:
        raise VolumeError(f"the voxels of {path} are of type {stored.name}; a volume needs whole or real numbers")
    return stored


def _scaling(path: Path, header: Nifti1Header) -> tuple[float, float]:
    from nibabel.spatialimages import HeaderDataError

    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as problem:
        raise damaged(path, "the scaling of its values is damaged") from problem
    if slope is None:
        return 1.0, 0.0
    return float(slope), float(intercept or 0.0)


def _swapped(header: Nifti1Header) -> bytes:
    return header.as_byteswapped("<").binaryblock


def encoded_header(grid: Grid, kept: FileHeader | None, dtype: np.dtype, volumes: int) -> bytes:
    """The bytes before the voxels of a NIfTI file for volumes on ``grid``; what the source's header said is kept.

    sform and qform describe the refined grid each in its own space, and keep their codes.
    """
    from nibabel.nifti1 import Nifti1Header

    shape = tuple(reversed(grid.shape_kji)) + ((volumes,) if volumes > 1 else ())
    if kept is None or not kept.nifti:
        header, forms = Nifti1Header(), {"sform": (grid.ijk_to_ras, 1), "qform": (grid.ijk_to_ras, 1)}
        header.set_xyzt_units("mm", "sec")
    else:
        header = header_from(kept.nifti, version_of(kept.nifti))
        forms = _refined_forms(header, grid, kept)
    longest = np.iinfo(header["dim"].dtype).max
    if max(shape) > longest:
        raise VolumeError(f"NIfTI holds {longest} voxels along an axis at most; choose .nrrd or .mha")
    repetition = float(header["pixdim"][4])
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    for name, (matrix, code) in forms.items():
        (header.set_sform if name == "sform" else header.set_qform)(matrix, code=code)
    header["pixdim"][1:4] = grid.spacing_ijk_mm if not forms else np.linalg.norm(forms["qform"][0][:3, :3], axis=0)
    header["pixdim"][4] = repetition
    for name in ("slice_code", "slice_start", "slice_end", "slice_duration"):
        header[name] = 0  # of slices that are no more
    header["scl_slope"], header["scl_inter"] = 1, 0
    is_first = version_of(header.binaryblock) == 1
    header["magic"] = b"n+1\0" if is_first else b"n+2\0\r\n\x1a\n"
    header["vox_offset"] = 352 if is_first else 544
    return header.binaryblock + bytes(4)


def _refined_forms(header: Nifti1Header, grid: Grid, kept: FileHeader) -> dict[str, tuple[np.ndarray, int]]:
    """Each form of the source, its index changed as the grid's was; the grid itself where that was straightened."""
    change = np.linalg.inv(kept.ijk_to_ras) @ grid.ijk_to_ras
    off_axis = change[:3, :3] - np.diag(np.diag(change[:3, :3]))
    is_refinement = np.abs(off_axis).max() < 1e-4
    forms = {}
    for name in ("qform", "sform"):
        matrix, code = (header.get_sform if name == "sform" else header.get_qform)(coded=True)
        if matrix is None or not code:
            matrix, code = grid.ijk_to_ras, 0
        elif is_refinement:
            matrix = matrix @ change
        else:
            matrix = grid.ijk_to_ras
        forms[name] = (matrix, int(code))
    return forms
