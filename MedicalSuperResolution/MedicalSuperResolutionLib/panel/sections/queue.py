"""The section Several volumes of the panel: a queue with the progress of each volume."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import qt
from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine.queue import Item, Queue
from MedicalSuperResolutionLib.panel import display
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.process.runner import Runner
from MedicalSuperResolutionLib.setup import torch as torch_setup
from MedicalSuperResolutionLib.translation import tr as _


class QueueSection:
    """Controls the list of volumes and the buttons below it."""

    def __init__(
        self,
        ui: SimpleNamespace,
        choices: Callable[[], MedicalSuperResolutionParameterNode],
        make_runner: Callable[[], Runner],
        on_result: Callable[[vtkMRMLScalarVolumeNode], None],
        is_other_running: Callable[[], bool],
        on_running: Callable[[], None],
    ) -> None:
        """Fill the table and connect the buttons.

        Parameters
        ----------
        choices
            Gives the parameter node of the scene; those at the start hold for all volumes.
        make_runner
            Called when the queue starts.
        on_result
            See `Queue`.
        is_other_running
            Whether the engine works on something else.
        on_running
            Called when the queue has begun or ended.
        """
        self._ui, self._choices, self._make_runner, self._on_result = ui, choices, make_runner, on_result
        self._is_other_running, self._on_running = is_other_running, on_running
        self._was_running, self._purpose = False, ui.queueButton.toolTip
        self.queue: Queue | None = None
        ui.queueTable.setHorizontalHeaderLabels([_("Volume"), _("Progress")])
        ui.queueTable.horizontalHeader().setStretchLastSection(True)
        ui.queueTable.verticalHeader().hide()
        ui.queueSelector.connect("checkedNodesChanged()", self.show)
        ui.queueButton.connect("clicked(bool)", self._start_checked)
        ui.cancelOneButton.connect("clicked(bool)", self._cancel_selected)
        ui.cancelAllButton.connect("clicked(bool)", self._cancel_all)

    @property
    def is_running(self) -> bool:
        """Whether volumes are being enhanced."""
        return self.queue is not None and self.queue.is_running

    @property
    def busy_with(self) -> str:
        """That volumes are being enhanced, as a sentence; empty where none is."""
        return _("Several volumes are being enhanced.") if self.is_running else ""

    def start(self, nodes: Sequence[vtkMRMLScalarVolumeNode]) -> None:
        """Enhance these volumes, as the panel is set."""
        with messages.shown_errors(_("The volumes could not be enhanced.")):
            if not nodes:  # the list does not report checked volumes that left the scene
                raise SuperResolutionError(_("Check a volume first."))
            torch_setup.ensure_engine()
            self._ui.queueCollapsibleButton.collapsed = False
            self.queue = Queue(nodes, self._choices().settings, self._make_runner(), self.show, self._on_result)
            display.show_status(self._ui, "")  # of an earlier run
        self.show()

    def abandon(self) -> None:
        """End what is running."""
        if self.queue is not None:
            self.queue.abandon()
            self.queue = None

    def show(self) -> None:
        """Show how far each volume is, and what can be done."""
        ui, items = self._ui, self.queue.items if self.queue else []
        free = not self.is_running and not self._is_other_running()
        checked = bool(ui.queueSelector.checkedNodes())
        ui.queueNoteLabel.text = _what_does_not_count(self._choices()) if checked else ""
        ui.queueNoteLabel.visible = bool(ui.queueNoteLabel.text)
        ui.queueButton.enabled = checked and free
        ui.queueButton.toolTip = self._purpose if checked else _("Check a volume first.")
        ui.cancelOneButton.enabled = ui.cancelAllButton.enabled = self.is_running
        table = ui.queueTable
        table.visible = bool(items)
        if table.rowCount != len(items):
            table.rowCount = len(items)
            for row in range(len(items)):
                for column in range(2):
                    table.setItem(row, column, qt.QTableWidgetItem(""))
        for row, item in enumerate(items):
            for column, text in enumerate((item.name, _progress(item))):
                table.item(row, column).setText(text)
                table.item(row, column).setToolTip(text)  # what is cut in a narrow panel
        if self._was_running != self.is_running:
            self._was_running = self.is_running
            self._on_running()

    def _start_checked(self, checked: bool = False) -> None:
        self.start(list(self._ui.queueSelector.checkedNodes()))

    def _cancel_selected(self, checked: bool = False) -> None:
        rows = {item.row() for item in self._ui.queueTable.selectedItems()}
        self.queue.cancel([self.queue.items[row] for row in rows])

    def _cancel_all(self, checked: bool = False) -> None:
        self.queue.cancel()


def _what_does_not_count(chosen: MedicalSuperResolutionParameterNode) -> str:
    """The choices for the single input volume; empty where none is made."""
    for_one = (
        (chosen.region, _("region")),
        (chosen.segmentation, _("segmentation")),
        (chosen.outputVolume, _("output volume")),
    )
    names = ", ".join(name for node, name in for_one if node)
    return _("Not used here, but for a single volume only: {names}.").format(names=names) if names else ""


def _progress(item: Item) -> str:
    if item.result:
        return _("done: {name}").format(name=item.result)
    if isinstance(item.problem, Cancelled):
        return _("cancelled")
    if item.problem is not None:
        return messages.sentence(item.problem)
    if item.part:
        return _("{percent} %").format(percent=round(100 * item.part))
    return _("{what}...").format(what=messages.stage_words(item.stage)) if item.stage else _("waiting")
