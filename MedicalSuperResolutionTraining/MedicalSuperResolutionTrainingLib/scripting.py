"""The scripting interface of the module."""

from collections.abc import Callable
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.system.temp_dirs import try_writing
from MedicalSuperResolutionLib.setup import torch as torch_setup
from MedicalSuperResolutionTrainingLib import commands, curve, data_check
from MedicalSuperResolutionTrainingLib.background import BackgroundCommands
from MedicalSuperResolutionTrainingLib.training_process import TrainingProcess
from MedicalSuperResolutionTrainingLib.watched_run import WatchedRun

REQUIREMENTS = Path(__file__).parents[1] / "Resources" / "training-requirements.txt"


class Scripting(ScriptedLoadableModuleLogic):
    """Training without the panel.

    What cannot be done raises a medical_super_resolution.errors.SuperResolutionError, whose sentence says why.
    """

    def makeProcess(self) -> TrainingProcess:
        """A new runner of medsr-train in child processes; each task has its own."""
        raise NotImplementedError

    def train(
        self,
        recipe: str | Path,
        data: str | Path,
        run: str | Path,
        *,
        layout: str | None = None,
        steps: int | None = None,
        device: str = "auto",
    ) -> None:
        """Train in a child process, and wait for it while Slicer stays responsive.

        recipe: the name of a shipped recipe, or a file. data: a manifest, or with a layout ("volumes", "luna16", ...) a
        folder, which is prepared first. run: the folder of the run; a run that it holds already is continued.
        """
        choices = commands.Choices(
            recipe=str(recipe), data=Path(data), layout=layout, run=Path(run), steps=steps, device=device
        )
        self.makeProcess().run(_training(choices), slicer.app.processEvents)

    def export(self, run: str | Path, modelFile: str | Path, *, best: bool = True) -> None:
        """Write the model file of a run, and wait for it: of the weights that validated best, if it did validate."""
        self.makeProcess().run(_export(run, modelFile, best=best), slicer.app.processEvents)

    def start(
        self,
        choices: commands.Choices,
        *,
        onPoll: Callable[[], None],
        onEnd: Callable[[Exception | None], None],
    ) -> BackgroundCommands:
        """Start a training in a child process and return at once: see BackgroundCommands."""
        return BackgroundCommands(_training(choices), on_poll=onPoll, on_end=onEnd, process=self.makeProcess())

    def startExport(
        self,
        run: str | Path,
        modelFile: str | Path,
        *,
        best: bool,
        onPoll: Callable[[], None],
        onEnd: Callable[[Exception | None], None],
    ) -> BackgroundCommands:
        """Start to write the model file of a run and return at once."""
        written = _export(run, modelFile, best=best)
        return BackgroundCommands(written, on_poll=onPoll, on_end=onEnd, process=self.makeProcess())

    def showCurve(self, run: str | Path, quantity: str = curve.LOSS) -> slicer.vtkMRMLPlotChartNode:
        """Show the curve of a run in a plot view, also of one that was not started here; returns the chart node."""
        return WatchedRun(Path(run), 0).show(quantity)

    def useModel(self, modelFile: str | Path) -> None:
        """Choose a model file in the module that enhances."""
        from MedicalSuperResolution import MedicalSuperResolutionLogic

        MedicalSuperResolutionLogic().getParameterNode().model = str(Path(modelFile).absolute())


def _training(choices: commands.Choices) -> list[list[str]]:
    commands.checked(choices)
    torch_setup.ensure_engine()
    if data_check.holds_nifti(choices):
        torch_setup.ensure_packages(REQUIREMENTS)
    try:
        choices.run.mkdir(parents=True, exist_ok=True)
        try_writing(choices.run)
    except OSError as problem:
        message = _("nothing can be written into {folder}: {reason}; choose another folder for the run")
        raise SettingsError(message.format(folder=choices.run, reason=problem.strerror)) from problem
    return commands.training(choices)


def _export(run: str | Path, model_file: str | Path, *, best: bool) -> list[list[str]]:
    torch_setup.ensure_engine()
    return commands.export(Path(run), Path(model_file), best=best)
