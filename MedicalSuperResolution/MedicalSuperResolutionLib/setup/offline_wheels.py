"""Installation without a network: packages from a folder of wheels, models from files."""

import importlib.metadata
import platform
from contextlib import suppress
from pathlib import Path
from subprocess import CalledProcessError

import slicer

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib.process import subprocess
from MedicalSuperResolutionLib.setup import torch as torch_setup
from MedicalSuperResolutionLib.translation import tr as _

_KEPT = ("numpy", "scipy", "SimpleITK", "packaging")  # Slicer's own, whose versions must not change


def missing_packages() -> list[str]:
    """Requirements of the engine that Slicer's Python lacks, as arguments of pip; torch too."""
    lines = torch_setup.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    needed = [line for line in lines if line and not line.startswith("#")] + [f"torch{torch_setup.TORCH_VERSIONS}"]
    return [one for one in needed if not torch_setup.is_installed(_name(one))]


def install_wheels(folder: Path) -> None:
    """Install what is missing from the wheels in a folder, without asking any network.

    Raises
    ------
    RequirementsMissing
        The folder holds no wheels, or not all that are needed for this Slicer.
    """
    missing = missing_packages()
    names = ", ".join(map(_name, missing))
    if missing and not any(folder.glob("*.whl")):
        message = _("The folder {folder} holds no wheels (.whl files); {names} could not be installed.")
        raise torch_setup.RequirementsMissing(message.format(folder=folder, names=names))
    if not missing:
        return
    with suppress(CalledProcessError):  # reported below
        slicer.util.pip_install(["--no-index", "--find-links", str(folder), *missing, *_present()])
    left = ", ".join(map(_name, missing_packages()))
    if left:
        message = _(
            "The wheels in {folder} are not all that is needed; {left} could not be installed. They must be for"
            " Python {python} on {system} {machine}; see the log."
        )
        raise torch_setup.RequirementsMissing(
            message.format(
                folder=folder,
                left=left,
                python=".".join(platform.python_version_tuple()[:2]),
                system=platform.system(),
                machine=platform.machine(),
            )
        )


class ModelImport:
    """Imports a model file in a child process, because torch stays out of Slicer's process."""

    def __init__(self, file: Path, sha256: str = "") -> None:
        """Start it.

        Raises
        ------
        SuperResolutionError
            Torch is missing, or the child cannot be started.
        """
        if not torch_setup.is_installed("torch"):
            raise torch_setup.RequirementsMissing(
                _("A model is loaded once to prove it, which needs PyTorch; install PyTorch first.")
            )
        command = [subprocess.python(), "-m", "medical_super_resolution", "models", "--import", str(file)]
        self._process, self._folder = subprocess.started([*command, *(["--sha256", sha256] if sha256 else [])])

    def is_over(self) -> bool:
        """Whether the child has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Check how the child ended; one that still runs is ended.

        Raises
        ------
        SuperResolutionError
            The model was refused, for the reason in the message.
        """
        status, errors = self._process.poll(), subprocess.errors_of(self._folder).splitlines()
        subprocess.end(self._process, self._folder)
        if status is not None and status != 0:
            who = {"who": _("the import"), "unharmed": _("nothing was changed"), "advice": _("close other programs")}
            raise SuperResolutionError(subprocess.failure_sentence(status, errors, **who))


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].strip()


def _present() -> list[str]:
    """Slicer's own packages pinned to their installed versions, so that pip keeps them."""
    present = []
    for name in _KEPT:
        with suppress(importlib.metadata.PackageNotFoundError):
            present.append(f"{name}=={importlib.metadata.version(name)}")
    return present
