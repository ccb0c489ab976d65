"""Provenance of a result in the scene: attributes for programs, a text node for people."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import slicer

from medical_super_resolution.report import Report
from medical_super_resolution.volumes.grid import Grid, in_digits
from MedicalSuperResolutionLib.scene import dicom_source

ATTRIBUTE_PREFIX = "MedicalSuperResolution."
_REPORT, _SOURCE_INSTANCES = "Report", "SourceInstanceUIDs"  # names of attributes, behind the prefix
_SOURCE_NAME, _FUSION_REPORT = "SourceName", "FusionReport"
_NEXT_SERIES = "\n"  # between the images of two series
_NOTE_ROLE = "MedicalSuperResolution.WhatWasDone"  # the node reference from a result to its text
_SOURCE_ROLE = "MedicalSuperResolution.Source"  # the node references from a result to what it was made of


def attributes(report: Report, source_node: slicer.vtkMRMLScalarVolumeNode) -> dict[str, str]:
    """Provenance as node attributes, text by full name, which are saved with the scene."""
    facts = {
        _SOURCE_NAME: source_node.GetName(),
        "SourceNodeID": source_node.GetID(),
        "Model": report.model,
        "ModelSha256": report.model_sha256,
        "Detail": f"{report.detail:g}",
        "DetailModelSha256": report.detail_sha256,
        "Factor": _numbers(report.factor_ijk),
        "SpacingBefore": _numbers(report.spacing_before_ijk_mm),
        "SpacingAfter": _numbers(report.spacing_after_ijk_mm),
        "SliceThickness": report.profile_described,
        "Residual": f"{report.consistency_error_rms:.6g}",
        "Settings": json.dumps(report.settings, sort_keys=True),
        "SoftwareVersion": report.software,
        "Warnings": "\n".join(report.warnings),
        "Notice": "Not for diagnostic use",
        _REPORT: json.dumps(report.as_dict(), sort_keys=True),
        _SOURCE_INSTANCES: source_node.GetAttribute(dicom_source.INSTANCES) or "",
    }
    return {ATTRIBUTE_PREFIX + name: value for name, value in facts.items()}


def fusion_attributes(
    report: dict[str, Any], nodes: Sequence[slicer.vtkMRMLScalarVolumeNode], first: Grid, fused: Grid
) -> dict[str, str]:
    """Provenance of a fused volume as node attributes.

    Parameters
    ----------
    report
        What was done, as `medsr fuse` writes it down.
    nodes
        The stacks.
    first, fused
        Grids of the first stack and of the fused volume.
    """
    from medical_super_resolution.inference.fusion.report import FusionReport

    instances = [node.GetAttribute(dicom_source.INSTANCES) or "" for node in nodes]
    facts = {
        _SOURCE_NAME: "\n".join(node.GetName() for node in nodes),
        "SourceNodeID": " ".join(node.GetID() for node in nodes),
        "Model": report["model"],
        "ModelSha256": report["model_sha256"],
        "SpacingAfter": f"{report['spacing_mm']:.6g}",
        "SoftwareVersion": report["software"],
        "Notice": "Not for diagnostic use",
        _FUSION_REPORT: json.dumps(report, sort_keys=True),
        _REPORT: json.dumps(FusionReport(**report).as_refinement(first, fused).as_dict(), sort_keys=True),
        _SOURCE_INSTANCES: _NEXT_SERIES.join(instances) if all(instances) else "",
    }
    return {ATTRIBUTE_PREFIX + name: value for name, value in facts.items()}


def name_images(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Note which DICOM images a result was made of: those of this volume."""
    node.SetAttribute(ATTRIBUTE_PREFIX + _SOURCE_INSTANCES, source.GetAttribute(dicom_source.INSTANCES) or "")


def sign(sequence: slicer.vtkMRMLSequenceNode, source: slicer.vtkMRMLSequenceNode) -> None:
    """Note in a sequence of results which one it was made from; its items have attributes of their own."""
    sequence.SetAttribute(ATTRIBUTE_PREFIX + _SOURCE_NAME, source.GetName())


def was_made_here(node: slicer.vtkMRMLNode) -> bool:
    """Whether a volume or a sequence is a result, also one that was loaded again as a DICOM series."""
    is_result = node.GetAttribute(ATTRIBUTE_PREFIX + _SOURCE_NAME) is not None
    return is_result or dicom_source.are_made_here(node.GetAttribute(dicom_source.INSTANCES) or "")


