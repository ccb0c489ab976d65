"""Where installed models lie: those that are shipped, and those that this user has imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .header import SUFFIX, models_in

SHIPPED_FOLDER = Path(__file__).parents[1] / "weights"
FOLDER_VARIABLE = "MEDSR_MODEL_FOLDER"  # of the environment; names another folder for imported models


def user_folder() -> Path:
    """Where imported models go: a folder of the user's own, which outlives updates of the software."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "MedicalSuperResolution" / "models"


def installed(shipped: Path = SHIPPED_FOLDER) -> list[Path]:
    """The model files that are shipped, then those that were imported, each by name; without mere detail models."""
    return [*models_in(shipped), *models_in(user_folder())]


def path_of(name: str, shipped: Path = SHIPPED_FOLDER) -> Path:
    """The file of an installed model. Where there is none of that name, the one that would be shipped."""
    imported = user_folder() / (name + SUFFIX)
    if not (shipped / (name + SUFFIX)).is_file() and imported.is_file():
        return imported
    return shipped / (name + SUFFIX)
