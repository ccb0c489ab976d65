"""Checks shared by the settings of a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from medical_super_resolution.errors import SettingsError

_KINDS: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "dict": dict, "tuple": tuple, "bool": bool}
_REPEATED = ("blocks", "halvings", "layers", "modules")


def check_types(settings: type, values: Mapping[str, Any], where: str) -> None:
    """Refuse values of another type than that of their field of a dataclass."""
    for entry in (one for one in dataclasses.fields(settings) if one.name in values):
        kind = _KINDS.get(str(entry.type).partition("[")[0])
        value = values[entry.name]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = kind is None or (isinstance(value, kind) and (kind in (str, dict, tuple, bool) or is_number))
        if not fits or (kind is tuple and not _is_row(value, str(entry.type))):
            raise SettingsError(f"the setting {where}{entry.name} must be of type {entry.type}, got {value!r}")


def _is_row(values: tuple[Any, ...], type_of_field: str) -> bool:
    """Whether values are numbers, and as many as "tuple[int, int]" names."""
    fits = "..." in type_of_field or len(values) == type_of_field.count(",") + 1
    return fits and all(isinstance(one, (int, float)) for one in values)


def check_sizes(config: Any, what: str) -> None:  # noqa: ANN401 - the dataclass of any network
    """Refuse sizes of a network below 1; parts that are repeated may be left out by 0."""
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        least = 0 if entry.name in _REPEATED else 1
        for size in value if isinstance(value, tuple) else (value,):
            if isinstance(size, int) and not isinstance(size, bool) and size < least:
                raise SettingsError(f"{entry.name} of {what} must be at least {least}, got {value}")


def check_positive(settings: Any, names: tuple[str, ...], where: str) -> None:  # noqa: ANN401
    """Refuse numbers that are not above 0."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise SettingsError(f"{where}{name} must be above 0, got {getattr(settings, name)}")


def check_not_negative(settings: Any, names: tuple[str, ...], where: str) -> None:  # noqa: ANN401
    """Refuse numbers below 0, alone, in a row or in a table."""
    for name in names:
        value = getattr(settings, name)
        numbers = list(value.values()) if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
        if not all(isinstance(number, (int, float)) and number >= 0 for number in numbers):
            raise SettingsError(f"{where}{name} must not be below 0, got {value}")


def check_shares(settings: Any, names: tuple[str, ...]) -> None:  # noqa: ANN401
    """Refuse numbers that are not from 0 to 1."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise SettingsError(f"{name} must be from 0 to 1, got {getattr(settings, name)}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of the choices."""
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_betas(name: str, betas: tuple[float, ...]) -> None:
    """Refuse values that are no betas of Adam."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise SettingsError(f"{name} must be two numbers from 0 to below 1, got {list(betas)}")
