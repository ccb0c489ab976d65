"""Choices of the comparison that the application remembers from one session to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt

from MedicalSuperResolutionLib.panel.choices import Arrangement, Plane

if TYPE_CHECKING:  # imports this file
    from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode

_KEY = "MedicalSuperResolution/Comparison/"
_LISTS = {"arrangement": Arrangement, "plane": Plane}


def keep(chosen: MedicalSuperResolutionParameterNode) -> None:
    """Remember how the comparison of this scene is arranged."""
    settings = qt.QSettings()
    for name in _LISTS:
        settings.setValue(_KEY + name, getattr(chosen, name).name)
    settings.setValue(_KEY + "crosshair", "yes" if chosen.crosshair else "no")


def recall(chosen: MedicalSuperResolutionParameterNode) -> None:
    """Arrange the comparison of a new scene as the latest one was; what is not known stays as it is."""
    settings = qt.QSettings()
    for name, kind in _LISTS.items():
        known = settings.value(_KEY + name, "")
        if known in kind.__members__:
            setattr(chosen, name, kind[known])
    chosen.crosshair = settings.value(_KEY + "crosshair", "no") == "yes"
