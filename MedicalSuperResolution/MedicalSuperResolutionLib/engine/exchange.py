"""What Slicer and the engine's process exchange: a command line, volumes as files, and the report."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.report import Enhanced, Report
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Volume

_INPUT, _OUTPUT, _UNCERTAINTY, _REPORT = "input.nrrd", "output.nrrd", "uncertainty.nrrd", "report.json"


def arguments(volume: Volume, settings: EnhanceSettings) -> list[str]:
    """The command line of `medsr`, to be run in the folder of the process.

    It says the settings, and what only the node knows of the volume.
    """
    command = ["enhance", _INPUT, _OUTPUT, "--progress", "json", "--report", _REPORT, "--no-compression"]
    model = Path(settings.model)
    name = str(model.resolve()) if model.is_file() else settings.model  # the process works in another folder
    chosen = [*command, "--model", name]
    chosen += ["--device", settings.device, "--precision", settings.precision]
    if settings.memory_gb is not None:
        chosen += ["--max-memory", repr(settings.memory_gb)]
    chosen += ["--axes", settings.axes, "--slice-profile", settings.slice_profile]
    chosen += ["--detail", repr(settings.detail)]
    if settings.factor is not None:
        chosen += ["--factor", repr(settings.factor)]
    if settings.spacing_ijk_mm is not None:
        chosen += ["--spacing", *map(repr, settings.spacing_ijk_mm)]
    if settings.exact_spacing:
        chosen += ["--exact-spacing"]
    thickness_mm = settings.slice_thickness_mm or volume.slice_thickness_mm
    if thickness_mm is not None:
        chosen += ["--slice-thickness", repr(thickness_mm)]
    if volume.modality is not None:
        chosen += ["--modality", volume.modality]
    if settings.threads is not None:
        chosen += ["--threads", str(settings.threads)]
    if settings.uncertainty:
        chosen += ["--uncertainty", _UNCERTAINTY]
    return chosen if settings.consistency else [*chosen, "--no-consistency"]


def write_input(volume: Volume, folder: Path) -> None:
    """Put a volume into the folder of the process; what an earlier run has left there goes.

    Raises
    ------
    SuperResolutionError
        The disk is full.
    """
    for name in (_INPUT, _OUTPUT, _UNCERTAINTY, _REPORT):
        (folder / name).unlink(missing_ok=True)
    files, path, parent = _files(), folder / _INPUT, folder.parent
    try:
        files.write(volume, path, compress=False)
        path.chmod(0o600)
    except (OSError, SuperResolutionError) as problem:
        free_mb, needed_mb = shutil.disk_usage(parent).free / 1e6, volume.array.nbytes / 1e6
        raise SuperResolutionError(
            f"the folder for temporary files, {parent}, did not take a copy of the volume: {free_mb:.0f} MB are free"
            f" and {needed_mb:.0f} MB are needed, for the result some times more; free some space there and try again"
        ) from problem


def read_result(folder: Path, settings: EnhanceSettings, modality: str | None) -> Enhanced:
    """What the command has left in the folder of the process.

    Raises
    ------
    SuperResolutionError
        It is not complete.
    """
    try:
        written = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
        report = Report.from_dict(written)
        settings = replace(settings, model=report.model)  # its name: a path may name a patient
        report = replace(report, settings=asdict(settings))  # JSON has made lists of what were tuples
        volume = _files().read(folder / _OUTPUT)
        uncertainty = _files().read(folder / _UNCERTAINTY) if settings.uncertainty else None
    except (OSError, ValueError, TypeError, SuperResolutionError) as problem:
        raise SuperResolutionError(
            "the engine ended without a complete result; try again, and report it with the log if it stays so"
        ) from problem
    return Enhanced(replace(volume, modality=modality), report, uncertainty)


def _files() -> ModuleType:
    """The package's file module; it needs SimpleITK, which not every Slicer has when it starts."""
    try:
        from medical_super_resolution.volumes.io import files
    except ImportError as problem:
        raise SuperResolutionError(
            "SimpleITK is missing in this Python; install it with slicer.util.pip_install('SimpleITK') and try again"
        ) from problem
    return files
