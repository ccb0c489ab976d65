"""Settings of an enhancement, checked when they are built."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from numbers import Integral, Real

from .errors import SettingsError

LARGEST_FACTOR = 8.0
NAMED_AXES = ("through-plane", "in-plane")
MODALITY_OF_DICOM = {"CT": "ct", "MR": "mr", "PT": "pet", "US": "us"}
MODALITIES = tuple(MODALITY_OF_DICOM.values())
PROFILES = ("auto", "gaussian", "box")
DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "float32", "mixed", "int8")
STANDARD, BEST = QUALITIES = ("standard", "best")


def check_factor(factor: float, what: str = "the factor") -> None:
    """Refuse a refinement factor outside (1, 8]; for larger ones, name two steps in its place."""
    if math.isfinite(factor) and 1 < factor <= LARGEST_FACTOR:
        return
    message = f"{what} must be above 1 and at most {LARGEST_FACTOR:g}, got {factor:g}"
    if LARGEST_FACTOR < factor <= LARGEST_FACTOR**2:
        first = round(math.sqrt(factor), 2)
        message += f"; make it in two steps, with the factor {first:g} and then with {factor / first:.6g}"
    raise SettingsError(message)


def check_number(name: str, value: object, *, whole: bool = False, optional: bool = True) -> None:
    """Refuse a value of a setting that is no number, which only Python can pass."""
    if optional and value is None:
        return
    if whole and not isinstance(value, Integral):
        raise SettingsError(f"{name} must be a whole number, got {value!r}")
    if not isinstance(value, Real):
        raise SettingsError(f"{name} must be a number, got {value!r}")


def is_row(values: object, count: int) -> bool:
    """Whether values are so many numbers, in an order; those of a set or a dictionary stand for no axes."""
    return (
        isinstance(values, Collection)
        and not isinstance(values, Set | Mapping)
        and len(values) == count
        and all(isinstance(value, Real) for value in values)
    )


def plain(value: float | None) -> float | None:
    """A number of Python's own in place of one of NumPy or another library, which JSON does not take."""
    if value is None:
        return None
    return int(value) if isinstance(value, Integral) else float(value)


def switch(name: str, value: object) -> bool:
    """A switch of Python's own in place of one of NumPy, which JSON does not take.

    Raises
    ------
    SettingsError
        It is none: every text counts as true, "false" too.
    """
    if type(value).__name__ in ("bool", "bool_") or (isinstance(value, Integral) and value in (0, 1)):
        return bool(value)
    raise SettingsError(f"{name} must be True or False, got {value!r}")


def check_detail(detail: float) -> None:
    """Refuse a detail outside [0, 1]."""
    if not 0 <= detail <= 1:
        raise SettingsError(f"the detail must be at least 0 (fidelity) and at most 1, got {detail:g}")


def check_slice_thickness(slice_thickness_mm: float) -> None:
    """Refuse a slice thickness that is not above 0."""
    if not (math.isfinite(slice_thickness_mm) and slice_thickness_mm > 0):
        raise SettingsError(f"the slice thickness must be above 0 mm, got {slice_thickness_mm:g}")


def check_modality(modality: str | None) -> None:
    """Refuse a modality that is none of `MODALITIES`; None is one that is not known."""
    if modality is not None and modality not in MODALITIES:
        raise SettingsError(f"unknown modality {modality!r}; use one of: {', '.join(MODALITIES)}")


