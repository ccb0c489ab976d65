"""Choices of the page, and the settings that they stand for."""

from __future__ import annotations

from typing import Any

from ..errors import SettingsError
from ..models.store import has_detail, installed
from ..settings import EnhanceSettings, check_modality

_THROUGH_PLANE, _IN_PLANE = "through-plane", "in-plane"
GOALS: dict[str, tuple[str, dict[str, Any]]] = {  # as in the panel of Slicer
    "isotropic": ("Isotropic", {}),
    "thin-2": ("Thin slices x2", {"factor": 2.0, "axes": _THROUGH_PLANE}),
    "thin-4": ("Thin slices x4", {"factor": 4.0, "axes": _THROUGH_PLANE}),
    "in-plane-2": ("In-plane x2", {"factor": 2.0, "axes": _IN_PLANE}),
    "factor": ("Thin slices, other factor", {"axes": _THROUGH_PLANE}),
    "spacing": ("Custom spacing", {}),
}


def settings_of(wanted: dict[str, Any]) -> EnhanceSettings:
    """Settings from a request of the page: ``goal``, ``model``, ``detail``, and ``factor`` or ``spacing``.

    Raises
    ------
    SettingsError
        A value is missing or has no meaning, or there is no such model.
    """
    goal = str(wanted.get("goal"))
    if goal not in GOALS:
        raise SettingsError(f"unknown goal {goal!r}; use one of: {', '.join(GOALS)}")
    fields = dict(GOALS[goal][1])
    try:
        if goal == "factor":
            fields["factor"] = float(wanted["factor"])
        if goal == "spacing":
            i, j, k = map(float, wanted["spacing"])
            fields["spacing_ijk_mm"] = (i, j, k)
        detail = float(wanted.get("detail", 0))
    except (KeyError, TypeError, ValueError) as problem:
        raise SettingsError("a factor, three spacings in mm, and a detail are numbers; fill them in") from problem
    name = str(wanted.get("model", "general"))
    if name not in {path.stem for path in installed()}:
        raise SettingsError(f"there is no model {name!r} in the list; choose one that is")
    return EnhanceSettings(model=name, detail=detail, **fields)


def modality_of(wanted: dict[str, Any]) -> str | None:
    """The ``modality`` in a request of the page, one of `settings.MODALITIES`; None if it is missing or empty.

    Raises
    ------
    SettingsError
        There is no such modality.
    """
    modality = wanted.get("modality") or None
    check_modality(modality)
    return modality


def choices() -> dict[str, Any]:
    """Entries of the lists of the page."""
    return {
        "goals": [{"name": name, "label": label} for name, (label, _) in GOALS.items()],
        "models": [{"name": path.stem, "has_detail": has_detail(path)} for path in installed()],
    }
