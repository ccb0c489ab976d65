"""DICOM metadata of a volume in the scene: source images, slice thickness, modality, patient and study."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import slicer

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.settings import MODALITY_OF_DICOM
from MedicalSuperResolutionLib.translation import tr as _

INSTANCES = "DICOM.instanceUIDs"  # the attribute in which Slicer names the images that a volume was loaded from
_STORAGE_CLASS, _DERIVATION = "0008,0016", "0008,2111"
_SLICE_THICKNESS, _MODALITY, _PHOTOMETRIC = "0018,0050", "0008,0060", "0028,0004"  # as Slicer's database takes them
_PATIENT_ID, _STUDY, _FRAME_OF_REFERENCE = "0010,0020", "0020,000D", "0020,0052"
_POSITION, _UNIT = "0020,0032", "0028,1054"
_STACKED = 1.5  # two images at each place lie half as far apart as the places
_EVEN_MM = 0.1  # positions that are rounded to a tenth of a millimeter count as even
_HOUNSFIELD = "[hnsf'U]"  # its code in UCUM
_NO_ITEM = 0  # of the subject hierarchy
_OF_SERIES = ("FrameOfReferenceUID", "Manufacturer", "Model")  # read by Slicer's own DICOM export, as the modality is
_PREFIX = "DICOM."
_STATED_MODALITY = "MedicalSuperResolution.Modality"  # attribute of a volume
_MODALITY_ATTRIBUTE = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()


def slice_thickness_mm(node: slicer.vtkMRMLScalarVolumeNode) -> float | None:
    """Slice thickness in mm as DICOM states it, or None."""
    try:
        thickness = float(_value(node, _SLICE_THICKNESS))
    except ValueError:
        return None
    return thickness if math.isfinite(thickness) and thickness > 0 else None


def modality(node: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    """Modality: "ct", "mr", "pet" or "us"; None if unknown, as of a CT in another unit than HU."""
    name = _stated_modality(node)
    return MODALITY_OF_DICOM.get(name.strip()) if name else _modality_of_files(node)


def other_modality(node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """DICOM's name of a modality that `modality` does not know, such as "MG"; empty if there is none."""
    name = (_stated_modality(node) or _value(node, _MODALITY)).strip()
    return "" if name in MODALITY_OF_DICOM else name


