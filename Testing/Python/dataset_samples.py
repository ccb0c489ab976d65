"""Public datasets in small: the same folders, names and headers, made-up scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

SHAPE = (8, 20, 18)


def a_ct(seed: int) -> np.ndarray:
    """Air with a noisy body, padding below the scanner's range, a metal point above it; (8, 20, 18) int16."""
    array = np.full(SHAPE, -1000, np.int16)
    array[:, 4:16, 4:14] = np.random.default_rng(seed).normal(40, 60, (8, 12, 10)).astype(np.int16)
    array[0, 0, 0], array[4, 10, 10] = -3024, 9000
    return array


def an_mr(seed: int) -> np.ndarray:
    """A noisy head in noisy air, with one defective bright voxel; (8, 20, 18) int16."""
    random = np.random.default_rng(seed)
    array = np.abs(random.normal(0, 8, SHAPE))
    array[:, 4:16, 4:14] += random.normal(400, 60, (8, 12, 10))
    array[4, 0, 0] = 30000
    return array.astype(np.int16)


def write_image(path: Path, array: np.ndarray, spacing_ijk_mm: tuple[float, ...] = (0.7, 0.7, 1.25)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_ijk_mm)
    sitk.WriteImage(image, str(path))


def make_luna16(folder: Path) -> list[str]:
    """Ten subsets, a scan in each, and the lung masks beside them. Gives the sources."""
    sources = []
    for number in range(10):
        uid = f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{1000 + 37 * number}"
        write_image(folder / f"subset{number}" / f"{uid}.mhd", a_ct(number))
        write_image(folder / "seg-lungs-LUNA16" / f"{uid}.mhd", np.ones(SHAPE, np.uint8))
        sources.append(f"subset{number}/{uid}.mhd")
    (folder / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    return sources


def make_brats2021(folder: Path, count: int = 10) -> list[str]:
    """Patients with four contrasts and a segmentation. Gives the names of the patients."""
    names = [f"BraTS2021_{number:05d}" for number in (0, 2, 3, 5, 6, 8, 9, 11, 12, 14)[:count]]
    for number, name in enumerate(names):
        for place, contrast in enumerate(("flair", "t1", "t1ce", "t2")):
            write_image(folder / name / f"{name}_{contrast}.nii.gz", an_mr(10 * number + place), (1, 1, 1))
        write_image(folder / name / f"{name}_seg.nii.gz", np.zeros(SHAPE, np.uint8), (1, 1, 1))
    return names


def write_dicom_series(folder: Path, array: np.ndarray, *, modality: str = "CT", thickness_mm: float = 1.25) -> None:
    """A series of one file a slice, 000001.dcm and on, of a patient with a name."""
    folder.mkdir(parents=True)
    series, study = generate_uid(), generate_uid()
    storage = CTImageStorage if modality == "CT" else DigitalXRayImageStorageForPresentation
    for number, plane in enumerate(array):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slices = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
        slices.SOPClassUID, slices.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
        slices.SeriesInstanceUID, slices.StudyInstanceUID, slices.Modality = series, study, modality
        slices.PatientName, slices.PatientID = "Secret^Name", "secret-number"
        slices.InstanceNumber = number + 1
        if modality == "CT":
            slices.ImagePositionPatient = [-10.0, -20.0, 1.25 * number]
            slices.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            slices.PixelSpacing, slices.SliceThickness = [0.7, 0.7], thickness_mm
        slices.RescaleSlope, slices.RescaleIntercept = 1, 0
        slices.Rows, slices.Columns = plane.shape
        slices.SamplesPerPixel, slices.PhotometricInterpretation = 1, "MONOCHROME2"
        slices.BitsAllocated, slices.BitsStored, slices.HighBit, slices.PixelRepresentation = 16, 16, 15, 1
        slices.PixelData = np.ascontiguousarray(plane, np.int16).tobytes()
        pydicom.dcmwrite(folder / f"{number + 1:06d}.dcm", slices, enforce_file_format=True)


def make_lidc_idri(folder: Path, count: int = 10) -> list[str]:
    """Patients with a study of a CT series; the first has an X-ray picture too. Gives the names of the patients."""
    names = [f"LIDC-IDRI-{number + 1:04d}" for number in range(count)]
    for number, name in enumerate(names):
        study = folder / name / f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{number + 2000}"
        write_dicom_series(study / f"{study.name}.1", a_ct(number))
    xray = folder / names[0] / "1.3.6.1.4.1.14519.5.2.1.6279.6001.9999"
    write_dicom_series(xray / f"{xray.name}.1", a_ct(99)[:2], modality="DX")
    return names
