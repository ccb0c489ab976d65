import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib import feedback, torch_setup
from MedicalSuperResolutionLib.watch import Watch
from MedicalSuperResolutionTrainingLib import commands, curve, panel, plot
from MedicalSuperResolutionTrainingLib.background import BackgroundCommands
from MedicalSuperResolutionTrainingLib.parameter_node import MedicalSuperResolutionTrainingParameterNode
from MedicalSuperResolutionTrainingLib.ties import ChoiceTie, PathTie
from MedicalSuperResolutionTrainingLib.training_process import TrainingProcess
from MedicalSuperResolutionTrainingLib.watched_run import WatchedRun

OUR_PACKAGES = ("MedicalSuperResolutionTrainingLib", "medical_super_resolution_training")


class MedicalSuperResolutionTraining(ScriptedLoadableModule):
    """Trains the networks of Medical Super-Resolution, in a process of its own. Without a window:

    PythonSlicer -m medical_super_resolution_training --help
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Medical Super-Resolution Training")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Developer Tools")]
        parent.dependencies = ["MedicalSuperResolution"]  # the networks live there
        parent.contributors = ["MedicalSuperResolution contributors"]
        parent.helpText = _(
            "Trains the networks of Medical Super-Resolution on your own volumes. Without a window: {command}"
        ).format(command="PythonSlicer -m medical_super_resolution_training --help")
        parent.acknowledgementText = _("For research. Not for diagnosis.")


class MedicalSuperResolutionTrainingWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. What is chosen lives in the parameter node; what it does, in the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTags = []
        self._watchedParameters = Watch(self._updatePanel)
        self._running = None
        self._recipe = self._quantity = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MedicalSuperResolutionTraining.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = MedicalSuperResolutionTrainingLogic()
        panel.choose_dialogs(self.ui)
        self._recipe, self._quantity = ChoiceTie(self.ui.recipeComboBox), ChoiceTie(self.ui.quantityComboBox)
        self._recipe.offer(commands.shipped_recipes(), other=_("From a file"))
        self._quantity.offer([curve.LOSS])
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneChanged)
        self.ui.startButton.connect("clicked(bool)", self.onStartButton)
        self.ui.curveButton.connect("clicked(bool)", self.onCurveButton)
        self.ui.exportButton.connect("clicked(bool)", self.onExportButton)
        self.ui.useButton.connect("clicked(bool)", self.onUseButton)
        self.initializeParameterNode()

    def cleanup(self):
        if self._running:
            self._running.abandon()
            self._running = None
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onReload(self):
        for name in [name for name in sys.modules if name.partition(".")[0] in OUR_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        if self._running:
            self._running.stop()
        self.setParameterNode(None)

    def onSceneChanged(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        for tag in self._guiTags:
            self._parameterNode.disconnectGui(tag)
        self._parameterNode, self._guiTags = parameterNode, []
        self._watchedParameters.follow(parameterNode)
        if parameterNode:
            paths = {
                "recipeFile": self.ui.recipePathLineEdit,
                "volumes": self.ui.volumesPathLineEdit,
                "manifest": self.ui.manifestPathLineEdit,
                "run": self.ui.runPathLineEdit,
                "model": self.ui.modelPathLineEdit,
            }
            ties = {"recipe": self._recipe, "quantity": self._quantity}
            ties.update((name, PathTie(edit)) for name, edit in paths.items())
            self._guiTags = [parameterNode.connectGui(self.ui), parameterNode.connectParametersToGui(ties)]
            self._updatePanel()

    def onStartButton(self, checked=False):
        if self._running:
            self._running.stop()
            return
        with feedback.shown_errors(_("The training could not be started.")):
            choices = self.logic.getParameterNode().choices()
            run = WatchedRun(choices.run, commands.checked(choices).steps)
            self._running = self.logic.start(
                choices, onLook=lambda: self._look(run), onEnd=lambda problem: self._onEnd(_("Done."), problem)
            )
            self._look(run)
        self._updatePanel()

    def onCurveButton(self, checked=False):
        with feedback.shown_errors(_("The curve could not be shown.")):
            chosen = self.logic.getParameterNode()
            self._offerQuantities(curve.read(Path(chosen.run)))
            self.logic.showCurve(chosen.run, chosen.quantity)

    def onExportButton(self, checked=False):
        with feedback.shown_errors(_("The model could not be exported.")):
            chosen = self.logic.getParameterNode()
            path = chosen.model_file()
            done = _("Written: {path}").format(path=path)
            self._running = self.logic.startExport(
                chosen.run,
                path,
                best=chosen.best,
                onLook=self._showLog,
                onEnd=lambda problem: self._onEnd(done, problem),
            )
            chosen.model = str(path)
            panel.show_export(self.ui)
        self._updatePanel()

    def onUseButton(self, checked=False):
        with feedback.shown_errors(_("The model could not be chosen.")):
            self.logic.useModel(self.logic.getParameterNode().model_file())
            slicer.util.selectModule("MedicalSuperResolution")

    def _updatePanel(self, caller=None, event=None):
        chosen, running = self._parameterNode, self._running is not None
        if chosen is None:
            return
        choices, description, obstacle = chosen.choices(), "", ""
        try:
            description = commands.describe(choices)
        except SuperResolutionError as problem:
            obstacle = feedback.sentence(problem)
        panel.show_choices(self.ui, chosen)
        panel.show_plan(self.ui, description, obstacle, running=running)
        panel.show_model(self.ui, has_run=self._hasRun(), has_model=chosen.model_file().is_file(), running=running)

    def _chosen(self):
        return self._parameterNode or self.logic.getParameterNode()

    def _hasRun(self):
        run = self._chosen().run
        return bool(run) and commands.holds_a_run(Path(run))

    def _look(self, run):
        chosen = self._chosen()
        run.look(chosen.quantity)
        self._offerQuantities(run.curves)
        panel.show_progress(self.ui, run.latest(chosen.quantity), chosen.quantity, run.steps, run.seconds_left())
        self._showLog()

    def _offerQuantities(self, curves):
        """List the columns that a run has; where it has not the one that was chosen, take its first."""
        names, chosen = curve.quantities(curves), self._chosen()
        if names:
            if chosen.quantity not in names:
                chosen.quantity = names[0]
            self._quantity.offer(names)

    def _showLog(self):
        if self._running:
            panel.show_log(self.ui, self._running.log)

    def _onEnd(self, done, problem):
        self._showLog()
        self._running = None
        panel.show_end(self.ui, done, problem, goes_on=self._hasRun())
        self._updatePanel()
        with feedback.shown_errors(_("The training failed.")):
            if problem is not None:
                raise problem


class MedicalSuperResolutionTrainingLogic(ScriptedLoadableModuleLogic):
    """Training without the panel, for scripts and the Python console."""

    def getParameterNode(self):
        return MedicalSuperResolutionTrainingParameterNode(super().getParameterNode())

    def train(self, recipe, data, run, *, layout=None, steps=None, device="auto"):
        """Train in a child process, and wait for it while Slicer goes on drawing.

        recipe: the name of a shipped recipe, or a file. data: a manifest, or with a layout ("volumes", "luna16", ...) a
        folder, which is prepared first. run: the folder of the run; one that holds a run already goes on with it.
        """
        choices = commands.Choices(
            recipe=str(recipe), data=Path(data), layout=layout, run=Path(run), steps=steps, device=device
        )
        TrainingProcess().run(self._training(choices), slicer.app.processEvents)

    def export(self, run, modelFile, *, best=True):
        """Write the model file of a run, and wait for it: of the weights that validated best, if it did validate."""
        TrainingProcess().run(self._export(run, modelFile, best), slicer.app.processEvents)

    def start(self, choices, *, onLook, onEnd):
        """Start a training in a child process and return at once: see BackgroundCommands."""
        return BackgroundCommands(self._training(choices), on_look=onLook, on_end=onEnd, process=TrainingProcess())

    def startExport(self, run, modelFile, *, best, onLook, onEnd):
        """Start to write the model file of a run and return at once."""
        written = self._export(run, modelFile, best)
        return BackgroundCommands(written, on_look=onLook, on_end=onEnd, process=TrainingProcess())

    def showCurve(self, run, quantity=curve.LOSS):
        """Show the curve of a run in a plot view, also of one that was not started here; returns the chart node."""
        return WatchedRun(Path(run), 0).show(quantity)

    def useModel(self, modelFile):
        """Choose a model file in the module that enhances."""
        from MedicalSuperResolution import MedicalSuperResolutionLogic

        MedicalSuperResolutionLogic().getParameterNode().model = str(Path(modelFile).absolute())

    def _training(self, choices):
        commands.checked(choices)
        torch_setup.ensure_engine()
        choices.run.mkdir(parents=True, exist_ok=True)
        return commands.training(choices)

    def _export(self, run, modelFile, best):
        torch_setup.ensure_engine()
        return commands.export(Path(run), Path(modelFile), best=best)


class MedicalSuperResolutionTrainingTest(ScriptedLoadableModuleTest):
    """Neither network, main window nor torch is needed."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_the_shipped_recipes_can_be_read(self):
        from medical_super_resolution_training.recipes import read_recipe, shipped

        self.assertTrue(shipped())
        for path in shipped():
            self.assertGreater(read_recipe(path, []).steps, 0)

    def test_a_curve_is_drawn_into_the_scene(self):
        curves = {"step": [50.0, 100.0], "loss": [0.5, 0.25]}
        chart = plot.draw(slicer.mrmlScene, curves, "loss", "My run")
        table = chart.GetPlotSeriesNode().GetTableNode().GetTable()
        self.assertEqual([table.GetColumnByName("loss").GetValue(row) for row in (0, 1)], [0.5, 0.25])

    def test_the_panel_says_what_is_missing(self):
        widget = slicer.util.getModuleWidget("MedicalSuperResolutionTraining")
        widget.enter()
        self.assertFalse(widget.ui.startButton.enabled)
        self.assertIn("hoose the data first", widget.ui.startButton.toolTip)
