"""Mosaics of Siemens and of United Imaging: all slices of a volume as tiles of one picture.

References
----------
.. [1] NiBabel, Siemens mosaic format. https://nipy.org/nibabel/dicom/dicom_mosaic.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ....errors import optional
from .frames import Frame
from .header import CSA, MOSAIC_SLICES, UNREADABLE, DicomFile, number, numbers, text, whole

if TYPE_CHECKING:
    from pydicom import Dataset

_POSITION = 0x00200032
_KINDS = {"MOSAIC", "VFRAME"}  # of Siemens, and of United Imaging


def is_mosaic(header: Dataset) -> bool:
    """Whether an image shows several slices side by side."""
    return not _KINDS.isdisjoint(text(header, "ImageType").split("\\"))


def slices_of(file: DicomFile) -> list[Frame]:
    """The slices of a mosaic, each with its place; none where the file does not give their positions."""
    try:
        return _of_united_imaging(file) if MOSAIC_SLICES in file.header else _of_siemens(file)
    except UNREADABLE:
        return []


def _of_united_imaging(file: DicomFile) -> list[Frame]:
    positions = [numbers(item, "ImagePositionPatient") for item in _items(file.header[MOSAIC_SLICES].value)]
    beside = math.ceil(math.sqrt(len(positions)))
    below = math.ceil(len(positions) / beside)
    if whole(file.header, "Rows") % below or whole(file.header, "Columns") % beside:
        return []
    placed = [_placed(file.header, position) for position in positions]
    return [Frame(file, index, header, (below, beside)) for index, header in enumerate(placed)]


def _items(sequence: Iterable[Dataset] | bytes) -> Iterable[Dataset]:
    """The items of a private sequence, which is bytes where the file does not say what it is (implicit VR)."""
    from pydicom.values import convert_SQ

    return convert_SQ(sequence, True, True) if isinstance(sequence, bytes) else sequence


def _of_siemens(file: DicomFile) -> list[Frame]:
    """The place of the whole is that of a slice as large as the whole picture around the middle of the first slice."""
    whole_picture = Frame(file, 0, file.header)
    position, orientation, spacing_ji = whole_picture.position, whole_picture.orientation, whole_picture.spacing_ji_mm
    distance = number(file.header, "SpacingBetweenSlices") or number(file.header, "SliceThickness")
    count, normal = _count_and_normal(file.header)
    tiles = math.ceil(math.sqrt(count))
    rows, columns = whole(file.header, "Rows"), whole(file.header, "Columns")
    if position is None or orientation is None or spacing_ji is None or not distance or normal is None:
        return []
    if not count or rows % tiles or columns % tiles:
        return []
    along_i, along_j = orientation
    step = np.cross(along_i, along_j) * distance
    step *= 1 if step @ normal > 0 else -1
    first = position + along_i * spacing_ji[1] * (columns - columns // tiles) / 2
    first += along_j * spacing_ji[0] * (rows - rows // tiles) / 2
    return [Frame(file, index, _placed(file.header, first + index * step), (tiles, tiles)) for index in range(count)]


def tiles_of(picture: np.ndarray, frames: list[Frame]) -> np.ndarray:
    """The slices (N, J, I) out of the whole picture (rows, columns); they are numbered row by row."""
    (rows, columns), (_, beside) = frames[0].shape_ji, frames[0].tiles_ji
    corners = [(frame.index // beside * rows, frame.index % beside * columns) for frame in frames]
    return np.stack([picture[row : row + rows, column : column + columns] for row, column in corners])


def _count_and_normal(header: Dataset) -> tuple[int, np.ndarray | None]:
    """Number of slices of a mosaic, and the direction in which they follow each other, LPS."""
    optional("nibabel", "Siemens mosaics")
    from nibabel.nicom import csareader

    content = header[CSA].value if CSA in header else b""
    csa = csareader.read(content) if content else {"tags": {}}
    return int(csareader.get_n_mosaic(csa) or 0), csareader.get_slice_normal(csa)


def _placed(header: Dataset, position: Iterable[float]) -> Dataset:
    from pydicom import Dataset

    placed = Dataset()
    placed.update(header)
    placed.add_new(_POSITION, "DS", [float(value) for value in position])  # setting it would change the original
    return placed
