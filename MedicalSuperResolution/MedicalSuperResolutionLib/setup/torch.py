"""Installs the requirements of the engine when they are first needed. Torch comes from the PyTorch extension."""

import importlib
import importlib.util
import sys
from pathlib import Path
from subprocess import CalledProcessError

import slicer

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from MedicalSuperResolutionLib.translation import tr as _

REQUIREMENTS = Path(__file__).parents[2] / "Resources" / "requirements.txt"
TORCH_VERSIONS = ">=2.2"


class RequirementsMissing(SuperResolutionError):
    """A requirement of the engine is not installed."""


def ensure_engine() -> None:
    """Make sure that the engine can run, asking the user before anything is installed.

    In testing mode and without a main window the user cannot be asked, so nothing is installed.

    Raises
    ------
    RequirementsMissing
        Something is missing; the message explains how to install it.
    Cancelled
        The user declined.
    """
    ensure_packages()
    _ensure_torch()


def is_installed(name: str) -> bool:
    """Whether a package can be imported. It is not imported, so that torch stays out of Slicer's process."""
    importlib.invalidate_caches()
    return name in sys.modules or importlib.util.find_spec(name) is not None


def may_ask() -> bool:
    """Whether there is a user who can answer a question."""
    return not slicer.app.testingEnabled() and slicer.util.mainWindow() is not None


def ensure_packages(requirements: Path = REQUIREMENTS) -> None:
    """Install what is absent; what is there stays as it is, for Slicer's own numpy and SimpleITK must not change.

    Parameters
    ----------
    requirements
        A file that names one package a line.

    Raises
    ------
    RequirementsMissing, Cancelled
        See `ensure_engine`.
    """
    try:
        from slicer import packaging
    except ImportError:  # Slicer before 5.12
        if not is_installed("safetensors"):
            raise RequirementsMissing(
                _("This version of Slicer cannot install the package safetensors; update Slicer to 5.12 or later.")
            ) from None
        return
    missing = [one for one in packaging.load_requirements(requirements) if not is_installed(one.name)]
    if not missing:
        return
    names = ", ".join(one.name for one in missing)
    if not may_ask():
        message = _("The Python packages {names} are not installed; Slicer offers to install them in its main window.")
        raise RequirementsMissing(message.format(names=names))
    try:
        packaging.pip_ensure(missing, requester="Medical Super-Resolution")
    except RuntimeError as declined:
        raise Cancelled from declined
    except CalledProcessError as problem:
        message = _("The Python packages {names} could not be installed; check the network connection and try again.")
        raise RequirementsMissing(message.format(names=names)) from problem


def _ensure_torch() -> None:
    if is_installed("torch"):
        return
    if not is_installed("PyTorchUtils"):
        _get_pytorch_extension()
    if not may_ask():
        raise RequirementsMissing(
            _("PyTorch is not installed; open the PyTorch Utils module, click Install PyTorch, and try again.")
        )
    import PyTorchUtils

    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=True, torchVersionRequirement=TORCH_VERSIONS
        )
    except (CalledProcessError, ImportError, OSError) as problem:
        raise RequirementsMissing(
            _("PyTorch could not be installed; the PyTorch Utils module offers other versions to try.")
        ) from problem
    if torch is None:
        raise Cancelled


def _get_pytorch_extension() -> None:
    """Offer the extension that brings torch. Slicer asks, installs and restarts; always raises."""
    can_offer = may_ask() and hasattr(slicer.app, "extensionsManagerModel")  # Slicer can be built without it
    if can_offer and slicer.app.extensionsManagerModel().installExtensionFromServer("PyTorch"):
        raise RequirementsMissing(
            _("The PyTorch extension is installed now; restart Slicer, then click Enhance again.")
        )
    raise RequirementsMissing(
        _(
            "The PyTorch extension is not installed; get it in the Extensions Manager, restart Slicer, and try again."
            " Without a network, install it from a folder of wheels, in the section Set-up."
        )
    )
