"""Data exchanged by Slicer and the engine's process: a command line, volumes as files, and the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.report import Report
from medical_super_resolution.settings import EnhanceSettings, arguments_of
from medical_super_resolution.system.paths import is_file
from medical_super_resolution.volumes.volume import Enhanced, Volume
from MedicalSuperResolutionLib.translation import tr as _

_INPUT, OUTPUT, UNCERTAINTY, REPORT = "input.nrrd", "output.nrrd", "uncertainty.nrrd", "report.json"
_PROFILE_OF = "profile-of.json"
AS_FILES = ("--progress", "json", "--report", REPORT, "--no-compression")  # what every command leaves


class Exchange(Protocol):
    """One command of the engine, as files in the folder of its process."""

    def arguments(self) -> list[str]:
        """The command line of `medsr`, to be run in that folder."""

    def write_inputs(self, folder: Path) -> None:
        """Write the inputs into the folder, and remove the files of an earlier command."""

    def result(self, folder: Path) -> object:
        """Read the result from the folder."""


@dataclass(frozen=True)
class EnhanceExchange:
    """`medsr enhance`.

    Parameters
    ----------
    profile_of
        Report of another item of the volume's sequence, whose slice profile is that of this one, too.
    """

    volume: Volume
    settings: EnhanceSettings
    profile_of: Report | None = None

    def arguments(self) -> list[str]:
        """The command line, including thickness and modality, which the volume's file does not hold."""
        volume, settings = self.volume, self.settings
        thickness_mm = settings.slice_thickness_mm or volume.slice_thickness_mm
        settings = replace(settings, model=model_for_child(settings), slice_thickness_mm=thickness_mm)
        chosen = ["enhance", _INPUT, OUTPUT, *AS_FILES, *arguments_of(settings)]
        if volume.modality is not None:
            chosen += ["--modality", volume.modality]
        if self.profile_of is not None:
            chosen += ["--profile-of", _PROFILE_OF]
        return [*chosen, "--uncertainty", UNCERTAINTY] if settings.uncertainty else chosen

    def write_inputs(self, folder: Path) -> None:
        """See `write_volumes`."""
        write_volumes({_INPUT: self.volume}, folder)
        if self.profile_of is not None:
            (folder / _PROFILE_OF).write_text(json.dumps(self.profile_of.as_dict()), encoding="utf-8")

    def result(self, folder: Path) -> Enhanced:
        """The enhanced volume and its report.

        Raises
        ------
        SuperResolutionError
            The command has left no complete result.
        """
        with incomplete_refused():
            facts, volume, uncertainty = result_in(folder, uncertainty=self.settings.uncertainty)
            report = Report.from_dict(facts)
        settings = replace(self.settings, model=report.model)  # its name: a path may name a patient
        report = replace(report, settings=asdict(settings))  # JSON has made lists of what were tuples
        return Enhanced(replace(volume, modality=self.volume.modality), report, uncertainty)


def model_for_child(settings: EnhanceSettings) -> str:
    """The model's name, or the whole path of its file: the process works in another folder."""
    model = Path(settings.model)
    return str(model.resolve()) if is_file(model) else settings.model


def write_volumes(volumes: dict[str, Volume], folder: Path) -> None:
    """Write volumes into the folder of the process, by file name, and remove the files of an earlier command.

    Raises
    ------
    SuperResolutionError
        A value is not finite, or the disk is full.
    """
    for left in (*folder.glob("*.nrrd"), folder / REPORT):
        left.unlink(missing_ok=True)
    files, parent = _files(), folder.parent
    try:
        for name, volume in volumes.items():
            files.write(volume, folder / name, compress=False)
            (folder / name).chmod(0o600)
    except (OSError, SuperResolutionError) as problem:
        for volume in volumes.values():
            volume.check_finite()
        message = _(
            "The folder for temporary files, {folder}, did not take a copy of the volume: {free} MB are free and"
            " {needed} MB are needed, for the result some times more; free some space there and try again."
        )
        free_mb = round(shutil.disk_usage(parent).free / 1e6, 1)
        needed_mb = round(sum(volume.array.nbytes for volume in volumes.values()) / 1e6, 1)
        raise SuperResolutionError(message.format(folder=parent, free=free_mb, needed=needed_mb)) from problem


def result_in(folder: Path, *, uncertainty: bool) -> tuple[dict[str, Any], Volume, Volume | None]:
    """The files that a command has written: the report, the volume, and its uncertainty if there is one."""
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    read = _files().read
    return report, read(folder / OUTPUT), read(folder / UNCERTAINTY) if uncertainty else None


@contextmanager
def incomplete_refused() -> Iterator[None]:
    """Turn errors of a missing or damaged result into one sentence.

    Raises
    ------
    SuperResolutionError
        See above.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, SuperResolutionError) as problem:
        raise SuperResolutionError(
            _("The engine ended without a complete result; try again, and report it with the log if it stays so.")
        ) from problem


def _files() -> ModuleType:
    """The package's file module, imported late because not every Slicer has SimpleITK at startup."""
    try:
        from medical_super_resolution.volumes.io import files
    except ImportError as problem:
        raise SuperResolutionError(no_simpleitk()) from problem
    return files


def no_simpleitk() -> str:
    """The error message where SimpleITK cannot be imported."""
    return _("SimpleITK is missing in this Python; install it with slicer.util.pip_install('SimpleITK') and try again.")
