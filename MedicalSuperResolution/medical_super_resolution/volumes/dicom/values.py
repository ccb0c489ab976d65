"""Values of DICOM images: decoding of stored numbers, and their rescaling.

Every image is rescaled by its own slope and intercept (PS3.3 C.11.1). MONOCHROME1 and windows concern the display
only: nothing is inverted or windowed (PS3.3 C.7.6.3.1.2).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import VolumeError
from ..io.file_validation import silent
from .frames import Frame
from .header import BIG_ENDIAN, DEFLATED, IMPLICIT, UNREADABLE, DicomFile, number, numbers, text, whole
from .mosaic import tiles_of

if TYPE_CHECKING:
    from pydicom import Dataset

_UNCOMPRESSED = ("", IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED)
_RUN_LENGTHS = "1.2.840.10008.1.2.5"  # which GDCM refuses where the size of an image is odd
FLOATING = {0x7FE00008: "f4", 0x7FE00009: "f8"}
_OF_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"  # 16 bits, multi-frame: GDCM gives its numbers as they are stored
_ATTRIBUTES_OF_PIXELS = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    "NumberOfFrames",
)


def stored_bytes(frame: Frame) -> int:
    """Bytes that an image takes once it is unpacked."""
    rows, columns = frame.shape_ji
    return rows * columns * max(whole(frame.file.header, "BitsAllocated", 16), 8) // 8


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
    if frames[0].tiles > 1:
        return tiles_of(stored_numbers(file, [Frame(file, 0, file.header)])[0], frames)
    if file.syntax in _UNCOMPRESSED:
        return _uncompressed(file, frames)
    everything = _decompressed(file, frames[0].shape_ji)
    if len(everything) <= max(frame.index for frame in frames):
        raise VolumeError(f"{file.path} holds fewer images than it names; get the DICOM series again")
    return _pixel_values(everything[[frame.index for frame in frames]], file.header)


def _uncompressed(file: DicomFile, frames: list[Frame]) -> np.ndarray:
    rows, columns = frames[0].shape_ji
    bits = whole(file.header, "BitsAllocated", 16)
    kind = FLOATING.get(file.pixel_tag)
    if kind is None and bits not in (8, 16, 32):
        raise VolumeError(f"{file.path} packs its pixels in {bits} bits, which is not supported; convert it first")
    order = ">" if file.syntax == BIG_ENDIAN else "<"
    stored = np.dtype(order + (kind or f"u{bits // 8}"))
    size = rows * columns * stored.itemsize
    in_words = order == ">" and stored.itemsize == 1 and file.pixel_vr != "OB"  # whose bytes are swapped
    first, last = min(frame.index for frame in frames), max(frame.index for frame in frames)
    begin, end = first * size, (last + 1) * size
    spare = begin % 2 if in_words else 0
    content = file.read(begin - spare, end + end % 2 - begin + spare if in_words else end - begin)
    if in_words:
        content = np.frombuffer(content, np.uint8)[: len(content) // 2 * 2].reshape(-1, 2)[:, ::-1].tobytes()[spare:]
    if len(content) < end - begin:
        raise VolumeError(f"the pixels of {file.path} are cut short; get the DICOM series again")
    array = np.frombuffer(content[: end - begin], stored).reshape(-1, rows, columns)
    if len(frames) < len(array) or any(frame.index - first != place for place, frame in enumerate(frames)):
        array = array[[frame.index - first for frame in frames]]
    return array.astype(stored.newbyteorder("="), copy=False) if kind else _pixel_values(array, file.header)


def _pixel_values(array: np.ndarray, header: Dataset) -> np.ndarray:
    """Pixel values from BitsStored, HighBit and PixelRepresentation: without overlay bits, with their sign."""
    size = array.dtype.itemsize
    bits = whole(header, "BitsStored", 8 * size)
    above = whole(header, "HighBit", bits - 1) + 1 - bits  # bits below the number
    is_signed = whole(header, "PixelRepresentation") == 1
    if not 0 < bits <= 8 * size or above < 0 or bits + above > 8 * size:
        bits, above = 8 * size, 0
    numbers_ = array.astype(f"u{size}", copy=False).view(f"u{size}")
    spare = 8 * size - bits
    if not spare:
        return numbers_.view(f"i{size}") if is_signed else numbers_
    up = numbers_ << np.array(spare - above, numbers_.dtype)
    return (up.view(f"i{size}") if is_signed else up) >> np.array(spare, f"i{size}" if is_signed else f"u{size}")


def _decompressed(file: DicomFile, shape_ji: tuple[int, int]) -> np.ndarray:
    """All frames of a compressed file, by GDCM.

    GDCM gets a copy without the attributes of the values, because it would rescale all slices by one slope, and invert
    MONOCHROME1.
    """
    import SimpleITK as sitk
    from pydicom import dcmread

    try:
        if file.syntax == _RUN_LENGTHS:
            return dcmread(file.path, force=True).pixel_array.reshape(-1, *shape_ji)
        with tempfile.TemporaryDirectory() as folder, silent():
            copy = Path(folder) / "pixels.dcm"
            _pixels_only(file).save_as(copy)
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(copy))
            reader.SetImageIO("GDCMImageIO")
            image = reader.Execute()
    except (RuntimeError, *UNREADABLE) as problem:
        raise VolumeError(f"the compressed pixels of {file.path} cannot be unpacked; it is damaged") from problem
    array = sitk.GetArrayFromImage(image)
    array = array.reshape(-1, *array.shape[-2:]) if image.GetNumberOfComponentsPerPixel() == 1 else array[:0]
    if array.shape[1:] != shape_ji:
        raise VolumeError(f"the compressed pixels of {file.path} do not fit its size; get the DICOM series again")
    return array


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


def rescale(frame: Frame) -> tuple[float, float]:
    """Slope and intercept of an image: its value is slope times the stored number, plus the intercept.

    Raises
    ------
    VolumeError
        The slope is 0, by which all values were the same; some viewers show such images as if it were 1.
    """
    slope, intercept = number(frame.header, "RescaleSlope"), number(frame.header, "RescaleIntercept")
    if slope == 0:
        raise VolumeError(
            f"{frame.file.path} has the RescaleSlope 0, so its values are unknown; correct the header, or get"
            " the series again"
        )
    return slope or 1.0, intercept or 0.0


def padding_of(frame: Frame, stored: np.ndarray) -> np.ndarray | None:
    """Mask of the padded pixels of an image (PS3.3 C.7.5.1.1.2); None where the file names no padding.

    Parameters
    ----------
    frame : Frame
        The image.
    stored : numpy.ndarray
        (J, I) its stored numbers.
    """
    named = numbers(frame.header, "PixelPaddingValue") or numbers(frame.file.header, "PixelPaddingValue")
    if not named or stored.dtype.kind == "f":
        return None
    ends = numbers(frame.header, "PixelPaddingRangeLimit") or named
    low, high = sorted((_wrapped(named[0], stored.dtype), _wrapped(ends[0], stored.dtype)))
    return (stored >= low) & (stored <= high)


def _wrapped(value: float, dtype: np.dtype) -> int:
    """A number that was written with the wrong sign, as the stored numbers have it: 63536 is -2000 in 16 bits."""
    limits = np.iinfo(dtype)
    return int((int(value) - int(limits.min)) % (int(limits.max) - int(limits.min) + 1) + int(limits.min))


def looked_up(frame: Frame, stored: np.ndarray) -> np.ndarray:
    """Values by the image's own table, which stands for slope and intercept where there is one."""
    from pydicom.pixel_data_handlers.util import apply_modality_lut

    try:
        return np.asarray(apply_modality_lut(stored, frame.file.header), np.float32)
    except UNREADABLE as problem:
        raise VolumeError(f"the table of values in {frame.file.path} is damaged; get the series again") from problem


def has_table(frame: Frame) -> bool:
    """Whether values are looked up in a table."""
    return "ModalityLUTSequence" in frame.file.header and not text(frame.header, "RescaleSlope")
