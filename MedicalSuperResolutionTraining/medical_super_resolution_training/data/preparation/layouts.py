"""Layouts of datasets: the scans and patients of public datasets as unpacked, or of any folder of volumes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.settings import MODALITIES
from medical_super_resolution.volumes.io.formats import SUFFIXES, suffix_of

CONTRASTS = ("flair", "t1", "t1ce", "t2")  # of BraTS2021
_BIDS_SUBJECT = re.compile(r"sub-[0-9A-Za-z]+")


@dataclass(frozen=True)
class Scan:
    """A scan of a dataset, not read yet.

    Parameters
    ----------
    source
        Path below the dataset.
    patient
        The dataset's own label.
    modality
        Where the dataset names it, else "".
    missing
        Why it is not there, although the dataset should have it.
    """

    path: Path
    source: str
    patient: str
    modality: str = ""
    missing: str = ""


def luna16(dataset: Path, modality: str) -> list[Scan]:
    """LUNA16: subset0 to subset9, each with pairs of .mhd and .raw named by the series.

    A series is taken for a patient. The lung masks and candidates beside the subsets are left alone.
    """
    _check_modality(modality, ("ct",), "luna16")
    found = sorted(dataset.glob("subset*/**/*.mhd"))
    return [Scan(path, _below(dataset, path), path.stem, "ct") for path in found]


def brats2021(dataset: Path, modality: str) -> list[Scan]:
    """BraTS2021: a folder for each patient with four contrasts, of which one is taken: T2-FLAIR if none is named."""
    contrast = modality or "flair"
    _check_modality(contrast, CONTRASTS, "brats2021")
    scans = []
    for folder in sorted(path for path in dataset.rglob("BraTS2021_*") if path.is_dir()):
        if not any(folder.glob("*.nii.gz")):
            continue  # the folder around the patients' folders
        path = folder / f"{folder.name}_{contrast}.nii.gz"
        missing = "" if path.is_file() else f"the folder {folder.name} has no {path.name}"
        scans.append(Scan(path, _below(dataset, path), folder.name, "mr", missing))
    return scans


def lidc_idri(dataset: Path, modality: str) -> list[Scan]:
    """LIDC-IDRI: for each patient a folder of studies, with series of DICOM files; X-ray pictures are refused later."""
    _check_modality(modality, ("ct",), "lidc-idri")
    found = {path for path in dataset.rglob("LIDC-IDRI-*") if path.is_dir()}
    around = {folder for path in found for folder in path.parents}  # a part of the dataset may be named by its patients
    return [
        Scan(series, _below(dataset, series), patient.name)
        for patient in sorted(found - around)
        for series in _dicom_folders(patient)
    ]


def volumes(dataset: Path, modality: str) -> list[Scan]:
    """Any folder: volume files and folders of DICOM files (*.dcm), however deep.

    The patient is the "sub-..." of a path, as in BIDS; else the first folder that not all share; else the file itself.
    """
    _check_modality(modality, MODALITIES, "volumes")
    found = sorted(path for path in dataset.rglob("*") if path.is_file() and suffix_of(path))
    found = sorted([*found, *_dicom_folders(dataset)])
    shared = _shared_folders([_parts(dataset, path)[:-1] for path in found])
    return [Scan(path, _below(dataset, path), _patient(_parts(dataset, path)[shared:]), modality) for path in found]


LAYOUTS: dict[str, Callable[[Path, str], list[Scan]]] = {
    "volumes": volumes,
    "luna16": luna16,
    "brats2021": brats2021,
    "lidc-idri": lidc_idri,
}
_EXPECTED = {
    "volumes": f"volumes ({', '.join(SUFFIXES)} or folders of *.dcm)",
    "luna16": "LUNA16 scans (subset0/....mhd with .raw beside)",
    "brats2021": "BraTS2021 patients (BraTS2021_00000/BraTS2021_00000_flair.nii.gz)",
    "lidc-idri": "LIDC-IDRI series (LIDC-IDRI-0001/study/series/*.dcm)",
}


def scans_of(dataset: Path, layout: str, modality: str = "") -> list[Scan]:
    """All scans of a dataset, by name.

    Parameters
    ----------
    layout
        One of `LAYOUTS`.
    modality
        Modality of a folder of volumes whose files do not name it; the contrast of BraTS2021.

    Raises
    ------
    SettingsError
        An unknown layout, or a modality that it does not have.
    VolumeError
        The dataset is missing or has no such scans.
    """
    if layout not in LAYOUTS:
        raise SettingsError(f"there is no dataset layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    if not dataset.is_dir():
        raise VolumeError(f"there is no folder {dataset}")
    found = LAYOUTS[layout](dataset, modality)
    if not found:
        raise VolumeError(f"there are no {_EXPECTED[layout]} in {dataset}")
    return found


def _check_modality(modality: str, known: tuple[str, ...], layout: str) -> None:
    if modality and modality not in known:
        raise SettingsError(f"the layout {layout} has no modality {modality!r}; choose one of {', '.join(known)}")


def _below(dataset: Path, path: Path) -> str:
    return "/".join(_parts(dataset, path))


def _parts(dataset: Path, path: Path) -> tuple[str, ...]:
    """The parts of a path below the dataset; of a dataset that is a series of DICOM files itself, its name."""
    return path.relative_to(dataset).parts or (dataset.resolve().name,)


def _dicom_folders(folder: Path) -> list[Path]:
    return sorted({path.parent for path in folder.rglob("*.dcm") if path.is_file()})


def _shared_folders(folders: list[tuple[str, ...]]) -> int:
    """Number of leading folders that all paths share."""
    count = 0
    while folders and all(len(parts) > count and parts[count] == folders[0][count] for parts in folders):
        count += 1
    return count


def _patient(parts: tuple[str, ...]) -> str:
    for part in parts:
        if subject := _BIDS_SUBJECT.match(part):
            return subject[0]
    first = parts[0]
    return first if len(parts) > 1 else first.removesuffix(suffix_of(Path(first)) or "")
