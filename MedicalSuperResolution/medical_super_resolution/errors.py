"""Errors that a user can meet. Each message states what is wrong, the value, and what to do."""

from __future__ import annotations

import importlib
from types import ModuleType


class SuperResolutionError(Exception):
    """A known failure; its message is the sentence that the user sees."""


class SettingsError(SuperResolutionError):
    """A setting has no meaning: a factor of 0, an unknown axis, a misspelled key."""


class VolumeError(SuperResolutionError):
    """A volume or file cannot be read, enhanced or written as asked."""


class ModelError(SuperResolutionError):
    """A model file is missing, damaged, foreign or too new."""


class DeviceError(SuperResolutionError):
    """The compute device is absent or ran out of memory."""


class Cancelled(Exception):  # not reported as a failure
    """The user asked to stop. Nothing was changed."""


def optional(name: str, what: str, *, extra: str = "", instead: str = "") -> ModuleType:
    """Import an optional package.

    Parameters
    ----------
    name : str
        The module to import.
    what : str
        What needs it, in the plural, as the beginning of the sentence: "pictures".
    extra : str
        The extra of this package that installs it; without one, the package is installed by its own name.
    instead : str
        What to do without it, as the end of the sentence.

    Raises
    ------
    SettingsError
        The package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        package = name.partition(".")[0]
        wanted = f'"medical-super-resolution[{extra}]"' if extra else package
        sentence = f"{what} need {package}; install it with: pip install {wanted}"
        raise SettingsError(f"{sentence}; or {instead}" if instead else sentence) from problem
