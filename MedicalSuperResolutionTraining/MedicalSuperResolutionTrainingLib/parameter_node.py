"""Everything a user can choose in the training panel, stored in the scene."""

from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Annotated

from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from MedicalSuperResolutionLib.panel.choices import Device
from MedicalSuperResolutionTrainingLib.commands import Choices
from MedicalSuperResolutionTrainingLib.curve import LOSS


class DataKind(Enum):
    """Kind of the data: a manifest, or a folder in one of the layouts of prepare.

    Scenes store the names: never rename one.
    """

    VOLUMES = "volumes"
    LUNA16 = "luna16"
    BRATS2021 = "brats2021"
    LIDC_IDRI = "lidc-idri"
    MANIFEST = None

    def label(self) -> str:
        """The text in the panel (parameterNodeWrapper looks for a method of this name)."""
        return {
            DataKind.VOLUMES: _("Volumes"),
            DataKind.LUNA16: _("LUNA16"),
            DataKind.BRATS2021: _("BraTS 2021"),
            DataKind.LIDC_IDRI: _("LIDC-IDRI"),
            DataKind.MANIFEST: _("Manifest"),
        }[self]


@parameterNodeWrapper
class MedicalSuperResolutionTrainingParameterNode:
    """The choices of the panel. Paths are text, which may be empty.

    Parameters
    ----------
    recipe
        Name of a shipped recipe; empty takes recipeFile.
    dataKind
        What the data are; the folder of them is volumes, or the file is manifest.
    run
        The folder of the run.
    steps
        0 takes the recipe's.
    device
        Compute device.
    quantity
        What the chart shows.
    model
        The file to export to; empty takes one in the run's folder.
    best
        Export the weights that validated best, where a run has validated.
    """

    recipe: str = "general"
    recipeFile: str = ""
    dataKind: DataKind = DataKind.VOLUMES
    volumes: str = ""
    manifest: str = ""
    run: str = ""
    steps: Annotated[int, WithinRange(0, 100_000_000)] = 0
    device: Device = Device.AUTO
    quantity: str = LOSS
    model: str = ""
    best: bool = True

    def choices(self) -> Choices:
        """The arguments of medsr-train for these choices; a path that was not chosen is ``Path()``."""
        return Choices(
            recipe=self.recipe or (self.recipeFile and str(_path(self.recipeFile))),
            data=_path(self.manifest if self.dataKind is DataKind.MANIFEST else self.volumes),
            layout=self.dataKind.value,
            run=self.run_folder(),
            steps=self.steps or None,
            device=self.device.value,
        )

    def model_file(self) -> Path:
        """The file to export to, by default named after the run, so that models of one recipe have different names."""
        run = self.run_folder()
        return _path(self.model) if self.model else run / f"{run.name}.safetensors"

    def run_folder(self) -> Path:
        """The folder of the run; ``Path()`` where none was chosen."""
        return _path(self.run)


def _path(typed: str) -> Path:
    """A path as a user types it: ~ stands for the home folder."""
    with suppress(RuntimeError):  # of an unknown user
        return Path(typed).expanduser()
    return Path(typed)
