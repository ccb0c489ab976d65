"""Values of DICOM images, from their stored numbers.

Every image is rescaled by its own slope and intercept (PS3.3 C.11.1); a parametric map by those of its real-world
values (PS3.3 C.7.6.16.2.11), because its rescaling changes nothing (PS3.3 A.75.5). MONOCHROME1 and windows concern the
display only: nothing is inverted or windowed (PS3.3 C.7.6.3.1.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....errors import VolumeError
from ...intensity import WRAPPED_PHASES
from .frames import Frame
from .header import UNREADABLE, number, numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

_RESCALING = ("RescaleSlope", "RescaleIntercept")
_REAL_WORLD = ("RealWorldValueSlope", "RealWorldValueIntercept")
_OF_PHASE = {"P", "PHASE", "PHASE MAP"}  # as Siemens, the standard and Philips say it
_HOUNSFIELD = ("HU", "HOUNSFIELD")  # units of CT begin so
_NO_UNIT = {"", "US", "UNSPECIFIED"}
_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and those of several frames, whose numbers go on


def rescale(frame: Frame) -> tuple[float, float]:
    """Slope and intercept of an image: its value is slope times the stored number, plus the intercept.

    Raises
    ------
    VolumeError
        One of them is no number; or the slope is 0, by which all values were the same. Some viewers show such images as
        if it were 1.
    """
    keywords = _REAL_WORLD if is_parametric_map(frame.header) else _RESCALING
    slope, intercept = (_stated(frame, keyword) for keyword in keywords)
    if slope == 0:
        raise VolumeError(
            f"{frame.file.path} has the {keywords[0]} 0, so its values are unknown; correct the header, or get"
            " the series again"
        )
    return slope or 1.0, intercept or 0.0


def is_parametric_map(header: Dataset) -> bool:
    """Whether the values of an image are its real-world values."""
    return text(header, "SOPClassUID") == _PARAMETRIC_MAP


def is_in_hounsfield_units(frame: Frame) -> bool:
    """`are_hounsfield_units`, for an image of CT."""
    return are_hounsfield_units(text(frame.header, "RescaleType"), text(frame.header, "SOPClassUID"))


def are_hounsfield_units(unit: str, storage_class: str) -> bool:
    """Whether values of CT are in HU, as they are unless another unit is stated, such as mg/ml of iodine.

    Parameters
    ----------
    unit
        RescaleType; may be empty.
    storage_class
        SOP class; values of a secondary capture, often those of a picture, are in HU only where it says so.
    """
    if unit.upper().startswith(_HOUNSFIELD):
        return True
    return unit.upper() in _NO_UNIT and not f"{storage_class}.".startswith(f"{_SECONDARY_CAPTURE}.")


def has_real_world_slope(frame: Frame) -> bool:
    """Whether the slope of an image of a parametric map is there, and not a table of values or nothing at all."""
    return is_stated(frame.header, _REAL_WORLD[0])


def about_rescaling(frames: list[Frame]) -> list[str]:
    """A note about images that lack a slope or intercept, where others of the volume have ones that change values."""
    if any(map(has_table, frames)):
        return []
    are_whole = [all(is_stated(frame.header, keyword) for keyword in _RESCALING) for frame in frames]
    whole, lacking = (
        {rescale(frame) for frame, is_whole in zip(frames, are_whole, strict=True) if is_whole == wanted}
        for wanted in (True, False)
    )
    if not lacking or whole <= lacking:
        return []
    count = are_whole.count(False)
    return [
        f"{count} of {len(frames)} images {'has' if count == 1 else 'have'} no RescaleSlope or RescaleIntercept, unlike"
        " the others; the stored numbers were taken as values"
    ]


def about_phase(frame: Frame) -> list[str]:
    """A note about an image of the phase of MR, whose values jump where they wrap around."""
    kinds = ("ImageType", "FrameType", "ComplexImageComponent")
    stated = {value for keyword in kinds for value in text(frame.header, keyword).split("\\")}
    if text(frame.header, "Modality") != "MR" or _OF_PHASE.isdisjoint(stated):
        return []
    return [WRAPPED_PHASES]


def _stated(frame: Frame, keyword: str) -> float | None:
    """A number of an image's header; None where the header has none."""
    found = number(frame.header, keyword)
    if found is None and is_stated(frame.header, keyword):
        raise VolumeError(
            f"{frame.file.path} has a {keyword} that is no number, so its values are unknown; correct the header, or"
            " get the series again"
        )
    return found


def is_stated(header: Dataset, keyword: str) -> bool:
    """Whether a value is there, also one that cannot be understood; an empty one counts as none."""
    try:
        return keyword in header and not header[keyword].is_empty
    except UNREADABLE:
        return True


def padding_of(frame: Frame, stored: np.ndarray) -> np.ndarray | None:
    """Mask of the padded pixels of an image (PS3.3 C.7.5.1.1.2); None where the file names no padding.

    Parameters
    ----------
    frame : Frame
        The image.
    stored : numpy.ndarray
        (J, I) its stored numbers.
    """
    kind = {"f4": "Float", "f8": "DoubleFloat"}.get(stored.dtype.str[1:], "")
    named = numbers(frame.header, f"{kind}PixelPaddingValue")
    if not named:
        return None
    ends = numbers(frame.header, f"{kind}PixelPaddingRangeLimit") or named
    low, high = sorted((_wrapped(named[0], stored.dtype), _wrapped(ends[0], stored.dtype)))
    return (stored >= low) & (stored <= high)


def _wrapped(value: float, dtype: np.dtype) -> float:
    """A number that was written with the wrong sign, as the stored numbers have it: 63536 is -2000 in 16 bits."""
    if dtype.kind == "f":
        return value
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
