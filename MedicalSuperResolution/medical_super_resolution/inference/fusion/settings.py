"""Settings of a fusion."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...errors import SettingsError
from ...settings import EnhanceSettings, check_number, is_row, plain, switch

REGISTRATIONS = ("rigid", "slices", "none")


@dataclass(frozen=True, kw_only=True)
class FusionSettings:
    """Settings of one fusion.

    Parameters
    ----------
    spacing_mm : float, optional
        Spacing of the result along all axes, in mm. Without it, the finest spacing of the stacks.
    region_ras_mm : tuple of float, optional
        Box to fuse: lowest and highest R, A and S (R, R, A, A, S, S), in mm. Without it, the box around all stacks.
    register : {"rigid", "slices", "none"}
        "rigid" registers the stacks to each other. "slices" also registers each slice, and gives less weight to slices
        that still contradict the other stacks. "none" trusts the positions in the files.
    shading : bool
        Match smooth differences of brightness between the stacks as well as their gain; has no effect on CT.
    prior_weight : float
        Weight of the refined stacks (the prior) relative to the measured slices, above 0.
    rounds : int
        Number of fusions, at least 1; from the second on, the model refines the result of the one before.
    iterations : int
        Largest number of conjugate gradient iterations, at least 1.
    enhance : EnhanceSettings
        How each stack is refined for the prior; factor, axes, spacing and uncertainty have no effect.

    Raises
    ------
    SettingsError
        A value is of another type or outside its range.
    """

    spacing_mm: float | None = None
    region_ras_mm: tuple[float, float, float, float, float, float] | None = None
    register: str = "rigid"
    shading: bool = True
    prior_weight: float = 0.05
    rounds: int = 1
    iterations: int = 8
    enhance: EnhanceSettings = field(default_factory=EnhanceSettings)

    def __post_init__(self) -> None:
        check_number("spacing_mm", self.spacing_mm)
        check_number("prior_weight", self.prior_weight, optional=False)
        for name in ("rounds", "iterations"):
            check_number(name, getattr(self, name), whole=True, optional=False)
        if not isinstance(self.enhance, EnhanceSettings):
            raise SettingsError(f"enhance must be an EnhanceSettings, got {self.enhance!r}")
        region = self.region_ras_mm
        if region is not None and not (is_row(region, 6) and all(map(math.isfinite, region))):
            raise SettingsError(f"the region has six values in mm, R R A A S S; got {region!r}")
        for name in ("spacing_mm", "prior_weight", "rounds", "iterations"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        object.__setattr__(self, "shading", switch("shading", self.shading))
        object.__setattr__(self, "region_ras_mm", None if region is None else tuple(map(plain, region)))
        if self.spacing_mm is not None and not (math.isfinite(self.spacing_mm) and self.spacing_mm > 0):
            raise SettingsError(f"the spacing of the result must be above 0 mm, got {self.spacing_mm:g}")
        if self.register not in REGISTRATIONS:
            raise SettingsError(f"unknown registration {self.register!r}; use one of: {', '.join(REGISTRATIONS)}")
        if region is not None and not all(low < high for low, high in zip(region[::2], region[1::2], strict=True)):
            raise SettingsError(f"the region must have its lowest value before its highest, got {self.region_ras_mm}")
        if not (math.isfinite(self.prior_weight) and self.prior_weight > 0):
            raise SettingsError(f"the weight of the prior must be a finite number above 0, got {self.prior_weight:g}")
        for count, what in ((self.rounds, "rounds"), (self.iterations, "iterations")):
            if count < 1:
                raise SettingsError(f"the number of {what} must be at least 1, got {count}")