def is_fused(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a volume was fused from several."""
    return node.GetAttribute(ATTRIBUTE_PREFIX + _FUSION_REPORT) is not None


def name_sources(node: slicer.vtkMRMLScalarVolumeNode, sources: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> None:
    """Store references from a result to its source, or to the stacks that it was fused from."""
    for source in sources:
        node.AddNodeReferenceID(_SOURCE_ROLE, source.GetID())


def sources_of(node: slicer.vtkMRMLScalarVolumeNode) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """What a result was made of, as far as it is in the scene; empty for any other volume."""
    found = [node.GetNthNodeReference(_SOURCE_ROLE, n) for n in range(node.GetNumberOfNodeReferences(_SOURCE_ROLE))]
    return [source for source in found if source is not None]


def forget(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Remove the provenance of what a volume held before, but for its note, whose text is replaced."""
    for name in node.GetAttributeNames():
        if name.startswith(ATTRIBUTE_PREFIX):
            node.RemoveAttribute(name)
    node.RemoveNodeReferenceIDs(_SOURCE_ROLE)


def keep_from_export(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Remove the report, without which there is no DICOM export: the values are not those of an image."""
    node.RemoveAttribute(ATTRIBUTE_PREFIX + _REPORT)


def report_of(node: slicer.vtkMRMLScalarVolumeNode) -> Report | None:
    """The report of the run that made a volume; None if it is no result, or one of another version."""
    try:
        return Report.from_dict(json.loads(node.GetAttribute(ATTRIBUTE_PREFIX + _REPORT) or ""))
    except (ValueError, TypeError):
        return None


def has_report(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a volume carries the report of a run, be it of another version."""
    return node.GetAttribute(ATTRIBUTE_PREFIX + _REPORT) is not None


def source_instances(node: slicer.vtkMRMLScalarVolumeNode) -> list[str]:
    """The source series of a result: space-separated SOPInstanceUIDs for each; empty if not from DICOM."""
    return (node.GetAttribute(ATTRIBUTE_PREFIX + _SOURCE_INSTANCES) or "").splitlines()


def sentences(report: Report, axes: str = "IJK") -> str:
    """Description of a run, one sentence per line, without names of volumes and files, which may name a patient.

    Parameters
    ----------
    report
        Report of the run.
    axes
        A letter for each of the index axes i, j and k.
    """
    finer = [
        f"{factor:.4g} times finer along {axis}"
        for axis, factor in zip(axes, report.factor_ijk, strict=True)
        if factor != 1
    ]
    lines = [
        report.notice,
        "",
        f"{report.software} made this volume from a coarser one.",
        f"Before: {_grid(report.size_before_ijk, report.spacing_before_ijk_mm)}.",
        f"After: {_grid(report.size_after_ijk, report.spacing_after_ijk_mm)}, which is {' and '.join(finer)}.",
        *([] if report.modality == "labels" else _about_network(report)),
        f"It took {max(1, round(report.seconds))} s on {report.device}.",
        *([f"The uncertainty map is {report.uncertainty}."] if report.uncertainty else []),
        *(f"Warning: {warning}." for warning in report.warnings),
        *([f"SHA-256 of the model file: {report.model_sha256}"] if report.model_sha256 else []),
        *([f"SHA-256 of the file of its detail model: {report.detail_sha256}"] if report.detail_sha256 else []),
    ]
    return _as_in_the_panel("\n".join(lines) + "\n", axes)


def _about_network(report: Report) -> list[str]:
    """What the network did, and how well the result reproduces the measured data."""
    corrected = "" if report.settings.get("consistency", True) else "not "
    return [
        f"The volume was taken for {report.modality.upper()}.",
        *([f"The slice profile was taken as {report.profile_described}."] if report.other_profile else []),
        f"The model {report.model} estimated the new voxels{_with_detail(report)}; what it adds is probable, not seen.",
        f"The result was {corrected}corrected to reproduce the measured data.",
        f"Measured again as the scanner would, it differs from the measured data by {report.consistency_error_rms:.3g}"
        f" (root mean square{', in HU' if report.modality == 'ct' else ''})." + _under_the_other_profile(report),
    ]


def fusion_sentences(report: dict[str, Any]) -> str:
    """Description of a fusion, one sentence per line. Stacks are numbered, not named."""
    stacks = zip(
        report["shift_mm"], report["angle_degrees"], report["gain"], report["consistency_error_rms"], strict=True
    )
    lines = [
        report["notice"],
        "",
        f"{report['software']} fused this volume from {len(report['shift_mm'])} stacks.",
        f"It has {'x'.join(map(str, report['size_ijk']))} voxels of {in_digits(report['spacing_mm'], 4)} mm along each"
        " axis.",
        f"The model {report['model']} estimated what no stack has measured; what it adds is probable, not seen.",
        *(
            f"Stack {number} was moved by {in_digits(shift, 2)} mm and {in_digits(angle, 2)} degrees, its values were"
            f" multiplied by {gain:.3g}; measured again, the result differs from it by {error:.3g} (root mean square)."
            for number, (shift, angle, gain, error) in enumerate(stacks, start=1)
        ),
        f"It took {max(1, round(report['seconds']))} s.",
        f"SHA-256 of the model file: {report['model_sha256']}",
    ]
    return "\n".join(lines) + "\n"


def note_of(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLTextNode | None:
    """The text node about a result, if it is still in the scene."""
    return node.GetNodeReference(_NOTE_ROLE)


def write_note(text: str, node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLTextNode:
    """Add a text to the scene of a result, or replace the text of an earlier run."""
    note = note_of(node)
    if note is None:
        note = slicer.vtkMRMLTextNode()
        note.SetName(f"{node.GetName()} - what was done")
        node.GetScene().AddNode(note)
        node.SetNodeReferenceID(_NOTE_ROLE, note.GetID())
    note.SetText(text)
    return note


def _as_in_the_panel(text: str, axes: str) -> str:
    """The engine's sentences with the sign and the letters of the panel: the engine writes "+-" and "along k"."""
    return re.sub(r"(?<=\balong )[ijk]\b", lambda found: axes["ijk".index(found[0])], text.replace(" +- ", " ± "))


def _under_the_other_profile(report: Report) -> str:
    if report.other_consistency_error_rms is None:
        return ""
    return f" If the slices were {report.other_profile}, it would differ by {report.other_consistency_error_rms:.3g}."


def _with_detail(report: Report) -> str:
    if report.detail == 0:
        return ""
    return f" at detail {report.detail:g} of 1, which makes edges crisper and errors larger"


def _numbers(values_ijk: tuple[float, float, float]) -> str:
    return " ".join(f"{value:.6g}" for value in values_ijk)


def _grid(size_ijk: tuple[int, int, int], spacing_ijk_mm: tuple[float, float, float]) -> str:
    return f"{'x'.join(map(str, size_ijk))} voxels of {'x'.join(in_digits(value, 4) for value in spacing_ijk_mm)} mm"
