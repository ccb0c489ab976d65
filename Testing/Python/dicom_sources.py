"""CT, MR and PET series as scanners write them, with every attribute that the standard asks for: made with pydicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, PositronEmissionTomographyImageStorage

ROOT = "1.2.826.0.1.3680043.2.1125.77"
PATIENT_NAME = "Müßiggang^Zoë"
SECRET = "a private remark"
CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
OBLIQUE = np.array(
    [[0.936, 0.280, -0.2112], [-0.352, 0.7552, -0.5528], [0.0, 0.592, 0.806]]
)  # nearly, made exact below
Change = Callable[[Dataset, int], None]


def directions(oblique: bool) -> np.ndarray:
    """(3, 3) unit vectors of i, j and k as columns, LPS."""
    if not oblique:
        return np.eye(3)
    along, _ = np.linalg.qr(OBLIQUE)
    along *= np.sign(np.diag(along))
    return along if np.linalg.det(along) > 0 else along * (1, 1, -1)


def write_source(
    folder: Path,
    stored: np.ndarray,
    kind: str = "CT",
    *,
    oblique: bool = False,
    head_first: bool = False,
    change: Change = lambda header, k: None,
) -> list[Path]:
    """Write (K, J, I) stored numbers, 0.7 x 0.8 mm (columns, rows), 5 mm apart, 4 mm thick; gives the files.

    head_first : number the slices against the normal. change : is given each header before it is written.
    """
    folder.mkdir()
    along = directions(oblique)
    files = []
    for k, pixels in enumerate(stored):
        header = _common(kind)
        _OF_KIND[kind](header)
        position = np.array([-100.0, -120.5, 33.25]) + 5 * k * along[:, 2]
        header.SOPInstanceUID = f"{ROOT}.3.{k + 1}"
        header.InstanceNumber = len(stored) - k if head_first else k + 1
        header.ImagePositionPatient = [f"{value:.10g}" for value in position]
        header.ImageOrientationPatient = [f"{value:.12g}" for value in (*along[:, 0], *along[:, 1])]
        header.PixelSpacing, header.SliceThickness = [0.8, 0.7], 4
        header.AcquisitionTime = f"1015{k:02d}"
        header.Rows, header.Columns = pixels.shape
        header.PixelRepresentation = int(stored.dtype.kind == "i")
        header.add_new("PixelData", "OW", pixels.astype(stored.dtype.newbyteorder("<")).tobytes())
        if kind == "PT":
            header.ImageIndex, header.NumberOfSlices = k + 1, len(stored)
            header.FrameReferenceTime, header.DecayFactor = 1000.0 * k, 1 + k / 100
        change(header, k)
        files.append(folder / f"{kind}{k:03d}.dcm")
        _save(header, files[-1])
    return files


def _common(kind: str) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SOPClassUID = CLASSES[kind]
    header.Modality = kind
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if kind == "CT" else ["ORIGINAL", "PRIMARY"]
    header.PatientName, header.PatientID, header.PatientSex = PATIENT_NAME, "4711", "F"
    header.PatientBirthDate, header.PatientAge, header.PatientWeight = "19600229", "066Y", 61.5
    header.StudyInstanceUID, header.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.2"
    header.FrameOfReferenceUID, header.PositionReferenceIndicator = f"{ROOT}.4", ""
    header.StudyID, header.AccessionNumber, header.ReferringPhysicianName = "S1", "A1", "Referrer^R"
    for part in ("Study", "Series", "Acquisition", "Content"):
        setattr(header, f"{part}Date", "20260301")
        setattr(header, f"{part}Time", "101500")
    header.StudyDescription, header.SeriesDescription, header.SeriesNumber = "Study", "Source 5.0", 3
    header.Manufacturer, header.ManufacturerModelName, header.SoftwareVersions = "Maker", "Scanner", ["v1", "v2"]
    header.BodyPartExamined = "HEAD"
    if kind != "PT":
        header.PatientPosition = "HFS"
    header.AcquisitionNumber = 1
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.WindowCenter, header.WindowWidth, header.BurnedInAnnotation = 40, 400, "NO"
    header.OperatorsName, header.ImageComments = "Operator^O", "seen by the operator"
    block = header.private_block(0x0029, "MAKER", create=True)
    block.add_new(0x10, "LO", SECRET)
    return header


def _ct(header: Dataset) -> None:
    header.KVP, header.XRayTubeCurrent, header.ConvolutionKernel = 120, 200, "B30f"
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = -1024, 1, "HU"


def _mr(header: Dataset) -> None:
    header.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    header.ScanningSequence, header.SequenceVariant, header.ScanOptions = "SE", "NONE", ""
    header.MRAcquisitionType, header.EchoTrainLength = "2D", 1
    header.RepetitionTime, header.EchoTime, header.FlipAngle = 500, 12, 90
    header.MagneticFieldStrength, header.SpacingBetweenSlices = 3, 5


def _pet(header: Dataset) -> None:
    header.Units, header.CountsSource, header.SeriesType = "BQML", "EMISSION", ["STATIC", "IMAGE"]
    header.CorrectedImage, header.DecayCorrection, header.CollimatorType = ["DECY", "ATTN"], "START", "NONE"
    header.ActualFrameDuration = 120000
    header.RescaleIntercept, header.RescaleSlope = 0, 0.25
    nuclide = Dataset()
    nuclide.Radiopharmaceutical, nuclide.RadionuclideTotalDose, nuclide.RadionuclideHalfLife = "FDG", 3e8, 6586.2
    nuclide.RadiopharmaceuticalStartTime = "091500"
    nuclide.RadionuclideCodeSequence = [_code("77004003", "SCT", "^18^Fluorine")]
    nuclide.private_block(0x0009, "MAKER", create=True).add_new(0x10, "LO", SECRET)
    header.RadiopharmaceuticalInformationSequence = [nuclide]
    lying = _code("102538003", "SCT", "recumbent")
    lying.PatientOrientationModifierCodeSequence = [_code("40199007", "SCT", "supine")]
    header.PatientOrientationCodeSequence = [lying]
    header.PatientGantryRelationshipCodeSequence = [_code("102540008", "SCT", "headfirst")]


_OF_KIND = {"CT": _ct, "MR": _mr, "PT": _pet}


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _save(header: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b"\0\1"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, f"{ROOT}.5"
    FileDataset(
        str(path), header, preamble=bytes(128), file_meta=meta, is_implicit_VR=False, is_little_endian=True
    ).save_as(path)
