"""BIDS metadata beside images: the description of a derived data set, and of each file in it.

References
----------
.. [1] Brain Imaging Data Structure 1.10, "BIDS Derivatives". https://bids-specification.readthedocs.io
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..report import NOTICE
from ..system.identity import __version__
from ..system.temp_dirs import write_whole
from ..volumes.grid import AXES_IJK, SAME_SPACING
from ..volumes.io.formats import grid_and_type_of, stem_of
from .discovery import result_stem

DESCRIPTION = "dataset_description.json"
_IGNORED = ".bidsignore"  # patterns of files that are not of BIDS
_NOT_RAW = ("code", "derivatives", "phenotype", "sourcedata", "stimuli")  # folders of a data set without raw images
_VERSION = "1.10.0"
_OF_SERIES = (".bval", ".bvec", ".bvals", ".bvecs", "context.tsv")  # endings: of diffusion, and of perfusion (asl)
# Wrong for refined slices; the landmarks are numbers of voxels.
_OF_OLD_SLICES = ("SliceTiming", "SliceThickness", "SpacingBetweenSlices", "AnatomicalLandmarkCoordinates")
# What describes distortion by voxels along the phase encoding, and whether it grows or falls with their number.
_BY_VOXELS = {
    "TotalReadoutTime": 1,
    "EstimatedTotalReadoutTime": 1,
    "ReconMatrixPE": 1,
    "BandwidthPerPixelPhaseEncode": -1,
}
_KEPT = ("participants.tsv", "participants.json", "LICENSE", "CHANGES")
# Unless the source has it.
_OF_DERIVED_IMAGES: dict[str, Any] = {"Description": "Refined by MedicalSuperResolution", "SkullStripped": False}
_README = f"Volumes refined by MedicalSuperResolution (entity rec-medsr, of field maps desc-medsr). {NOTICE}\n"


def is_data_set(folder: Path) -> bool:
    """Whether a folder is the root of a BIDS data set."""
    return (folder / DESCRIPTION).is_file()


def is_raw(source: Path, folder: Path) -> bool:
    """Whether a volume of a folder is raw, as all are but for those in some folders of a data set."""
    top = (*source.relative_to(folder).parts, "")[0]
    return top not in _NOT_RAW or not is_data_set(folder)


def describe(folder: Path, output: Path) -> None:
    """Make ``output`` a derived data set of ``folder``, if that is a data set; files that are there stay."""
    if not is_data_set(folder):
        return
    description = {
        "Name": f"{_facts(folder / DESCRIPTION).get('Name', folder.name)}, refined",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "MedicalSuperResolution", "Version": __version__}],
        "DatasetLinks": {"raw": _link_to(folder.resolve(), output.resolve())},
    }
    _write_new(output / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    _write_new(output / "README", _README)
    ignored = (folder / _IGNORED).read_text(errors="replace") if (folder / _IGNORED).is_file() else ""
    _write_new(output / _IGNORED, f"{ignored}\nmedsr*\n".lstrip())
    for name in _KEPT:
        if (folder / name).is_file() and not (output / name).exists():
            write_whole(output / name, (folder / name).read_bytes())


def _link_to(folder: Path, output: Path) -> str:
    """The place of a data set as seen from another folder; the whole one on another drive of Windows."""
    try:
        return Path(os.path.relpath(folder, output)).as_posix()
    except ValueError:
        return folder.as_uri()


def copy_sidecars(source: Path, output: Path, data_set: Path, *, overwrite: bool) -> None:
    """Copy the metadata of an image, its gradients and its description, beside the result.

    Entries about the old slices are left out of the description, and the source is added, in a data set as a BIDS URI.
    A field map is intended for the results of the images that it was intended for.
    """
    copy_gradients(source, output, overwrite=overwrite)
    copy = stem_of(output, ".json")
    facts: dict[str, Any] = {}
    for path in _metadata_of(source, ".json"):
        facts |= _facts(path)
    is_bids = is_data_set(data_set)
    if "IntendedFor" in facts:
        facts["IntendedFor"] = _results_of(facts["IntendedFor"])
    if not (facts or is_bids) or (copy.exists() and not overwrite):
        return
    origin = f"bids:raw:{source.relative_to(data_set).as_posix()}" if is_bids else source.name
    kept = {key: value for key, value in facts.items() if key not in _OF_OLD_SLICES}
    facts = kept | _distortion_of(facts, source, output) | {"Sources": [origin]}
    facts = (_OF_DERIVED_IMAGES if is_bids else {}) | facts
    write_whole(copy, (json.dumps(facts, indent=2) + "\n").encode())


def _distortion_of(facts: dict[str, Any], source: Path, output: Path) -> dict[str, Any]:
    """The entries about distortion of a description, for the voxels of the result; its shifts are the same in mm."""
    axis = str(facts.get("PhaseEncodingDirection", facts.get("PhaseEncodingAxis")))[:1]  # without a sign: of Philips
    before, after = grid_and_type_of(source), grid_and_type_of(output)
    if axis not in tuple(AXES_IJK) or before is None or after is None:
        return {}
    factor = before[0].spacing_mm(axis) / after[0].spacing_mm(axis)
    if abs(factor - 1) < SAME_SPACING:
        return {}
    known = {key: facts[key] for key in _BY_VOXELS if isinstance(facts.get(key), int | float)}
    return {key: type(value)(float(f"{value * factor ** _BY_VOXELS[key]:.6g}")) for key, value in known.items()}


def _results_of(images: object) -> object:
    """The results of one or several images of the same data set, which are named by a URI or a path."""
    if isinstance(images, list):
        return [_results_of(one) for one in images]
    if not isinstance(images, str) or (images.startswith("bids:") and not images.startswith("bids::")):
        return images
    folder, slash, name = images.rpartition("/")
    stem = stem_of(Path(name)).name
    return folder + slash + result_stem(stem) + name.removeprefix(stem)


def _facts(path: Path) -> dict[str, Any]:
    """The entries of a JSON file; empty if it is damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8-sig"))  # with the mark of Windows' Notepad
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())


def copy_gradients(source: Path, output: Path, *, overwrite: bool) -> None:
    """Copy the files of diffusion gradients, or of the kinds of volumes of perfusion, of a source beside the output."""
    for ending in _OF_SERIES:
        found, copy = _metadata_of(source, ending), stem_of(output, ending)
        if found and _placed(copy) not in found and (overwrite or not copy.exists()):
            write_whole(copy, found[-1].read_bytes())


def _metadata_of(source: Path, ending: str) -> list[Path]:
    """The files with an ending that describe an image: that of its name, or in a data set all that it inherits.

    An image inherits from files in its folder, and in those above within the data set, that have its suffix, such as
    bold, and no entities but its own. Later files count more.
    """
    source = _placed(source)
    above = list(source.parents)
    depth = next((number for number, folder in enumerate(above) if is_data_set(folder)), None)
    if depth is None:
        own = stem_of(source, ending)
        return [own] if own.is_file() else []
    *entities, suffix = stem_of(source).name.split("_")
    found = []
    for folder in reversed(above[: depth + 1]):
        names = {path: path.name.removesuffix(ending).split("_") for path in folder.glob(f"*{ending}")}
        found += [path for path in names if names[path][-1] == suffix and set(names[path][:-1]) <= set(entities)]
    there = [path for path in found if path.is_file()]  # datalad links to files that were not fetched
    return sorted(there, key=lambda path: (len(path.parts), path.name.count("_"), path.name))


def _placed(path: Path) -> Path:
    """The absolute path without "..", before which there are folders of elsewhere; links are kept."""
    return Path(os.path.normpath(path.absolute()))