def _stated_modality(node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """DICOM's name of the modality that Slicer's reader, a script or the user has stated; empty where none has.

    That the reader calls a CT in another unit than HU a CT does not count.
    """
    hierarchy, item = _hierarchy_item(node)
    name = hierarchy.GetItemAttribute(item, _MODALITY_ATTRIBUTE) if item != _NO_ITEM else ""
    if name == "CT" and _is_in_another_unit(node):
        name = ""
    return name or node.GetAttribute(_STATED_MODALITY) or ""


def is_modality_from_dicom(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether the modality of a volume is the one that its DICOM files state; a script may have stated another."""
    stated = _modality_of_files(node)
    return stated is not None and stated == modality(node)


def _modality_of_files(node: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    return None if _is_in_another_unit(node) else MODALITY_OF_DICOM.get(_value(node, _MODALITY).strip())


def _is_in_another_unit(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a volume is a CT whose files do not state its values in HU, such as iodine in mg/ml."""
    from medical_super_resolution.volumes.dicom.images.values import are_hounsfield_units

    if _value(node, _MODALITY).strip() != "CT":
        return False
    return not are_hounsfield_units(_value(node, _UNIT).strip(), _value(node, _STORAGE_CLASS).strip())


def state_modality(node: slicer.vtkMRMLScalarVolumeNode, modality: str | None) -> None:
    """State the modality of a volume; None goes back to that of the files."""
    modality = modality or _modality_of_files(node)
    hierarchy, item = _hierarchy_item(node)
    if item == _NO_ITEM:
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    _name_modality(node, next((name for name, known in MODALITY_OF_DICOM.items() if known == modality), ""))
    node.Modified()  # for those who follow the volume: the hierarchy tells them nothing


def _name_modality(node: slicer.vtkMRMLScalarVolumeNode, name: str) -> None:
    """Store it where Slicer keeps that of a DICOM series, and in the volume, of which alone Clone makes a copy."""
    hierarchy, item = _hierarchy_item(node)
    hierarchy.RemoveItemAttribute(item, _MODALITY_ATTRIBUTE)
    node.RemoveAttribute(_STATED_MODALITY)
    if name:
        hierarchy.SetItemAttribute(item, _MODALITY_ATTRIBUTE, name)
        node.SetAttribute(_STATED_MODALITY, name)


def patient(node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The patient ID of a volume; empty if it is not known."""
    return _value(node, _PATIENT_ID).strip()


def are_of_several_patients(nodes: Iterable[slicer.vtkMRMLScalarVolumeNode]) -> bool:
    """Whether volumes are known to be of different patients."""
    return len({patient(node) for node in nodes} - {""}) > 1


def frame_of_reference(node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The frame-of-reference UID of a volume; empty if it is not known."""
    return _value(node, _FRAME_OF_REFERENCE).strip()


def units_of(node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The unit of the values as people write it, "HU" for CT; empty where it is not known."""
    units = stated_units(node)
    if modality(node) == "ct" or _are_hounsfield(units):
        return "HU"
    return "" if units is None else units.GetCodeMeaning() or ""


def stated_units(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkCodedEntry | None:
    """The units of a node; None where they are the HU that Slicer's reader states of every CT, and wrong."""
    units = node.GetVoxelValueUnits()
    return None if _are_hounsfield(units) and _is_in_another_unit(node) else units


def _are_hounsfield(units: slicer.vtkCodedEntry | None) -> bool:
    return units is not None and units.GetCodeValue() == _HOUNSFIELD


def is_in_hierarchy(node: slicer.vtkMRMLNode) -> bool:
    """Whether the tree of patients, studies and folders shows a node."""
    return _hierarchy_item(node)[1] != _NO_ITEM


def _hierarchy_item(node: slicer.vtkMRMLNode) -> tuple[slicer.vtkMRMLSubjectHierarchyNode, int]:
    """The tree of patients, studies and folders, and the item of a node in it, which may be `_NO_ITEM`."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    return hierarchy, hierarchy.GetItemByDataNode(node)


def place_beside(source_node: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLNode) -> None:
    """Put a node under the same patient, study or folder as the source, unless the user has put it elsewhere."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    root = hierarchy.GetSceneItemID()
    item, source_item = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(source_node)
    if item == _NO_ITEM or hierarchy.GetItemParent(item) == root:
        # The application has made an item already; this moves it then.
        item = hierarchy.CreateItem(root if source_item == _NO_ITEM else hierarchy.GetItemParent(source_item), node)
    if node.IsA("vtkMRMLVolumeNode"):
        for name in _OF_SERIES:
            hierarchy.RemoveItemAttribute(item, _PREFIX + name)  # that of what an output volume held before
            value = "" if source_item == _NO_ITEM else hierarchy.GetItemAttribute(source_item, _PREFIX + name)
            if value:
                hierarchy.SetItemAttribute(item, _PREFIX + name, value)
        _name_modality(node, _stated_modality(source_node))


def files_of_instances(name: str, instances: str) -> list[Path]:
    """The files of some images, given by their SOPInstanceUIDs with spaces between them.

    Parameters
    ----------
    name
        Name of the volume made from them, for the error message.

    Raises
    ------
    VolumeError
        Slicer's DICOM database does not know them all, or their files are gone.
    """
    database = _database()
    files = [Path(database.fileForInstance(uid) or "") for uid in instances.split()] if database is not None else []
    missing = sum(not file.is_file() for file in files)
    if not files or missing:
        raise VolumeError(
            _(
                "{missing} of the DICOM files that {name} comes from are not in Slicer's DICOM"
                " database; import them again in the DICOM module, then export again"
            ).format(missing=missing or "all", name=name)
        )
    return files


def are_turned_over(instances: str) -> bool:
    """Whether Slicer turns over the values of images: GDCM, its usual reader, does so with MONOCHROME1."""
    return _value_of_first(instances, _PHOTOMETRIC).strip() == "MONOCHROME1"


def storage_class(instances: str) -> str:
    """The SOP class of the first of some images; empty where it is not known."""
    return _value_of_first(instances, _STORAGE_CLASS).strip()


def are_made_here(instances: str) -> bool:
    """Whether images are a series that this software derived."""
    return "MedicalSuperResolution" in _value_of_first(instances, _DERIVATION)


def are_uneven(instances: str) -> bool:
    """Whether images do not lie evenly: Slicer loads them as if they did, and brings them into place by a transform."""
    return _arrangement(instances)[0]


def are_stacked(instances: str, distance_mm: float) -> bool:
    """Whether Slicer has stacked several images of each place, as of a dynamic series: they lie too close together."""
    return _arrangement(instances)[1] > _STACKED * distance_mm


def _arrangement(instances: str) -> tuple[bool, float]:
    """Whether images lie unevenly, and the distance of their places in mm if several images are at one, else 0."""
    database = _database()
    try:
        return _places(database, instances) if database is not None and instances else (False, 0.0)
    except (LookupError, ValueError):  # a place that is unknown, or damaged
        return False, 0.0


@functools.lru_cache(maxsize=32)  # each update of the panel asks, and the places of a thousand images take a while
def _places(database: object, instances: str) -> tuple[bool, float]:
    texts = []
    for uid in instances.split():
        texts.append(database.instanceValue(uid, _POSITION))
        if not texts[-1]:  # a multi-frame file has none of its own, and a scene may come from another computer
            raise LookupError
    places = np.array([text.split("\\") for text in dict.fromkeys(texts)], dtype=float)  # several echoes are at one
    numbers = np.stack([np.arange(len(places)), np.ones(len(places))], axis=1)
    line = np.linalg.lstsq(numbers, places, rcond=None)[0]
    distance = float(np.linalg.norm(line[0])) if len(places) < len(texts) else 0.0
    return bool(np.abs(places - numbers @ line).max() > _EVEN_MM), distance


def series_numbers(instances: str) -> set[int]:
    """The numbers of all series, in Slicer's DICOM database, of the study that some images are of."""
    database = _database()
    if database is None:
        return set()
    study = database.instanceValue(instances.split()[0], _STUDY)
    numbers = [database.fieldForSeries("SeriesNumber", series) for series in database.seriesForStudy(study)]
    return {int(number) for number in numbers if number.isdecimal()}


def _value(node: slicer.vtkMRMLScalarVolumeNode, tag: str) -> str:
    """A value of the first DICOM file that a volume was loaded from; empty where it is not known."""
    return _value_of_first(node.GetAttribute(INSTANCES) or "", tag)


def _value_of_first(instances: str, tag: str) -> str:
    database = _database()
    if not instances or database is None:
        return ""
    return database.instanceValue(instances.split()[0], tag) or ""


def _database() -> object | None:
    """Slicer's DICOM database, if it is open; only the application has one, and not in every build."""
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None
