"""The report of an enhancement, and its JSON file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import SuperResolutionError
from .system.temp_dirs import check_folder_of, check_replaceable, try_writing, write_whole

NOTICE = "For research. Not for diagnostic use."


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report of one enhancement.

    Attributes
    ----------
    model, model_sha256 : str
        Name of the model, and the SHA-256 of its file.
    detail : float
        Interpolation weight between the model (0) and its detail model (1).
    detail_sha256 : str
        SHA-256 of the detail model's file if it was used, even for the uncertainty alone.
    modality : str
        Modality of the volume, as stated or as guessed from the values; "labels" for a label map, whose ``model`` is
        the interpolation of its shapes.
    factor_ijk, spacing_before_ijk_mm, spacing_after_ijk_mm, size_before_ijk, size_after_ijk : tuple
        Factor, spacing in mm and size, along i, j and k.
    slice_thickness_mm : float
        As stated by the user or the file, or else the distance between slices.
    slice_profile, slice_width_mm : str, float
        Shape and width of the through-plane slice profile that was used: full width at half maximum of a Gaussian,
        whole width of a box.
    slice_width_error_mm : float
        Standard error of the width, 0 where it was given.
    slice_profile_source : str
        "given" by the user, "estimated" from the slices, or "assumed" if the slices do not determine it.
    slice_noise : float
        Share of noise in the differences between slices, which makes an estimated profile narrower; 0 for others.
    consistency_error_rms : float
        Root mean square difference between the input and the acquisition of the rounded result with this profile, in
        the units of the volume.
    other_profile, other_consistency_error_rms : str, float
        The next most likely profile, and the same error under it; empty and None where the slices are kept, so that
        no slice profile has an effect.
    device, precision : str
        Where the network ran, and its precision: "float32", "mixed" or "int8".
    seconds : float
        Time of the whole enhancement, without reading and writing.
    uncertainty : str
        How the uncertainty was computed; empty if it was not requested.
    stages : dict of str to float
        Seconds by stage.
    settings : dict
        The settings, by the names of `EnhanceSettings`.
    warnings : tuple of str
        What the reader changed, and what to look at with care, as sentences.
    """

    model: str
    model_sha256: str
    detail: float = 0.0
    detail_sha256: str = ""
    modality: str
    factor_ijk: tuple[float, float, float]
    spacing_before_ijk_mm: tuple[float, float, float]
    spacing_after_ijk_mm: tuple[float, float, float]
    size_before_ijk: tuple[int, int, int]
    size_after_ijk: tuple[int, int, int]
    slice_thickness_mm: float
    slice_profile: str
    slice_width_mm: float | None = None
    slice_width_error_mm: float = 0.0
    slice_profile_source: str = "given"
    slice_noise: float = 0.0
    consistency_error_rms: float
    other_profile: str = ""
    other_consistency_error_rms: float | None = None
    device: str
    seconds: float
    settings: dict[str, Any]
    software: str
    precision: str = "float32"
    uncertainty: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notice: str = NOTICE

    def __repr__(self) -> str:
        before, after = ("x".join(map(str, size)) for size in (self.size_before_ijk, self.size_after_ijk))
        return f"Report({self.model}: {before} to {after} voxels on {self.device} in {self.seconds:.1f} s)"

    def as_dict(self) -> dict[str, Any]:
        """Plain types only, ready for JSON."""
        return dataclasses.asdict(self)

    @property
    def profile_described(self) -> str:
        """The slice profile for people: "Gaussian 4.5 +- 0.3 mm (estimated; slice thickness 5 mm)"."""
        width = self.slice_thickness_mm if self.slice_width_mm is None else self.slice_width_mm
        shape = "Gaussian" if self.slice_profile == "gaussian" else self.slice_profile
        error = f" +- {self.slice_width_error_mm:.2g}" if self.slice_width_error_mm else ""
        thickness = (
            f"; slice thickness {self.slice_thickness_mm:.3g} mm" if self.slice_profile_source != "given" else ""
        )
        return f"{shape} {width:.3g}{error} mm ({self.slice_profile_source}{thickness})"

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Report:
        """The report from the output of `as_dict`, also from JSON; unknown keys are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in facts.items() if name in known
        }
        return cls(**plain)


def check_report(path: Path | None, *, overwrite: bool) -> None:
    """Refuse, before any work is done, a report that could not be written."""
    if path is None:
        return
    check_replaceable(path, overwrite=overwrite)
    if path.exists() and not _holds_json(path):
        raise SuperResolutionError(f"{path} is not a report, and would be lost; choose another name for the report")
    check_folder_of(path)
    try:
        try_writing(path.parent, path.name)
    except OSError as problem:
        raise _not_written(path, problem) from problem


def _holds_json(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(1) in (b"{", b"")


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON; the file appears only when it is complete."""
    try:
        write_whole(path, (json.dumps(report, indent=1) + "\n").encode())
    except OSError as problem:
        raise _not_written(path, problem) from problem


def _not_written(path: Path, problem: OSError) -> SuperResolutionError:
    return SuperResolutionError(
        f"the report {path} could not be written: {problem.strerror}; choose another folder for it"
    )
