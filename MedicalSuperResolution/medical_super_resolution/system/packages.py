"""Optional packages, and what to install where one of them is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..errors import SettingsError


def optional(name: str, what: str, *, extra: str = "", instead: str = "") -> ModuleType:
    """Import a package that not every installation has.

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