@dataclass(frozen=True, kw_only=True)
class EnhanceSettings:
    """Settings of one enhancement. `planning.plan` decides what they mean for a given volume.

    Parameters
    ----------
    factor : float, optional
        How many times finer each of ``axes`` becomes, in (1, 8], whole or not. With neither this nor
        ``spacing_ijk_mm``, the through-plane axis is refined to the in-plane spacing, at most 8 times. An in-plane
        model of one factor refines both in-plane axes by that factor instead.
    axes : str
        Of the factor: "through-plane" (across the slices), "in-plane" (the other two), or letters of "ijk", the index
        axes of the volume, fastest first.
    spacing_ijk_mm : tuple of float, optional
        Target spacing in mm, instead of ``factor``; at most 8 times finer. Axes that are finer already are kept.
    exact_spacing : bool
        Whether axes that are finer than ``spacing_ijk_mm`` are averaged to it.
    slice_thickness_mm : float, optional
        Slice thickness in mm. None takes that of the volume, or else contiguous slices.
    slice_profile : str
        Weight across the slice: "gaussian" (``slice_thickness_mm`` is its full width at half maximum), "box" (the mean
        over ``slice_thickness_mm``), or "auto": estimated from the slices, with ``slice_thickness_mm`` as prior
        knowledge. In-plane profiles are always Gaussian.
    model : str
        An installed model's name, or the path of a model file.
    detail : float
        Interpolation weight between the model (0, fidelity) and its detail model (1).
    quality : str
        "standard", or "best": the mean over the refined mirror images of the scan (self-ensemble), slightly closer to
        the truth at up to eight times the work. ``detail`` must then be 0.
    consistency : bool
        Whether the result reproduces the measured slices.
    uncertainty : bool
        Whether to compute a standard deviation of each voxel as well, at up to ten times the work.
    device : str
        "auto", "cuda", "mps" or "cpu".
    threads : int, optional
        Number of CPU threads, at least 1. None takes all that are available.
    precision : str
        Precision of the network: "float32", "mixed" (half precision where it is exact enough; CPUs without bfloat16
        arithmetic, in-plane models on CPUs, and Apple's graphics cards compute in float32), "int8" (8-bit integers on
        CPUs with VNNI, about twice as fast; elsewhere as "auto") or "auto" (mixed on CUDA, float32 elsewhere).
        Interpolation and consistency are always float32.
    memory_gb : float, optional
        Memory of the whole program, including input and output, in gigabytes, at least 0.1. None takes as much as
        increases the speed, about 1.4 in addition to input and output.

    Raises
    ------
    SettingsError
        A value is of another type or outside its range, or two settings contradict each other.
    """

    factor: float | None = None
    axes: str = "through-plane"
    spacing_ijk_mm: tuple[float, float, float] | None = None
    exact_spacing: bool = False
    slice_thickness_mm: float | None = None
    slice_profile: str = "auto"
    model: str = "general"
    detail: float = 0.0
    quality: str = STANDARD
    consistency: bool = True
    uncertainty: bool = False
    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    memory_gb: float | None = None

    @property
    def refines_mirrors(self) -> bool:
        """Whether the scan's mirror images are refined too: for its uncertainty, or for the mean of them."""
        return self.uncertainty or self.quality == BEST

    def __repr__(self) -> str:
        changed = (
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        )
        return f"EnhanceSettings({', '.join(changed)})"

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.factor is not None and self.spacing_ijk_mm is not None:
            raise SettingsError("give either a factor or a target spacing, not both")
        if self.factor is not None:
            check_factor(self.factor)
        if self.exact_spacing and self.spacing_ijk_mm is None:
            raise SettingsError("an exact spacing needs the three spacings in mm, along i, j and k")
        if self.axes not in NAMED_AXES and (
            not self.axes or set(self.axes) - set("ijk") or len(set(self.axes)) < len(self.axes)
        ):
            raise SettingsError(
                f"unknown axes {self.axes!r}; use through-plane, in-plane, or some of the letters i, j and k, each once"
            )
        for value in self.spacing_ijk_mm or ():
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"the target spacing must be above 0 mm, got {value:g}")
        if self.slice_thickness_mm is not None:
            check_slice_thickness(self.slice_thickness_mm)
        if self.slice_profile not in PROFILES:
            raise SettingsError(f"unknown slice profile {self.slice_profile!r}; use one of: {', '.join(PROFILES)}")
        check_detail(self.detail)
        if self.quality not in QUALITIES:
            raise SettingsError(f"unknown quality {self.quality!r}; use one of: {', '.join(QUALITIES)}")
        if self.quality == BEST and self.detail:
            raise SettingsError(
                f"the best quality is a mean, which removes the detail {self.detail:g}; use only one of them"
            )
        if self.device not in DEVICES:
            raise SettingsError(f"unknown device {self.device!r}; use one of: {', '.join(DEVICES)}")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"the number of threads must be at least 1, got {self.threads}")
        if self.precision not in PRECISIONS:
            raise SettingsError(f"unknown precision {self.precision!r}; use one of: {', '.join(PRECISIONS)}")
        if self.memory_gb is not None and not (math.isfinite(self.memory_gb) and self.memory_gb >= 0.1):
            raise SettingsError(f"the memory must be at least 0.1 GB, got {self.memory_gb:g}")

    def _check_kinds(self) -> None:
        """Refuse what only Python can pass, such as texts in place of numbers; take numbers of NumPy as plain ones."""
        for name in ("factor", "slice_thickness_mm", "memory_gb"):
            check_number(name, getattr(self, name))
        check_number("threads", self.threads, whole=True)
        check_number("detail", self.detail, optional=False)
        if not isinstance(self.axes, str):
            raise SettingsError(f"axes must be a text such as 'k' or 'in-plane', got {self.axes!r}")
        spacing = self.spacing_ijk_mm
        if spacing is not None and not is_row(spacing, 3):
            raise SettingsError(f"the target spacing has three values in mm, along i, j and k; got {spacing!r}")
        for name in ("factor", "slice_thickness_mm", "memory_gb", "threads", "detail"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        for name in ("exact_spacing", "consistency", "uncertainty"):
            object.__setattr__(self, name, switch(name, getattr(self, name)))
        object.__setattr__(self, "spacing_ijk_mm", None if spacing is None else tuple(map(plain, spacing)))


def with_own_factor(settings: EnhanceSettings, factors: tuple[float, ...]) -> EnhanceSettings:
    """The settings; with neither factor nor spacing, a model that supports a single factor, in plane, takes it."""
    if len(factors) == 1 and settings.factor is None and settings.spacing_ijk_mm is None:
        return dataclasses.replace(settings, factor=factors[0], axes="in-plane")
    return settings


OPTIONS = {  # of the command line, for the settings that are one value
    "factor": "--factor",
    "axes": "--axes",
    "slice_thickness_mm": "--slice-thickness",
    "slice_profile": "--slice-profile",
    "model": "--model",
    "detail": "--detail",
    "quality": "--quality",
    "device": "--device",
    "threads": "--threads",
    "precision": "--precision",
    "memory_gb": "--max-memory",
}


def arguments_of(settings: EnhanceSettings) -> list[str]:
    """The options of the command line that mean these settings, but for ``--uncertainty``, which names a file."""
    standard = EnhanceSettings()
    arguments = []
    for name, option in OPTIONS.items():
        value = getattr(settings, name)
        if value != getattr(standard, name):
            arguments += [option, str(value)]
    if settings.spacing_ijk_mm is not None:
        arguments += ["--spacing", *map(str, settings.spacing_ijk_mm)]
    if settings.exact_spacing:
        arguments += ["--exact-spacing"]
    return arguments if settings.consistency else [*arguments, "--no-consistency"]
