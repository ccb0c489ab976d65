"""Several volumes enhanced one after the other, by one process of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import Cancelled, VolumeError
from medical_super_resolution.settings import EnhanceSettings
from MedicalSuperResolutionLib.engine.background import BackgroundRun, EnhanceTask
from MedicalSuperResolutionLib.process.runner import Runner


@dataclass
class Item:
    """One volume of a queue.

    Parameters
    ----------
    node
        None where the item is over: it would keep the voxels of a volume that leaves the scene.
    settings
        None where the volume cannot be read, and the settings depend on it.
    name
        Of the volume.
    part
        Fraction of the work done, 0 to 1.
    stage
        The part of the work that the engine is at, by its own name; empty while it waits.
    result
        Name of the new volume; empty where there is none.
    problem
        Why there is none; `Cancelled` where the user took it out.
    """

    node: vtkMRMLScalarVolumeNode | None
    settings: EnhanceSettings | None
    name: str
    part: float = 0.0
    stage: str = ""
    result: str = ""
    problem: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether the item is done, failed or cancelled."""
        return self.node is None

    def end(self, result: vtkMRMLScalarVolumeNode | None, problem: Exception | None) -> None:
        """Note how it ended."""
        self.node, self.result = None, "" if result is None else result.GetName()
        self.problem = None if problem is None else problem.with_traceback(None)  # it would keep the node, too


class Queue:
    """Runs its items in their order. A failure of one does not stop the others.

    Attributes
    ----------
    items
        All of them, also those that are over.
    """

    def __init__(
        self,
        nodes: Sequence[vtkMRMLScalarVolumeNode],
        settings: Callable[[vtkMRMLScalarVolumeNode], EnhanceSettings],
        runner: Runner,
        on_change: Callable[[], None],
        on_result: Callable[[vtkMRMLScalarVolumeNode], None],
    ) -> None:
        """Start with the first volume.

        Parameters
        ----------
        settings
            Gives those of a node, all of them now. Its `VolumeError` is one of that volume alone.
        on_change
            Called when an item has got further.
        on_result
            Called with what was made of a volume.
        """
        self.items = [_item(node, settings) for node in nodes]
        self._runner = runner
        self._on_change, self._on_result = on_change, on_result
        self._current: BackgroundRun | None = None
        self._go_on()

    @property
    def is_running(self) -> bool:
        """Whether an item is left."""
        return not all(item.is_over for item in self.items)

    def cancel(self, items: Sequence[Item] | None = None) -> None:
        """Cancel items, or all of them for None. The running one is stopped, and the next one starts."""
        waiting = [item for item in (self.items if items is None else items) if not item.is_over]
        running = next((item for item in self.items if not item.is_over), None)
        for item in waiting:
            item.end(None, Cancelled())
        if running in waiting and self._current is not None:
            self._current.cancel()
        self._on_change()

    def abandon(self) -> None:
        """Stop silently, because the panel is closed."""
        if self._current is not None:
            self._current.abandon()
            self._current = None
        self.items = []

    def _go_on(self) -> None:
        self._current = None
        for item in self.items:
            if item.is_over:
                continue
            try:
                self._current = BackgroundRun(
                    item.node,
                    EnhanceTask(item.node, item.settings),
                    on_progress=lambda done, total, item=item: self._progress(item, done / max(total, 1)),
                    on_end=lambda node, problem, item=item: self._end(item, node, problem),
                    runner=self._runner,
                    keeps_process=True,
                )
            except Exception as problem:  # a timer has no caller to raise to; the item shows it, whatever it is
                item.end(None, problem)
                continue
            return
        self._runner.close()

    def _progress(self, item: Item, part: float) -> None:
        item.part, item.stage = part, self._runner.stage
        self._on_change()

    def _end(self, item: Item, node: vtkMRMLScalarVolumeNode | None, problem: Exception | None) -> None:
        item.end(node, problem)
        self._go_on()
        self._on_change()
        if node is not None:
            self._on_result(node)


def _item(node: vtkMRMLScalarVolumeNode, settings: Callable[[vtkMRMLScalarVolumeNode], EnhanceSettings]) -> Item:
    item = Item(node, None, node.GetName())
    try:
        item.settings = settings(node)
    except VolumeError as problem:
        item.end(None, problem)
    return item
