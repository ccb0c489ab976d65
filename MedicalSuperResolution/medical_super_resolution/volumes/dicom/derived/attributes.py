"""Attributes that a derived DICOM series copies from its source; all others are left out.

Private attributes, the history of requests and procedures, people other than the patient and the referring physician,
overlays, and all that describes the source's own pixels stay behind.
"""

from __future__ import annotations

CT, MR, PET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"
STORAGE_CLASSES = {CT: "CT", MR: "MR", PET: "PT"}  # with the modality that each of them usually stores

_PATIENT = """
    SpecificCharacterSet TimezoneOffsetFromUTC PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex
    PatientAge PatientSize PatientWeight PatientIdentityRemoved DeidentificationMethod
    DeidentificationMethodCodeSequence LongitudinalTemporalInformationModified ClinicalTrialSponsorName
    ClinicalTrialProtocolID ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialSubjectID
    ClinicalTrialSubjectReadingID ClinicalTrialTimePointID ClinicalTrialTimePointDescription
"""
_STUDY = """
    StudyInstanceUID StudyID StudyDate StudyTime StudyDescription AccessionNumber ReferringPhysicianName
    FrameOfReferenceUID PositionReferenceIndicator
"""
_SERIES_AND_EQUIPMENT = """
    Modality BodyPartExamined Laterality PatientPosition ProtocolName Manufacturer ManufacturerModelName
    InstitutionName StationName DeviceSerialNumber SoftwareVersions ContributingEquipmentSequence
"""
_IMAGE = """
    BurnedInAnnotation RecognizableVisualFeatures LossyImageCompression LossyImageCompressionRatio
    LossyImageCompressionMethod ContrastBolusAgent ContrastBolusRoute ContrastBolusVolume ContrastBolusTotalDose
    ContrastBolusIngredient ContrastBolusIngredientConcentration
"""
_OF_CLASS = {
    # Not GantryDetectorTilt: the derived slices are straight, and readers would straighten them once more.
    CT: """
        KVP ScanOptions DataCollectionDiameter ReconstructionDiameter DistanceSourceToDetector DistanceSourceToPatient
        TableHeight RotationDirection FilterType FocalSpots GeneratorPower ConvolutionKernel
        RevolutionTime SingleCollimationWidth TotalCollimationWidth TableSpeed TableFeedPerRotation SpiralPitchFactor
        RescaleType CTDIPhantomTypeCodeSequence
    """,
    MR: """
        ScanningSequence SequenceVariant ScanOptions MRAcquisitionType SequenceName AngioFlag RepetitionTime EchoTime
        EchoTrainLength InversionTime NumberOfAverages ImagingFrequency ImagedNucleus EchoNumbers
        MagneticFieldStrength NumberOfPhaseEncodingSteps PercentSampling PercentPhaseFieldOfView PixelBandwidth
        ReceiveCoilName TransmitCoilName AcquisitionMatrix InPlanePhaseEncodingDirection FlipAngle
        VariableFlipAngleFlag SAR dBdt
    """,
    PET: """
        SeriesDate SeriesTime Units SUVType CountsSource SeriesType ReprojectionMethod CollimatorType CorrectedImage
        DecayCorrection RandomsCorrectionMethod AttenuationCorrectionMethod ScatterCorrectionMethod
        ReconstructionMethod ConvolutionKernel AxialAcceptance AxialMash EnergyWindowRangeSequence
        RadiopharmaceuticalInformationSequence PatientOrientationCodeSequence
        PatientGantryRelationshipCodeSequence ScanOptions BeatRejectionFlag
    """,
}
# These differ from slice to slice; they come from the measured slice that lies nearest.
_OF_SLICE = "AcquisitionNumber AcquisitionDate AcquisitionTime AcquisitionDateTime"
_OF_SLICE_OF_CLASS = {
    CT: "XRayTubeCurrent ExposureTime Exposure CTDIvol",
    MR: "TriggerTime",
    PET: """
        FrameReferenceTime ActualFrameDuration DecayFactor DoseCalibrationFactor ScatterFractionFactor DeadTimeFactor
        SliceSensitivityFactor TriggerTime FrameTime LowRRValue HighRRValue
    """,
}
# Counts of what a PET series in time holds, of each of which a derived series holds one.
COUNTS_OF_PET = {"DYNAMIC": ("NumberOfTimeSlices",), "GATED": ("NumberOfRRIntervals", "NumberOfTimeSlots")}
PEOPLE = ("OperatorIdentificationSequence", "InstitutionAddress")  # left out of sequences, as are names of people
# The derived series has these values if any slice of any source has them, with what else that slice says.
FLAGS = {
    ("BurnedInAnnotation", "YES"): (),
    ("RecognizableVisualFeatures", "YES"): (),
    ("LossyImageCompression", "01"): ("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
}
WINDOW = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")
GEOMETRY = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "Rows", "Columns"),
)
_REPLACED = (
    *("ImageType", "SeriesDescription", "SeriesNumber", "InstanceNumber", "SliceThickness"),
    "PhotometricInterpretation",
)

