"""The stored numbers of DICOM images, unpacked, with their sign and without overlay bits."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....errors import VolumeError
from ....system.process import silent
from ....system.temp_dirs import private_folder, remove
from .codestreams import stated_sizes
from .frames import Frame
from .header import BIG_ENDIAN, DEFLATED, IMPLICIT, UNREADABLE, DicomFile, whole
from .mosaic import tiles_of

if TYPE_CHECKING:
    from pydicom import Dataset

_UNCOMPRESSED = ("", IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED)
_RUN_LENGTHS = "1.2.840.10008.1.2.5"  # which GDCM refuses where the size of an image is odd
_FLOATING = {0x7FE00008: "f4", 0x7FE00009: "f8"}
_OF_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"  # 16 bits, multi-frame: GDCM gives its numbers as they are stored
_ATTRIBUTES_OF_PIXELS = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    "NumberOfFrames",
)


def stored_bytes(frame: Frame) -> int:
    """Bytes that an image takes once it is unpacked."""
    return math.prod(frame.shape_ji) * max(whole(frame.file.header, "BitsAllocated", 16), 8) // 8


def number_type(file: DicomFile) -> np.dtype:
    """The type of the file's `stored_numbers`."""
    if file.pixel_tag in _FLOATING:
        return np.dtype(_FLOATING[file.pixel_tag])
    size = {8: 1, 32: 4}.get(whole(file.header, "BitsAllocated", 16), 2)
    return np.dtype(f"{'i' if whole(file.header, 'PixelRepresentation') == 1 else 'u'}{size}")


def stored_numbers(file: DicomFile, frames: list[Frame]) -> np.ndarray:
    """The stored numbers of some images of a file.

    Returns
    -------
    numpy.ndarray
        (N, J, I), of the type that the file stores.

    Raises
    ------
    VolumeError
        The pixels are cut short, packed in a way that is not known, or damaged.
    """
    if frames[0].tiles_ji != (1, 1):
        return tiles_of(stored_numbers(file, [Frame(file, 0, file.header)])[0], frames)
    if file.syntax in _UNCOMPRESSED:
        return _uncompressed(file, frames)
    everything = _decompressed(file, frames[0].shape_ji)
    if len(everything) <= max(frame.index for frame in frames):
        raise VolumeError(f"{file.path} holds fewer images than it names; get the DICOM series again")
    return _with_sign(everything[[frame.index for frame in frames]], file.header)


def _uncompressed(file: DicomFile, frames: list[Frame]) -> np.ndarray:
    """Numbers of images that are not compressed; the file is read from the first of them to the last."""
    stored, shape_ji = _type_in_file(file), frames[0].shape_ji
    size = math.prod(shape_ji) * stored.itemsize
    indices = np.array([frame.index for frame in frames])
    first, stop = int(indices.min()), int(indices.max()) + 1
    content = _content(file, first * size, stop * size, stored)
    if len(content) < (stop - first) * size:
        raise VolumeError(f"the pixels of {file.path} are cut short; get the DICOM series again")
    array = np.frombuffer(content, stored).reshape(-1, *shape_ji)
    if not np.array_equal(indices, np.arange(first, stop)):
        array = array[indices - first]
    return array.astype(stored.newbyteorder("="), copy=False) if stored.kind == "f" else _with_sign(array, file.header)


def _type_in_file(file: DicomFile) -> np.dtype:
    """The type that uncompressed pixels have in the file, before signs and overlay bits are looked at."""
    bits = whole(file.header, "BitsAllocated", 16)
    kind = _FLOATING.get(file.pixel_tag)
    if kind is None and bits not in (8, 16, 32):
        raise VolumeError(f"{file.path} packs its pixels in {bits} bits, which is not supported; convert it first")
    return np.dtype((">" if file.syntax == BIG_ENDIAN else "<") + (kind or f"u{bits // 8}"))


