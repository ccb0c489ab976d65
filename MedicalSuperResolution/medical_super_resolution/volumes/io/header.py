"""The header of a volume file: parsed once, used by checks, planning, whole and partial reading; and its checks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ...system.memory import physical_bytes
from ..grid import Grid
from ..volume import NO_TIMES, FileHeader

LARGEST_COMPRESSION = 1100  # deflate cannot do better than 1032 to 1
LARGEST_COMPRESSION_OF_BZIP2 = 2_000_000
_SHEAR_OF_ROUNDING = 2e-5  # cosine between two axes: what single precision leaves of a right angle
_MOST_DIGITS = 19  # 64 bits hold all shorter numbers
_MISREAD = re.compile(r"^LIST|^\s|%|:=")  # in names: several files, a blank that is cut off, a pattern, a key


@dataclass(frozen=True)
class Voxels:
    """Position and encoding of the voxels of a file.

    Parameters
    ----------
    file : Path
        The file that holds them; for a detached header, another file than the header.
    offset : int
        Bytes before the first voxel, in the file, or in its decompressed content where ``is_file_packed``.
    packing : str
        "raw", "gzip", "bzip2", "zlib", "text" or "hex".
    is_file_packed : bool
        Whether the whole file is compressed, including its header.
    """

    file: Path
    offset: int = 0
    packing: str = "raw"
    is_file_packed: bool = False


@dataclass(frozen=True, eq=False)
class Header:
    """The header of a volume file.

    Parameters
    ----------
    path : Path
        The file that was named.
    sizes : tuple of int
        Voxels along i, j and k, and the number of volumes where the file holds a series.
    grid : Grid
        Grid of one volume.
    stored : numpy.dtype
        Type of the voxels in the file, with their byte order.
    voxels : Voxels
        Location of the voxels.
    kept : FileHeader
        The fields that the file of a result keeps.
    slope, intercept : float
        Value = slope * stored + intercept.
    is_interleaved : bool
        The values of all volumes of a series lie side by side in each voxel.
    notes : tuple of str
        Sentences about what was corrected in the header.
    slice_thickness_mm : float or None
        Slice thickness, if the file states it.
    """

    path: Path
    sizes: tuple[int, ...]
    grid: Grid
    stored: np.dtype
    voxels: Voxels
    kept: FileHeader
    slope: float = 1.0
    intercept: float = 0.0
    is_interleaved: bool = False
    notes: tuple[str, ...] = ()
    slice_thickness_mm: float | None = None

    @property
    def count(self) -> int:
        """Number of volumes."""
        return self.sizes[3] if len(self.sizes) > 3 else 1

    @property
    def is_scaled(self) -> bool:
        """Whether values differ from what is stored."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def dtype(self) -> np.dtype:
        """Type of the values: scaled whole numbers become floating ones."""
        if not self.is_scaled:
            return self.stored.newbyteorder("=")
        return np.dtype(np.float32 if self.stored.itemsize <= 2 or self.stored.type is np.float32 else np.float64)

    @property
    def stored_bytes(self) -> int:
        """Size of all voxels of all volumes, decompressed."""
        return math.prod(self.sizes) * self.stored.itemsize


def damaged(path: Path, what: str) -> VolumeError:
    """The refusal of a header that cannot be true."""
    return VolumeError(f"{path} cannot be read as a volume: {what}; get it again")


def placed(path: Path, sizes: tuple[int, ...], matrix: np.ndarray) -> tuple[Grid, tuple[str, ...]]:
    """The grid of a header's index-to-RAS matrix, axes that are nearly at right angles straightened; and a note of it.

    Raises
    ------
    VolumeError
        The place in space is damaged.
    """
    try:
        grid = Grid((sizes[2], sizes[1], sizes[0]), matrix)
    except VolumeError as problem:
        raise damaged(path, str(problem)) from problem
    if grid.shear <= _SHEAR_OF_ROUNDING or grid.is_sheared:
        return grid, ()
    left, _, right = np.linalg.svd(grid.direction)
    straight = grid.ijk_to_ras.copy()
    straight[:3, :3] = (left @ right) * grid.spacing_ijk_mm
    angle = math.degrees(math.asin(grid.shear))
    note = f"the axes were {angle:.2g} degrees off right angles and are taken as straight"
    return Grid(grid.shape_kji, straight), (note,)


def series_axis(spacing: float, origin: float) -> tuple[float, float]:
    """Spacing and origin of a series; those of `NO_TIMES` in place of what cannot be one."""
    return spacing if 0 < spacing < math.inf else NO_TIMES[0], origin if math.isfinite(origin) else NO_TIMES[1]


def is_whole(word: str) -> bool:
    """Whether a word is a whole number, not negative; a superscript is a digit and none."""
    return word.isdecimal() and len(word) < _MOST_DIGITS


def checked_sizes(path: Path, counts: list[int]) -> tuple[int, ...]:
    """Sizes of a volume or a series, without single entries at the end; pictures and stranger things are refused."""
    if any(count < 1 for count in counts):
        raise damaged(path, f"its size is {'x'.join(map(str, counts))}")
    while len(counts) > 3 and counts[-1] == 1:
        counts = counts[:-1]
    if not 3 <= len(counts) <= 4:
        shape = "x".join(map(str, counts))
        raise VolumeError(f"{path} has {len(counts)} dimensions ({shape}); pick one 3-D volume of it first")
    return tuple(counts)


def check_size(what: str, claimed: int, held: int, *, most: int = LARGEST_COMPRESSION) -> None:
    """Refuse sizes that cannot be true, before any memory is taken: bytes of voxels, and bytes of their files."""
    if claimed > held * most:
        raise VolumeError(f"{what} claims {claimed / 1e9:.1f} GB of voxels but holds {held} bytes; the file is damaged")
    memory = physical_bytes()
    if memory is not None and claimed > memory:
        raise VolumeError(
            f"{what} needs {claimed / 1e9:.1f} GB, this computer has {memory / 1e9:.1f} GB; crop it first"
        )


def check_plain(path: Path) -> None:
    """Refuse devices, pipes and sockets, which may never come to an end."""
    if not path.is_file():
        raise VolumeError(f"{path} is not a plain file; copy the volume into one first")


def check_detached(path: Path) -> None:
    """Refuse a detached header, and no other file, whose voxels would have a name that says something else in it."""
    if path.suffix.lower() in (".mhd", ".nhdr") and (_MISREAD.search(path.name) or not path.name.isprintable()):
        raise VolumeError(
            f"programs would misread a header that names voxels like {path.name}; choose another name, or end it in"
            " .nrrd or .mha"
        )


def not_scalar(path: Path, components: int) -> VolumeError:
    """The refusal of a color or vector volume."""
    return VolumeError(
        f"{path} has {components} values in each voxel (a color or vector volume); pick one component first"
    )


def beside(header: Path, name: str) -> Path:
    """The file called ``name`` in a header, if it may be followed: a plain file whose name stays in the folder.

    The name may be a link, as git-annex and other stores of data make them.

    Raises
    ------
    VolumeError
        It may not.
    """
    if "%" in name or name.startswith("LIST"):
        raise VolumeError(f"{header} keeps its voxels in several files; save it as one file (.nrrd or .mha) first")
    try:
        is_inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        file = header.parent / name
        is_plain = file.is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, or links in a circle
        is_plain, is_inside = False, True
    if not is_plain:
        raise VolumeError(
            f"{header} names a file for its voxels that is no plain file beside it; put both files into one folder"
        )
    if not is_inside:
        raise VolumeError(
            f"{header} names a file outside its own folder for its voxels; put both files into one folder and edit"
            " the header"
        )
    return file
