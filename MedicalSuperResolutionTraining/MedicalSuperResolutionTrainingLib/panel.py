"""Contents of the training panel's widgets. ``ui`` has them as attributes, by the names in the .ui file."""

import re
from collections.abc import Sequence
from types import SimpleNamespace

import ctk
import qt
from slicer.i18n import tr as _

from medical_super_resolution.errors import Cancelled
from MedicalSuperResolutionLib.messages import duration, sentence
from MedicalSuperResolutionTrainingLib.parameter_node import DataKind, MedicalSuperResolutionTrainingParameterNode

_PREPARING = re.compile(r"preparing +(\d+)%")  # as medsr-train prints it
_PREPARED = 100  # percent
_HEADER = re.compile(r" parameters\b.*; volumes: ")  # of a training, as medsr-train prints it


def choose_dialogs(ui: SimpleNamespace) -> None:
    """Say what the buttons beside the paths look for: a file, a folder, or a file to write."""
    kinds = ctk.ctkPathLineEdit
    for edit in (ui.recipePathLineEdit, ui.manifestPathLineEdit):
        edit.filters = kinds.Files
    for edit in (ui.volumesPathLineEdit, ui.runPathLineEdit):
        edit.filters = kinds.Dirs
    ui.modelPathLineEdit.filters = kinds.Files | kinds.Writable


def show_choices(
    ui: SimpleNamespace, chosen: MedicalSuperResolutionTrainingParameterNode, recipe: str, data: str
) -> None:
    """Show the boxes that the choices need, and hide the others; and the lines about recipe and data, where known."""
    for label, text in ((ui.recipeInfoLabel, recipe), (ui.dataCheckLabel, data)):
        label.text, label.visible = text, bool(text)
    from_file, from_manifest = not chosen.recipe, chosen.dataKind is DataKind.MANIFEST
    for widget in (ui.recipeFileLabel, ui.recipePathLineEdit):
        widget.visible = from_file
    for widget in (ui.volumesLabel, ui.volumesPathLineEdit):
        widget.visible = not from_manifest
    for widget in (ui.manifestLabel, ui.manifestPathLineEdit):
        widget.visible = from_manifest


def show_plan(ui: SimpleNamespace, description: str, obstacle: str, *, running: bool) -> None:
    """Show what Start will do, or what stands in its way. While something runs, the button stops it."""
    ui.descriptionLabel.text = description or obstacle
    ui.trainingCollapsibleButton.enabled = not running
    button = ui.startButton
    button.enabled = running or not obstacle
    if running:
        button.text = _("Stop")
        button.toolTip = _("Stop; started again, the run continues from its latest checkpoint.")
    else:
        button.text = _("Start")
        button.toolTip = obstacle or _("Train; Slicer stays usable, and leaving Slicer or the scene stops it.")
    ui.progressBar.visible = running


def show_model(ui: SimpleNamespace, *, has_run: bool, has_model: bool, running: bool) -> None:
    """Offer to export where a run has a checkpoint, and to use what was exported."""
    export, use = ui.exportButton, ui.useButton
    export.enabled, use.enabled = has_run and not running, has_model and not running
    if running:
        export.toolTip = use.toolTip = _("Wait for the training, or stop it first.")
        return
    no_run = _("There is no checkpoint in the folder of the run yet: train first.")
    no_model = _("There is no such model file yet: export it first.")
    export.toolTip = _("Write the model file that Enhance and medsr load.") if has_run else no_run
    use.toolTip = _("Open the module that enhances, with this model chosen.") if has_model else no_model


def show_progress(
    ui: SimpleNamespace,
    latest: tuple[int, float] | None,
    quantity: str,
    steps: int,
    seconds: float | None,
    log: Sequence[str] = (),
    problem: str = "",
) -> None:
    """Show progress, the time left and a problem with drawing; above the button, the network, volumes and device."""
    header = next(filter(_HEADER.search, log), "")
    if header:
        ui.descriptionLabel.text = header
    if latest is None:
        _show_start(ui, next((found for line in reversed(log) if (found := _PREPARING.match(line))), None))
        return
    step, value = latest
    ui.progressBar.maximum, ui.progressBar.value = max(steps, 1), min(step, steps)
    text = _("Step {step:,} of {steps:,}, {quantity} {value:.4g}").format(
        step=step, steps=steps, quantity=quantity, value=value
    )
    if seconds is not None:
        text = _("{text}, about {duration} left").format(text=text, duration=duration(seconds))
    ui.statusLabel.text = _("{text}. {problem}").format(text=text, problem=problem) if problem else text


def _show_start(ui: SimpleNamespace, preparing: re.Match[str] | None) -> None:
    """Show how far the preparation of the volumes is; there is none, or it is over, while the training starts."""
    percent = int(preparing[1]) if preparing else _PREPARED
    ui.progressBar.maximum = _PREPARED if percent < _PREPARED else 0  # a bar that only moves
    if percent < _PREPARED:
        ui.progressBar.value = percent
        ui.statusLabel.text = _("Preparing the volumes, {percent} %").format(percent=percent)
    else:
        ui.statusLabel.text = _("Starting...")


def show_export(ui: SimpleNamespace) -> None:
    """Say that the model file is being written."""
    ui.progressBar.maximum = 0
    ui.statusLabel.text = _("Writing the model file...")


def show_log(ui: SimpleNamespace, lines: Sequence[str]) -> None:
    """Show what medsr-train has printed, the end of it."""
    text = "\n".join(lines)
    if ui.logTextEdit.plainText != text:
        ui.logTextEdit.plainText = text
        ui.logTextEdit.moveCursor(qt.QTextCursor.End)


def stopped_training(*, can_continue: bool) -> str:
    """The sentence for a training that was stopped. ``can_continue`` : whether there is a checkpoint."""
    resumable, lost = _("Start it again to continue from its latest checkpoint."), _("There is no checkpoint yet.")
    return _("Stopped. {again}").format(again=resumable if can_continue else lost)


def show_end(ui: SimpleNamespace, done: str, stopped: str, problem: Exception | None) -> None:
    """Show how a run or an export ended: ``done``, ``stopped`` by the user, or with a problem."""
    if problem is None:
        ui.statusLabel.text = done
    elif isinstance(problem, Cancelled):
        ui.statusLabel.text = stopped
    else:
        ui.statusLabel.text = sentence(problem)
