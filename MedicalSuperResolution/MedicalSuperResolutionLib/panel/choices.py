"""The lists that the panel offers, with their texts. Scenes store the names: never rename one."""

from __future__ import annotations

import logging
from enum import Enum
from typing import get_type_hints

from slicer import vtkMRMLScriptedModuleNode

from MedicalSuperResolutionLib.compare import layouts
from MedicalSuperResolutionLib.translation import tr as _


class Choice(Enum):
    """One entry of a list."""

    def label(self) -> str:
        """The text in the panel (parameterNodeWrapper looks for a method of this name)."""
        return _labels()[self]


class Goal(Choice):
    """Target resolution of an enhancement."""

    ISOTROPIC = 1
    THIN_SLICES_2 = 2
    THIN_SLICES_4 = 3
    IN_PLANE_2 = 4
    CUSTOM_FACTOR = 5
    CUSTOM_SPACING = 6


class Overlay(Choice):
    """Overlay on the view of the result while comparing."""

    NOTHING = 1
    WIPE = 2
    FADE = 3
    CHECKERBOARD = 4
    UNCERTAINTY = 5


class Arrangement(Choice):
    """Which views the comparison shows."""

    ROW = layouts.ROW
    STACK = layouts.STACK
    TWO_PLANES = layouts.TWO_PLANES
    ALL_PLANES = layouts.ALL_PLANES


class Plane(Choice):
    """The plane of the views, where the arrangement leaves it open."""

    REVEALING = None
    AXIAL = "Axial"
    CORONAL = "Coronal"
    SAGITTAL = "Sagittal"


class Profile(Choice):
    """Shape of the slice profile."""

    AUTO = "auto"
    GAUSSIAN = "gaussian"
    BOX = "box"


class Device(Choice):
    """Compute device."""

    AUTO = "auto"
    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"


def _labels() -> dict[Choice, str]:
    """The texts, in the language of the application at the time of the call."""
    return {
        Goal.ISOTROPIC: _("Isotropic"),
        Goal.THIN_SLICES_2: _("Thin slices x2"),
        Goal.THIN_SLICES_4: _("Thin slices x4"),
        Goal.IN_PLANE_2: _("In-plane x2"),
        Goal.CUSTOM_FACTOR: _("Other factor"),
        Goal.CUSTOM_SPACING: _("Custom spacing"),
        Overlay.NOTHING: _("After alone"),
        Overlay.WIPE: _("Wipe"),
        Overlay.FADE: _("Fade"),
        Overlay.CHECKERBOARD: _("Checkerboard"),
        Overlay.UNCERTAINTY: _("Uncertainty"),
        Arrangement.ROW: _("Side by side"),
        Arrangement.STACK: _("Stacked"),
        Arrangement.TWO_PLANES: _("Two planes"),
        Arrangement.ALL_PLANES: _("All planes"),
        Plane.REVEALING: _("Across slices"),
        Plane.AXIAL: _("Axial"),
        Plane.CORONAL: _("Coronal"),
        Plane.SAGITTAL: _("Sagittal"),
        Profile.AUTO: _("From the slices"),
        Profile.GAUSSIAN: _("Gaussian"),
        Profile.BOX: _("Box"),
        Device.AUTO: _("Automatic"),
        Device.CUDA: _("NVIDIA (CUDA)"),
        Device.MPS: _("Apple (MPS)"),
        Device.CPU: _("CPU"),
    }


def forget_unknown(node: vtkMRMLScriptedModuleNode, parameters: type) -> None:
    """Remove choices of another version from a scene, those that a wrapped class of parameters could not read.

    Then the defaults are taken. Slicer's parameterNodeWrapper raises at an entry of a list that this version has not,
    and no panel would open.
    """
    stored = set(node.GetParameterNames())
    for name, kind in get_type_hints(parameters).items():
        text = node.GetParameter(name)
        if name in stored and not _is_readable(text, kind):
            logging.warning("The scene holds %s = %r, which is not known here; the default is taken.", name, text)
            node.UnsetParameter(name)


def _is_readable(text: str, kind: type) -> bool:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return text in kind.__members__
    try:
        return kind not in (int, float) or kind(text) is not None
    except ValueError:
        return False
