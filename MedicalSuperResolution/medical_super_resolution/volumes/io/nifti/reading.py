"""Headers of NIfTI-1 and NIfTI-2 files."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....errors import VolumeError, optional
from ...grid import AXES_IJK, Grid
from ...tilt import is_tilted
from ...volume import NO_TIMES, FileHeader
from ..foreign import not_read
from ..header import Header, Voxels, checked_sizes, damaged, not_scalar, placed, series_axis
from .extensions import extensions_of, is_packed, start_of

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

LARGEST_OFFSET = 1 << 26  # bytes before the voxels, such as notes of other programs
_SIZES_OF_HEADER = {348: 1, 540: 2}  # bytes of NIfTI-1 and NIfTI-2
_MAGIC = {1: (344, (b"n+1", b"ni1")), 2: (4, (b"n+2", b"ni2"))}
_MM_A_UNIT = {1: 1000.0, 3: 0.001}  # meters and micrometers; others are millimeters
_SECONDS_A_UNIT = {16: 1e-3, 24: 1e-6}  # others are seconds
_INTENT_LABEL = 1002
_INTENTS_OF_CIFTI = range(3000, 3100)
_ALIGNED = 2  # codes of a form from here on are of spaces that a scan was aligned to
_COLORS = {128: 3, 2304: 4}
_SCALAR_KINDS = "iuf"
_LARGEST_ITEM = 8  # bytes; there are 16-byte floating numbers


def read_nifti_header(path: Path) -> Header:
    """The header of ``.nii``, ``.nii.gz``, or of a pair of ``.hdr`` and ``.img``.

    The grid is that of the sform where it has a code, else of the qform, as in all readers of neuroimages. Where the
    sform is damaged, or sheared by an alignment, the grid is that of the qform; a result refines both. A slope of 0
    counts as none.

    Raises
    ------
    VolumeError
        It is no NIfTI file, or damaged.
    """
    header_file = _header_file(path)
    block = start_of(header_file, max(_SIZES_OF_HEADER) + 1)  # and whether there are extensions
    version, order = _version(path, block)
    header = header_from(block, version, order)
    is_pair = header["magic"].tobytes().startswith(b"ni")
    sizes = _sizes(path, header)
    with np.errstate(all="ignore"):  # what is not finite is refused as a place
        grid, notes = _placed(path, sizes, header)
    grid = with_slice_axis(grid, header)
    stored = _stored(path, header)
    slope, intercept = _scaling(path, header)
    offset = float(header["vox_offset"])
    least = 0 if is_pair else header.sizeof_hdr
    if not 0 <= offset <= LARGEST_OFFSET:
        raise VolumeError(f"{path} is damaged: its voxels cannot begin at byte {offset:g}; get it again")
    place = int(offset) if offset >= least else least + 4
    file_of_voxels = _image_file(header_file) if is_pair else header_file
    packed = is_packed(file_of_voxels)
    voxels = Voxels(file_of_voxels, place, "gzip" if packed else "raw", is_file_packed=packed)
    kept = FileHeader(
        grid.ijk_to_ras,
        nifti=header.as_byteswapped("<").binaryblock,
        extensions=extensions_of(header_file, block, header.sizeof_hdr, LARGEST_OFFSET if is_pair else place, order),
        is_labels=int(header["intent_code"]) == _INTENT_LABEL,
        series_axis=_times(header) if len(sizes) > 3 else NO_TIMES,
    )
    return Header(path, sizes, grid, stored, voxels, kept, slope, intercept, notes=notes)


def header_from(block: bytes, version: int, order: str = "<") -> Nifti1Header:
    """The nibabel header in some bytes, nothing in it changed or checked."""
    nibabel = optional("nibabel", "NIfTI files")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it prints what we refuse in one sentence
    kind = nibabel.Nifti2Header if version == 2 else nibabel.Nifti1Header
    size = next(size for size, number in _SIZES_OF_HEADER.items() if number == version)
    return kind(block[:size], endianness=order, check=False)


def version_of(block: bytes) -> int:
    """1 or 2, of a NIfTI header in little endian."""
    return _SIZES_OF_HEADER[int.from_bytes(block[:4], "little")]


def _version(path: Path, block: bytes) -> tuple[int, str]:
    if not block:
        raise damaged(path, "it is empty")
    for order, name in (("<", "little"), (">", "big")):
        size = int.from_bytes(block[:4], name)  # type: ignore[arg-type]
        version = _SIZES_OF_HEADER.get(size)
        if version is None or len(block) < size:
            continue
        start, known = _MAGIC[version]
        if block[start : start + 3] in known:
            return version, order
        raise VolumeError(
            f"{path} is not a format that this program reads: Analyze 7.5, which does not distinguish left and right;"
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
    if int(header["intent_code"]) in _INTENTS_OF_CIFTI:
        raise VolumeError(
            f"{path} is a CIFTI file, a table of values on the surface of the brain, and no volume; name the NIfTI"
            " volume that it was made from"
        )
    if colors := _COLORS.get(int(header["datatype"])):
        raise not_scalar(path, colors)
    counts = [int(count) for count in header["dim"][1 : dimensions + 1]]
    if dimensions >= 5 and counts[3] == 1 and counts[4] > 1:
        raise not_scalar(path, counts[4])
    return checked_sizes(path, counts)


def _placed(path: Path, sizes: tuple[int, ...], header: Nifti1Header) -> tuple[Grid, tuple[str, ...]]:
    """The grid, and notes about repairs of its position; see `read_nifti_header`."""
    _repair(header)
    forms = {name: _form(header, name) for name in ("sform", "qform")}
    dropped = [name for name, form in forms.items() if form is None and header[f"{name}_code"] > 0]
    known = [form for form in forms.values() if form is not None]
    if not known:
        if dropped:
            raise damaged(path, "its position in space is damaged")
        return placed(path, sizes, _in_mm(header, header.get_base_affine()))
    for name in dropped:
        header[f"{name}_code"] = 0
    about_forms = tuple(f"the {name} is damaged; the place in space is that of the other form" for name in dropped)
    grid, notes = placed(path, sizes, known[0])
    if len(known) < 2 or not grid.is_sheared or (header["sform_code"] < _ALIGNED and is_tilted(grid)):
        return grid, (*about_forms, *notes)
    grid, notes = placed(path, sizes, known[1])
    return grid, (
        *about_forms,
        *notes,
        "the sform is sheared, as an alignment leaves it; the grid of the qform was refined",
    )


def _repair(header: Nifti1Header) -> None:
    """Repair, in place and as nibabel does: spacings that are not positive, the handedness, and unused fields."""
    spacing = np.abs(header["pixdim"][1:4])
    spacing[spacing == 0] = 1
    header["pixdim"][1:4] = spacing
    unused = header["pixdim"][4:]
    header["pixdim"][4:] = np.where(np.isfinite(unused), unused, 0)
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1


def _form(header: Nifti1Header, name: str) -> np.ndarray | None:
    """(4, 4) index to RAS by the sform or the qform, in millimeters; None where it has no code or is damaged."""
    from nibabel.spatialimages import HeaderDataError

    try:
        matrix, code = (header.get_sform if name == "sform" else header.get_qform)(coded=True)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):
        return None
    if not code or not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix[:3, :3]) < 3:
        return None
    return _in_mm(header, matrix)


def unit_mm(header: Nifti1Header) -> float:
    """The unit of a header's lengths."""
    return _MM_A_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)


def _times(header: Nifti1Header) -> tuple[float, float]:
    """Repetition time and start of a series, in seconds."""
    unit = _SECONDS_A_UNIT.get(int(header["xyzt_units"]) & 56, 1.0)
    return series_axis(*(float(f"{float(one) * unit:.7g}") for one in (header["pixdim"][4], header["toffset"])))


def _in_mm(header: Nifti1Header, matrix: np.ndarray) -> np.ndarray:
    unit = unit_mm(header)
    return np.diag([unit, unit, unit, 1.0]) @ np.asarray(matrix, np.float64)


def with_slice_axis(grid: Grid, header: Nifti1Header) -> Grid:
    """The grid; where no spacing stands out, with the slice axis that the header names."""
    axis = header.get_dim_info()[2]
    if axis is None or grid.odd_axis is not None:
        return grid
    return replace(grid, slice_axis=AXES_IJK[axis])


def _stored(path: Path, header: Nifti1Header) -> np.dtype:
    try:
        stored = header.get_data_dtype()
    except Exception as problem:  # nibabel raises one of several for an unknown number
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
    return float(slope or 1.0), float(intercept or 0.0)