def _content(file: DicomFile, begin: int, end: int, stored: np.dtype) -> bytes:
    """The bytes of the pixels from ``begin`` to ``end``; fewer where the file ends before.

    In big-endian files, bytes may be stored as words of 16 bits, each with its second byte first.
    """
    if stored.itemsize > 1 or file.syntax != BIG_ENDIAN or file.pixel_vr == "OB":
        return file.read(begin, end - begin)
    before = begin % 2
    words = np.frombuffer(file.read(begin - before, before + end - begin + end % 2), np.uint8)
    in_order = words[: len(words) // 2 * 2].reshape(-1, 2)[:, ::-1].tobytes()
    return in_order[before : before + end - begin]


def _with_sign(array: np.ndarray, header: Dataset) -> np.ndarray:
    """Numbers by BitsStored, HighBit and PixelRepresentation: without overlay bits, with their sign."""
    size = array.dtype.itemsize
    bits = whole(header, "BitsStored", 8 * size)
    below = whole(header, "HighBit", bits - 1) + 1 - bits  # bits below the number
    if bits <= 0 or below < 0 or below + bits > 8 * size:
        bits, below = 8 * size, 0
    kind = f"i{size}" if whole(header, "PixelRepresentation") == 1 else f"u{size}"
    unsigned = array.astype(f"u{size}", copy=False)
    spare = 8 * size - bits
    if not spare:
        return unsigned.view(kind)
    at_top = unsigned << np.array(spare - below, unsigned.dtype)
    return at_top.view(kind) >> np.array(spare, kind)


def _decompressed(file: DicomFile, shape_ji: tuple[int, int]) -> np.ndarray:
    """All frames of a compressed file, by GDCM.

    GDCM gets a copy without the attributes of the values, because it would rescale all slices by one slope, and invert
    MONOCHROME1.
    """
    import SimpleITK as sitk
    from pydicom import dcmread
    from pydicom.uid import UID

    try:
        if file.syntax == _RUN_LENGTHS:
            return dcmread(file.path, force=True).pixel_array.reshape(-1, *shape_ji)
        pixels = _pixels_only(file)
        if any(size != shape_ji for size in stated_sizes(pixels.PixelData)):  # GDCM would take memory for it
            raise _of_another_size(file)
        folder = private_folder("medsr-pixels-", _ascii_folder())
        try:
            pixels.save_as(folder / "pixels.dcm")
            with silent():
                image = sitk.ReadImage(str(folder / "pixels.dcm"), imageIO="GDCMImageIO")
        finally:
            remove(folder)
    except (RuntimeError, *UNREADABLE) as problem:
        raise VolumeError(
            f"the pixels of {file.path}, which are packed as {UID(file.syntax).name}, cannot be unpacked: the file is"
            " damaged or the packing not supported; export the series without compression"
        ) from problem
    array = sitk.GetArrayFromImage(image)
    array = array.reshape(-1, *array.shape[-2:]) if image.GetNumberOfComponentsPerPixel() == 1 else array[:0]
    if array.shape[1:] != shape_ji:
        raise _of_another_size(file)
    return array


def _of_another_size(file: DicomFile) -> VolumeError:
    return VolumeError(f"the compressed pixels of {file.path} do not fit its size; get the DICOM series again")


def _ascii_folder() -> Path:
    """The folder for temporary files; SimpleITK opens no path on Windows that is not ASCII, as of some accounts."""
    folder = tempfile.gettempdir()
    return Path(folder if folder.isascii() or os.name != "nt" else f"{os.environ['SYSTEMROOT']}/Temp")


def _pixels_only(file: DicomFile) -> Dataset:
    from pydicom import dcmread
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    whole_file = dcmread(file.path, force=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(file.syntax)
    meta.MediaStorageSOPClassUID = UID(_OF_SECONDARY_CAPTURE)
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    made = FileDataset("", {}, preamble=bytes(128), file_meta=meta, is_implicit_VR=False, is_little_endian=True)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PhotometricInterpretation = "MONOCHROME2"
    for keyword in (*_ATTRIBUTES_OF_PIXELS, "PixelData"):
        if keyword in whole_file:
            made[keyword] = whole_file[keyword]
    return made
