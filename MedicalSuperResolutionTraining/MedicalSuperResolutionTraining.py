import logging
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.system.paths import is_file
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.panel.choices import forget_unknown
from MedicalSuperResolutionLib.panel.connectors import ChoiceConnector, PathConnector
from MedicalSuperResolutionLib.panel.module_widget import ModuleWidget
from MedicalSuperResolutionLib.translation import translated
from MedicalSuperResolutionTrainingLib import commands, curve, data_check, panel, plot
from MedicalSuperResolutionTrainingLib.parameter_node import MedicalSuperResolutionTrainingParameterNode
from MedicalSuperResolutionTrainingLib.scripting import Scripting
from MedicalSuperResolutionTrainingLib.training_process import TrainingProcess
from MedicalSuperResolutionTrainingLib.watched_run import SamplePicture, WatchedRun


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


class MedicalSuperResolutionTrainingWidget(ModuleWidget):
    """The panel. Choices are stored in the parameter node; the work is done by the logic."""

    ourPackages = ("MedicalSuperResolutionTrainingLib", "medical_super_resolution_training")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._running, self._drawingProblem = None, ""
        self._recipe = self._quantity = self._sample = None

    def setup(self):
        super().setup()
        self.logic = MedicalSuperResolutionTrainingLogic()
        panel.choose_dialogs(self.ui)
        self._sample = SamplePicture(self.ui.sampleLabel)
        self._recipe, self._quantity = (
            ChoiceConnector(self.ui.recipeComboBox),
            ChoiceConnector(self.ui.quantityComboBox),
        )
        self._recipe.offer(commands.shipped_recipes(), other=_("From a file"))
        self._quantity.offer([curve.LOSS])
        self.ui.startButton.connect("clicked(bool)", self.onStartButton)
        self.ui.curveButton.connect("clicked(bool)", self.onCurveButton)
        self.ui.exportButton.connect("clicked(bool)", self.onExportButton)
        self.ui.useButton.connect("clicked(bool)", self.onUseButton)
        self.followScene()

    def cleanup(self):
        if self._running:
            self._running.abandon()
            self._running = None
        super().cleanup()

    def onSceneStartClose(self, caller, event):
        if self._running:
            self._running.stop()
        self._sample.hide()  # the curve leaves with the scene, and the new one names no run
        super().onSceneStartClose(caller, event)

    def onStartButton(self, checked=False):
        if self._running:
            self._running.stop()
            return
        with messages.shown_errors(_("The training could not be started.")):
            choices = self.logic.getParameterNode().choices()
            run = WatchedRun(choices.run, commands.checked(choices).steps)
            self._running = self.logic.start(choices, onPoll=lambda: self._showProgress(run), onEnd=self._onTrainingEnd)
            self._showProgress(run)
        self._updatePanel()

    def onCurveButton(self, checked=False):
        with messages.shown_errors(_("The curve could not be shown.")):
            chosen = self.logic.getParameterNode()
            self._offerQuantities(curve.read(chosen.run_folder()))
            self.logic.showCurve(chosen.run_folder(), chosen.quantity)
            self._sample.show(chosen.run_folder())

    def onExportButton(self, checked=False):
        with messages.shown_errors(_("The model could not be exported.")):
            chosen = self.logic.getParameterNode()
            path = chosen.model_file()
            if chosen.model and is_file(path) and not _mayReplace(path):
                return
            done, stopped = _("Written: {path}").format(path=path), _("Stopped. No model file was written.")
            self._running = self.logic.startExport(
                chosen.run_folder(),
                path,
                best=chosen.best,
                onPoll=self._showLog,
                onEnd=lambda problem: self._onEnd(done, stopped, problem),
            )
            panel.show_export(self.ui)
        self._updatePanel()

    def onUseButton(self, checked=False):
        with messages.shown_errors(_("The model could not be chosen.")):
            self.logic.useModel(self.logic.getParameterNode().model_file())
            slicer.util.selectModule("MedicalSuperResolution")

    def _connectors(self):
        return {
            "recipe": self._recipe,
            "quantity": self._quantity,
            "recipeFile": PathConnector(self.ui.recipePathLineEdit),
            "volumes": PathConnector(self.ui.volumesPathLineEdit),
            "manifest": PathConnector(self.ui.manifestPathLineEdit),
            "run": PathConnector(self.ui.runPathLineEdit),
            "model": PathConnector(self.ui.modelPathLineEdit),
        }

    def _updatePanel(self, caller=None, event=None):
        chosen, running = self._parameterNode, self._running is not None
        if chosen is None:
            return
        choices, description, data, obstacle = chosen.choices(), "", "", ""
        try:
            data = data_check.data_line(choices, commands.recipe_for_data(choices))
            description = commands.describe(choices)
        except SuperResolutionError as problem:
            obstacle = messages.sentence(problem)
        panel.show_choices(self.ui, chosen, data_check.explained(choices.recipe), data)
        panel.show_plan(self.ui, description, obstacle, running=running)
        self._sample.hide_unless_of(choices.run)
        panel.show_model(self.ui, has_run=self._hasRun(), has_model=is_file(chosen.model_file()), running=running)

    def _chosen(self):
        return self._parameterNode or self.logic.getParameterNode()

    def _hasRun(self):
        run = self._chosen().run_folder()
        return run != Path() and commands.holds_a_run(run)

    def _showProgress(self, run):
        chosen = self._chosen()
        problem = self._draw(run, chosen.quantity)
        self._offerQuantities(run.curves)
        log = self._running.log if self._running else ()
        latest = run.latest(chosen.quantity)
        panel.show_progress(self.ui, latest, chosen.quantity, run.steps, run.seconds_left(), log, problem)
        self._showLog()

    def _draw(self, run, quantity):
        """Draw curve and picture; a problem with them is shown as a sentence and does not end the training."""
        sentence = ""
        try:
            run.update(quantity, is_watched=self._parameterNode is not None)  # else another module is open
            self._sample.show(run.folder)
        except Exception as problem:
            sentence = _("The training continues, but cannot be drawn: {problem}").format(
                problem=translated(str(problem))
            )
            if sentence != self._drawingProblem:
                logging.exception("A training could not be drawn.")
        self._drawingProblem = sentence
        return sentence

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

    def _onTrainingEnd(self, problem):
        self._onEnd(_("Done."), panel.stopped_training(can_continue=self._hasRun()), problem)

    def _onEnd(self, done, stopped, problem):
        self._showLog()
        self._running = None
        panel.show_end(self.ui, done, stopped, problem)
        self._updatePanel()
        with messages.shown_errors(_("The training failed.")):
            if problem is not None:
                raise problem


def _mayReplace(path):
    question = _("{path} is there already, and may be the model of another run. Replace it?").format(path=path)
    return slicer.util.confirmYesNoDisplay(question)


class MedicalSuperResolutionTrainingLogic(Scripting):
    """Training without the panel, for scripts and the Python console: see Scripting."""

    def getParameterNode(self):
        node = super().getParameterNode()
        forget_unknown(node, MedicalSuperResolutionTrainingParameterNode)
        return MedicalSuperResolutionTrainingParameterNode(node)

    def makeProcess(self):
        return TrainingProcess()


class MedicalSuperResolutionTrainingTest(ScriptedLoadableModuleTest):
    """Neither network, main window nor torch is needed."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_the_shipped_recipes_can_be_read(self):
        from medical_super_resolution_training.config.recipes import read_recipe, shipped

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
