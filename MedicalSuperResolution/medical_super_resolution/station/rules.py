"""Which received series are enhanced, how, and where the derived series goes: a TOML file of rules.

The first rule that fits a series is used; a series that no rule fits is ignored.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from ..settings import EnhanceSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pydicom import Dataset

MODALITIES = ("CT", "MR", "PT")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Conditions on a series, and the settings to enhance it with.

    Parameters
    ----------
    modality : str
        "CT", "MR" or "PT", as DICOM's Modality.
    description : str
        Pattern of the SeriesDescription with the wildcards ``*`` and ``?``; upper and lower case are the same.
    thicker_than_mm : float
        The rule fits slices with a SliceThickness above this, in mm; 0 fits all, also those without one.
    factor : float or None
        Refinement factor through plane; None refines to the in-plane spacing.
    model : str
        Name or path of the model.
    send_to : str
        Where the derived series goes, ``AE@HOST:PORT`` or the address of a DICOMweb service; empty for the station's.
    """

    modality: str = "CT"
    description: str = "*"
    thicker_than_mm: float = 0.0
    factor: float | None = None
    model: str = "general"
    send_to: str = ""

    def __post_init__(self) -> None:
        """Refuse conditions that no series can meet, and invalid settings."""
        if self.modality not in MODALITIES:
            raise SettingsError(f"a rule's modality must be one of {', '.join(MODALITIES)}, got {self.modality!r}")
        if not 0 <= self.thicker_than_mm < 1000:
            raise SettingsError(f"thicker_than_mm must be from 0 to 1000, got {self.thicker_than_mm!r}")
        self.settings()

    def settings(self) -> EnhanceSettings:
        """Settings for the engine."""
        return EnhanceSettings(factor=self.factor, model=self.model)

    def fits(self, header: Dataset) -> bool:
        """Whether a series fits, by the header of any of its images."""
        description = str(header.get("SeriesDescription") or "")
        is_thick = not self.thicker_than_mm or float(header.get("SliceThickness") or 0) > self.thicker_than_mm
        return is_thick and self.may_fit(str(header.get("Modality")), description)

    def may_fit(self, modality: str, description: str) -> bool:
        """Whether a series can fit, by its modality and description alone."""
        pattern = self.description.casefold().replace("[", "[[]")  # brackets stand for themselves
        return modality == self.modality and fnmatchcase(description.casefold(), pattern)


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Rules from the tables ``[[rule]]`` of a TOML file.

    Raises
    ------
    SettingsError
        The file cannot be read, holds no rule, or a rule has an unknown entry or a value of the wrong kind.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # with the mark of Windows' Notepad
    except OSError as problem:
        raise SettingsError(f"the rules {path} cannot be read: {problem.strerror}") from problem
    except ValueError as problem:
        raise SettingsError(f"the rules {path} cannot be read: {problem}") from problem
    rules = tables.get("rule")
    if set(tables) != {"rule"} or not isinstance(rules, list) or not rules:
        raise SettingsError(f"{path} must consist of tables [[rule]], at least one")
    return tuple(_rule(table, path) for table in rules)


def first_that_fits(rules: tuple[Rule, ...], header: Dataset) -> Rule | None:
    """The rule for a series; None if no rule fits, or if this software derived the series."""
    if is_our_own(header):
        return None
    return next((rule for rule in rules if rule.fits(header)), None)


def is_our_own(header: Dataset) -> bool:
    """Whether an image was derived by this software."""
    equipment = header.get("ContributingEquipmentSequence") or []
    return any(item.get("ManufacturerModelName") == "MedicalSuperResolution" for item in equipment)


def _rule(table: dict[str, Any], path: Path) -> Rule:
    kinds = {field.name: field.type for field in dataclasses.fields(Rule)}
    for name, value in table.items():
        if name not in kinds:
            raise SettingsError(f"{path} has a rule with {name!r}; a rule knows {', '.join(kinds)}")
        is_text = kinds[name] == "str"
        if isinstance(value, bool) or not isinstance(value, str if is_text else int | float):
            raise SettingsError(f"{name} in {path} must be {'a text' if is_text else 'a number'}, got {value!r}")
    return Rule(**table)
