"""The section Set-up of the panel: what is missing, wheels from a folder, models from files."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import ctk

from medical_super_resolution.errors import ModelError, SuperResolutionError
from medical_super_resolution.models.store import SUFFIX
from medical_super_resolution.system import checksum
from medical_super_resolution.system.paths import is_file, is_folder
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.setup import offline_wheels
from MedicalSuperResolutionLib.timers import Repeated
from MedicalSuperResolutionLib.translation import tr as _

_INTERVAL_MS = 100


class SetupSection:
    """Controls the buttons of the section. Nothing that is typed into it is kept with the scene."""

    def __init__(self, ui: SimpleNamespace, on_imported: Callable[[str], None]) -> None:
        """``on_imported`` is called with the name of a model that was imported."""
        self._ui, self._on_imported = ui, on_imported
        self._import: offline_wheels.ModelImport | None = None
        self._timer: Repeated | None = None
        ui.wheelsPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.weightsPathLineEdit.filters = ctk.ctkPathLineEdit.Files
        ui.weightsPathLineEdit.nameFilters = [f"*{SUFFIX}"]
        ui.weightsPathLineEdit.connect("currentPathChanged(QString)", self._show_checksum)
        ui.checksumLineEdit.connect("textChanged(QString)", self._show_checksum)
        ui.wheelsButton.connect("clicked(bool)", self._install)
        ui.weightsButton.connect("clicked(bool)", self._start_import)
        self.show()

    def show(self) -> None:
        """Say what is missing."""
        missing = ", ".join(offline_wheels.missing_packages())
        self._ui.setupLabel.text = (
            _("Missing in Slicer's Python: {missing}. Enhance offers to get it; without a network, use wheels.").format(
                missing=missing
            )
            if missing
            else _("All packages that are needed are installed.")
        )

    def abandon(self) -> None:
        """End an import that is under way."""
        if self._import is not None:
            running, self._import = self._import, None
            self._timer.stop()
            with suppress(SuperResolutionError):  # it had failed already and was reported
                running.end()

    def _install(self, checked: bool = False) -> None:
        with messages.shown_errors(_("The wheels could not be installed.")):
            path = self._ui.wheelsPathLineEdit.currentPath
            if not path or not is_folder(Path(path)):
                raise SuperResolutionError(_("Choose the folder that holds the wheels."))
            offline_wheels.install_wheels(Path(path))
        self.show()

    def _show_checksum(self, text: str = "") -> None:
        """Show the SHA-256 of the chosen file, and whether it equals the published one."""
        file, label = Path(self._ui.weightsPathLineEdit.currentPath), self._ui.weightsLabel
        label.text = ""
        if not is_file(file):
            return
        try:
            found, was_compared = checksum.check(file, self._ui.checksumLineEdit.text)
        except ModelError as problem:
            label.text = _in_groups(messages.sentence(problem))
            return
        compared = _("as it should be") if was_compared else _("compare it with the published one")
        label.text = _in_groups(_("SHA-256 {digest}: {compared}.").format(digest=found, compared=compared))

    def _start_import(self, checked: bool = False) -> None:
        if self._import is not None:
            return
        with messages.shown_errors(_("The model could not be imported.")):
            file = Path(self._ui.weightsPathLineEdit.currentPath)
            if not is_file(file):
                raise SuperResolutionError(_("Choose the model file, whose name ends in .safetensors."))
            self._import = offline_wheels.ModelImport(file, self._ui.checksumLineEdit.text.strip())
            self._show_importing(True)
            self._timer = Repeated(_INTERVAL_MS, lambda: self._look(file.stem))

    def _look(self, name: str) -> None:
        if not self._import.is_over():
            return
        self._timer.stop()
        running, self._import = self._import, None
        self._show_importing(False)
        with messages.shown_errors(_("The model could not be imported.")):
            running.end()
            self._on_imported(name)
            self._ui.weightsLabel.text = _("The model {name} is installed.").format(name=name)

    def _show_importing(self, running: bool) -> None:
        button = self._ui.weightsButton
        button.enabled, button.text = not running, _("Importing...") if running else _("Import weights")


def _in_groups(text: str) -> str:
    """A text whose checksums are in groups of digits: in one piece, they are wider than the panel, and cut."""
    return re.sub(r"\b[0-9a-f]{64}\b", lambda digest: " ".join(re.findall(".{16}", digest[0])), text)
