"""DICOM files written byte by byte (explicit VR, little endian): an independent source for the tests of the reader."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
ROOT = "1.2.826.0.1.3680043.2.1125"
_LONG = ("OB", "OW", "SQ", "UN")


def element(group: int, number: int, kind: str, value: object) -> bytes:
    """One data element; numbers of kind US are packed, lists are joined with backslashes."""
    if kind == "US":
        raw = struct.pack("<H", value)
    elif isinstance(value, bytes):
        raw = value
    else:
        text = "\\".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
        raw = text.encode()
    if len(raw) % 2:
        raw += b"\0" if kind == "UI" else b" "
    length = struct.pack("<HI", 0, len(raw)) if kind in _LONG else struct.pack("<H", len(raw))
    return struct.pack("<HH", group, number) + kind.encode() + length + raw


def write_slice(
    path: Path, pixels: np.ndarray, *, position, orientation, spacing, number: int, leave_out=(), **headers
):
    """Write one (J, I) slice of uint16 or int16 ``pixels``.

    position : of the first voxel in mm, LPS. orientation : along the rows, then along the columns. spacing : distance
    of the rows, distance of the columns, in mm. leave_out : (group, element) pairs that are not written.
    headers : series, modality, thickness, description, slope, intercept.
    """
    instance = f"{ROOT}.9.{headers.get('series', 1)}.{number}"
    is_signed = int(pixels.dtype.kind == "i")
    elements = [
        (0x0008, 0x0016, "UI", CT_IMAGE_STORAGE),
        (0x0008, 0x0018, "UI", instance),
        (0x0008, 0x0060, "CS", headers.get("modality", "CT")),
        (0x0008, 0x103E, "LO", headers.get("description", "Thorax 5.0")),
        (0x0018, 0x0050, "DS", headers.get("thickness", 5)),
        (0x0020, 0x000D, "UI", f"{ROOT}.1"),
        (0x0020, 0x000E, "UI", f"{ROOT}.2.{headers.get('series', 1)}"),
        (0x0020, 0x0013, "IS", number),
        (0x0020, 0x0032, "DS", list(position)),
        (0x0020, 0x0037, "DS", list(orientation)),
        (0x0028, 0x0002, "US", 1),
        (0x0028, 0x0004, "CS", "MONOCHROME2"),
        (0x0028, 0x0010, "US", pixels.shape[0]),
        (0x0028, 0x0011, "US", pixels.shape[1]),
        (0x0028, 0x0030, "DS", list(spacing)),
        (0x0028, 0x0100, "US", 16),
        (0x0028, 0x0101, "US", 16 if is_signed else 12),
        (0x0028, 0x0102, "US", 15 if is_signed else 11),
        (0x0028, 0x0103, "US", is_signed),
        (0x0028, 0x1052, "DS", headers.get("intercept", -1024)),
        (0x0028, 0x1053, "DS", headers.get("slope", 1)),
        (0x7FE0, 0x0010, "OW", np.ascontiguousarray(pixels).astype("<u2" if not is_signed else "<i2").tobytes()),
    ]
    meta = b"".join(
        [
            element(0x0002, 0x0001, "OB", b"\0\1"),
            element(0x0002, 0x0002, "UI", CT_IMAGE_STORAGE),
            element(0x0002, 0x0003, "UI", instance),
            element(0x0002, 0x0010, "UI", EXPLICIT_LITTLE_ENDIAN),
            element(0x0002, 0x0012, "UI", f"{ROOT}.3"),
        ]
    )
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(meta))
    body = b"".join(element(*one) for one in elements if one[:2] not in leave_out)
    path.write_bytes(bytes(128) + b"DICM" + length + meta + body)


def write_series(folder: Path, stored: np.ndarray, *, names=None, step=None, skip=(), **headers) -> list[Path]:
    """Write (K, J, I) ``stored`` values as one file a slice, 0.7 x 0.8 mm (columns, rows), oblique, 5 mm apart.

    names : file names in the order of the slices. step : from slice to slice in mm, LPS. skip : slices left out.
    """
    orientation, origin, default_step = geometry()
    step = default_step if step is None else np.asarray(step)
    folder.mkdir(exist_ok=True)
    files = []
    for number, pixels in enumerate(stored):
        if number in skip:
            continue
        path = folder / (names[number] if names else f"slice{number:03d}.dcm")
        position = origin + number * step
        keywords = {"position": position, "orientation": orientation, "spacing": (0.8, 0.7), "number": number + 1}
        write_slice(path, pixels, **(keywords | headers))
        files.append(path)
    return files


def geometry() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orientation (rows, then columns), place of the first voxel, step from slice to slice: all LPS."""
    tilt = np.deg2rad(15)
    along_i = np.array([np.cos(tilt), np.sin(tilt), 0])
    along_j = np.array([-np.sin(tilt), np.cos(tilt), 0])
    return np.concatenate([along_i, along_j]), np.array([-100.0, -120.5, 33.25]), 5 * np.cross(along_i, along_j)
