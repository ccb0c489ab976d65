"""Synthetic DICOM of the kinds that hospitals have, written with pydicom: single files to change, and enhanced ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.2.1125.88"
CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128"}
ENHANCED = {
    "CT": "1.2.840.10008.5.1.4.1.1.2.1",
    "MR": "1.2.840.10008.5.1.4.1.1.4.1",
    "PT": "1.2.840.10008.5.1.4.1.1.130",
    "legacy CT": "1.2.840.10008.5.1.4.1.1.2.2",
}
AXIAL = (1, 0, 0, 0, 1, 0)
_made = iter(range(10**9))


def new_uid() -> str:
    return f"{ROOT}.{next(_made) + 1}"


def header(modality: str = "CT", series: str = f"{ROOT}.0.1", **values: object) -> Dataset:
    """The attributes that all images of a series share."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = CLASSES.get(modality, CLASSES["CT"]), new_uid()
    made.Modality, made.StudyInstanceUID, made.SeriesInstanceUID = modality, f"{ROOT}.0.0", series
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def image(stored: np.ndarray, position: tuple[float, ...] | np.ndarray, **values: object) -> Dataset:
    """One image of (J, I) ``stored`` numbers, by default 1 x 1 mm and axial."""
    made = header(values.pop("modality", "CT"))
    made.ImagePositionPatient = [f"{value:.10g}" for value in position]
    made.ImageOrientationPatient, made.PixelSpacing, made.SliceThickness = list(AXIAL), [1, 1], 5
    describe_pixels(made, stored)
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def describe_pixels(made: Dataset, stored: np.ndarray) -> None:
    made.Rows, made.Columns = stored.shape[-2:]
    made.BitsAllocated = made.BitsStored = 8 * stored.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(stored.dtype.kind == "i")
    made.PixelData = np.ascontiguousarray(stored).tobytes()


def save(made: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.file_meta.MediaStorageSOPClassUID = UID(made.SOPClassUID)
    made.file_meta.MediaStorageSOPInstanceUID = UID(made.SOPInstanceUID)
    syntax = made.file_meta.TransferSyntaxUID
    is_implicit, is_big = syntax == ImplicitVRLittleEndian, syntax == ExplicitVRBigEndian
    made.save_as(path, enforce_file_format=True, implicit_vr=is_implicit, little_endian=not is_big)
    return path


def write_images(folder: Path, stored: np.ndarray, step: tuple[float, ...] = (0, 0, 5), change=None, **values) -> Path:
    """A series of (K, J, I) numbers, a file for each slice; ``change`` is given each header and its number."""
    for k, plane in enumerate(stored):
        made = image(plane, np.array(step, float) * k, InstanceNumber=k + 1, **values)
        if change:
            change(made, k)
        save(made, folder / f"{k:03d}.dcm")
    return folder


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def enhanced(stored: np.ndarray, positions, kind: str = "MR", *, slopes=None, extra=None, **values: object) -> Dataset:
    """A multi-frame file of (N, J, I) numbers.

    positions : (N, 3) of the frames. slopes : of each frame; None is 1 for all. extra : functional groups of frame n.
    """
    made = header(kind.split()[-1], **values)
    made.SOPClassUID = ENHANCED[kind]
    measures = item(PixelSpacing=[1, 1], SliceThickness=4)
    made.SharedFunctionalGroupsSequence = [
        item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))])
    ]
    groups = []
    for number, position in enumerate(positions):
        slope = 1 if slopes is None else slopes[number]
        groups.append(
            item(
                PlanePositionSequence=[item(ImagePositionPatient=[f"{value:.10g}" for value in position])],
                PixelValueTransformationSequence=[item(RescaleIntercept=0, RescaleSlope=slope, RescaleType="US")],
                **(extra(number) if extra else {}),
            )
        )
    made.PerFrameFunctionalGroupsSequence, made.NumberOfFrames = groups, len(stored)
    describe_pixels(made, stored)
    return made