_UNPAIRED = """
    ABDOMEN ABDOMENPELVIS AORTA BLADDER BRAIN CERVIX CHEST CHESTABDOMEN CHESTABDPELVIS COCCYX COLON CSPINE CTSPINE
    ESOPHAGUS GALLBLADDER HEAD HEADNECK HEART JAW LARYNX LIVER LSPINE LSSPINE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST
    NECKCHESTABDOMEN NECKCHESTABDPELV NOSE PANCREAS PELVIS PENIS PHARYNX PROSTATE RECTUM SKULL SPINE SPLEEN SSPINE
    STERNUM STOMACH THYMUS THYROID TLSPINE TONGUE TRACHEA TSPINE UTERUS VAGINA VULVA WHOLEBODY
"""

# The standard requires these, but they may be empty (type 2).
_TYPE_2 = """
    PatientName PatientID PatientBirthDate PatientSex StudyID StudyDate StudyTime AccessionNumber
    ReferringPhysicianName PositionReferenceIndicator Manufacturer PatientPosition
"""
_TYPE_2_OF_CLASS = {
    CT: "AcquisitionNumber KVP",
    MR: "ScanOptions MRAcquisitionType EchoTime EchoTrainLength RepetitionTime",
    PET: """
        AcquisitionDate AcquisitionTime ActualFrameDuration CorrectedImage CollimatorType
        RadiopharmaceuticalInformationSequence PatientOrientationCodeSequence PatientGantryRelationshipCodeSequence
    """,
}
# The standard requires these beside others of a trial or a contrast agent, but they may be empty (type 2).
MAY_BE_EMPTY = (
    *("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialTimePointID"),
    "ContrastBolusAgent",
)
# The standard requires these to have a value (type 1), which only the source can give.
_TYPE_1_OF_CLASS = {
    CT: "",
    MR: "ScanningSequence SequenceVariant",
    PET: "SeriesDate SeriesTime Units CountsSource SeriesType DecayCorrection FrameReferenceTime",
}


def of_series(storage_class: str) -> tuple[str, ...]:
    """Keywords that every slice takes from the source's first slice."""
    return tuple(f"{_PATIENT} {_STUDY} {_SERIES_AND_EQUIPMENT} {_IMAGE} {_OF_CLASS[storage_class]}".split())


def of_slice(storage_class: str) -> tuple[str, ...]:
    """Keywords that every slice takes from the measured slice nearest to it."""
    return tuple(f"{_OF_SLICE} {_OF_SLICE_OF_CLASS[storage_class]}".split())


def to_read(storage_class: str) -> list[str]:
    """Keywords to read from a source file."""
    return [*of_series(storage_class), *of_slice(storage_class), *WINDOW, *GEOMETRY, *_REPLACED]


def wanted(storage_class: str) -> tuple[str, ...]:
    """Keywords that must be present, but may be empty."""
    return tuple(f"{_TYPE_2} {_TYPE_2_OF_CLASS[storage_class]}".split())


def needed(storage_class: str) -> tuple[str, ...]:
    """Keywords that must have a value."""
    return tuple(_TYPE_1_OF_CLASS[storage_class].split())


def may_have_sides(part_of_body: str) -> bool:
    """Whether the standard requires Laterality, which may be empty; for a head it must be absent."""
    return part_of_body not in _UNPAIRED.split()
