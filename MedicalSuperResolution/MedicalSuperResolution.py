import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib.engine import enhancement
from MedicalSuperResolutionLib.engine.runner import Runner
from MedicalSuperResolutionLib.engine.scripting import Scripting
from MedicalSuperResolutionLib.panel import MedicalSuperResolutionSubjectHierarchyPlugin as data_menu
from MedicalSuperResolutionLib.panel import display, messages
from MedicalSuperResolutionLib.panel.choices import Goal
from MedicalSuperResolutionLib.panel.module_widget import ModuleWidget
from MedicalSuperResolutionLib.panel.observers import Observer
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.panel.sections.compare import CompareSection
from MedicalSuperResolutionLib.panel.sections.dicom import DicomSection
from MedicalSuperResolutionLib.panel.sections.model import ModelSelector
from MedicalSuperResolutionLib.panel.sections.queue import QueueSection
from MedicalSuperResolutionLib.panel.sections.result import ResultSection
from MedicalSuperResolutionLib.panel.sections.setup import SetupSection
from MedicalSuperResolutionLib.scene import region, sample_data
from MedicalSuperResolutionLib.setup import torch as torch_setup
from MedicalSuperResolutionLib.setup.self_check import SelfCheck


class MedicalSuperResolution(ScriptedLoadableModule):
    """Thin slices from thick ones, with the measured data kept. For research. Not for diagnosis."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Medical Super-Resolution")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        parent.contributors = ["MedicalSuperResolution contributors"]
        parent.helpText = _("Makes thick-slice CT and MR volumes finer, and keeps the measured data.")
        parent.acknowledgementText = _("For research. Not for diagnosis.")
        slicer.app.connect("startupCompleted()", display.register_layouts)
        slicer.app.connect("startupCompleted()", sample_data.register)
        slicer.app.connect("startupCompleted()", data_menu.register)


class MedicalSuperResolutionWidget(ModuleWidget):
    """The panel. What it shows and stores lives in the parameter node; what it does, in the logic."""

    ourPackages = (
        "MedicalSuperResolutionLib",
        "medical_super_resolution",
        "MedicalSuperResolutionTrainingLib",  # built on these two: it would go on with the old ones
        "medical_super_resolution_training",
    )

    def __init__(self, parent=None):
        super().__init__(parent)
        self._watchedInput, self._watchedRegion = Observer(self._updatePanel), Observer(self._updatePanel)
        self._enhancement = self._timeLeft = None
        self._compare = self._result = self._queue = self._dicom = self._selfCheck = self._setup = None

    def setup(self):
        super().setup()
        self.logic = MedicalSuperResolutionLogic()
        self._compare = CompareSection(self.ui, self._choices)
        self._result = ResultSection(self.ui, self._choices, self._onDelete)
        self._queue = QueueSection(self.ui, lambda: self._choices().settings(), lambda: Runner(), self._onQueue)
        self._dicom = DicomSection(self.ui, self._choices)
        self.ui.enhanceButton.connect("clicked(bool)", self.onEnhanceButton)
        self.ui.regionSelector.connect("nodeAddedByUserAction(vtkMRMLNode*)", self.onRegionAdded)
        self._selfCheck = SelfCheck(self.ui, lambda: self._choices().engine_settings(), lambda: Runner())
        self._setup = SetupSection(self.ui, self._onModelImported)
        self.followScene()

    def cleanup(self):
        if self._enhancement:
            self._enhancement.abandon()
            self._enhancement = None
        for section in filter(None, (self._queue, self._selfCheck, self._setup)):  # setup may have failed before
            section.abandon()
        if self._compare:
            self._compare.exit()
        super().cleanup()

    def followScene(self):
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(scene, event, self.onSceneContentChanged)
        super().followScene()

    def onSceneStartClose(self, caller, event):
        self.ui.statusLabel.text = ""
        if self._enhancement:
            self._enhancement.cancel()
        self._queue.abandon()
        self._compare.exit()
        super().onSceneStartClose(caller, event)

    def onSceneContentChanged(self, caller, event):
        if self._parameterNode is not None and not slicer.mrmlScene.IsBatchProcessing():
            self._parameterNode.choose_input()

    def setParameterNode(self, parameterNode):
        self._watchedInput.follow(None)
        self._watchedRegion.follow(None)
        if parameterNode:
            parameterNode.choose_input()
        super().setParameterNode(parameterNode)
        if parameterNode:
            self._compare.resume()

    def onEnhanceButton(self, checked=False):
        if self._enhancement:
            self._enhancement.cancel()
            return
        with messages.shown_errors(_("The enhancement could not be started.")):
            chosen = self._parameterNode
            self._timeLeft = messages.TimeLeft()
            self._enhancement = self.logic.start(
                chosen.inputVolume,
                chosen.settings(),
                outputVolume=chosen.outputVolume,
                roi=chosen.region,
                onProgress=self._showProgress,
                onEnd=self._onEnd,
            )
            self._showProgress(0, 1)
        self._updatePanel()

    def onRegionAdded(self, roi):
        region.lay_over(roi, self._parameterNode.inputVolume)

    def enhanceThroughPlane(self, volumes):
        """What "Enhance through-plane" in the module Data does: one volume is enhanced at once, several in a queue."""
        chosen = self._choices()
        chosen.goal = Goal.ISOTROPIC
        if len(volumes) == 1 and not self._enhancement and not self._queue.is_running:
            chosen.inputVolume = volumes[0]
            self.onEnhanceButton()
        elif not self._queue.is_running:
            self._queue.start(volumes)

    def _choices(self):
        return self._parameterNode or self.logic.getParameterNode()

    def _onModelImported(self, name):
        self.initializeParameterNode()  # lists the models anew
        if self.ui.modelComboBox.findData(name) >= 0:  # not the mere detail model of another
            self._parameterNode.model = name

    def _connectors(self):
        return {"model": ModelSelector(self.ui.modelComboBox)}

    def _updatePanel(self, caller=None, event=None):
        chosen = self._parameterNode
        if chosen is None:
            return
        self._watchedInput.follow(chosen.inputVolume)
        self._watchedRegion.follow(chosen.region)
        display.show_choices(self.ui, chosen)
        if chosen.inputVolume is None and not self._enhancement:
            display.show_untouched(self.ui)
        else:
            self._showPlan(chosen)
        for section in (self._compare, self._result, self._dicom):
            section.show()

    def _showPlan(self, chosen):
        foreseen, obstacle = None, _("Several volumes are being enhanced.") if self._queue.is_running else ""
        try:
            foreseen = enhancement.outlook(chosen.inputVolume, chosen.settings(), chosen.outputVolume, chosen.region)
        except SuperResolutionError as problem:
            obstacle = messages.sentence(problem)
        display.show_plan(self.ui, foreseen, obstacle, running=self._enhancement is not None)

    def _showProgress(self, done, total):
        display.show_progress(self.ui, done, total, self._timeLeft.sentence(done, total))

    def _onEnd(self, node, problem):
        source, self._enhancement = self._enhancement.source, None
        display.show_end(self.ui, node, problem)
        if node is not None:
            chosen = self.logic.getParameterNode()
            chosen.resultSource, chosen.resultVolume = source, node
            display.show_volume(node)
        self._updatePanel()
        with messages.shown_errors(_("The volume could not be enhanced.")):
            if problem is not None:
                raise problem
            self._compare.renew(source, node)
            if segmentation := self.logic.getParameterNode().segmentation:
                self.logic.refine_segmentation(segmentation, source, node)

    def _onQueue(self, source, node):
        """Let the latest result of the queue be compared."""
        chosen = self.logic.getParameterNode()
        chosen.resultSource, chosen.resultVolume = source, node
        self._updatePanel()

    def _onDelete(self, source):
        self._compare.exit()
        self.ui.statusLabel.text = ""
        if source is not None and source.GetScene() is not None:
            display.show_volume(source)
        self._updatePanel()


class MedicalSuperResolutionLogic(Scripting):
    """Enhancing without the panel, for scripts and the Python console: see Scripting."""

    def getParameterNode(self):
        return MedicalSuperResolutionParameterNode(super().getParameterNode())

    def makeRunner(self):
        return Runner()


class MedicalSuperResolutionTest(ScriptedLoadableModuleTest):
    """Needs neither network nor main window; where torch is missing, it tests that this is said."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def thickVolume(self):
        import numpy as np

        k, j, i = np.meshgrid(*(np.arange(count) for count in (8, 24, 20)), indexing="ij")
        array = (100 * np.sin(i / 3) + 100 * np.cos(j / 4) + 50 * k).astype(np.int16)
        return slicer.util.addVolumeFromArray(array, np.diag([1.0, 1.0, 3.0, 1.0]), "Thick")

    def test_a_volume_is_enhanced_or_it_is_said_what_is_missing(self):
        volumeNode, logic = self.thickVolume(), MedicalSuperResolutionLogic()
        try:
            torch_setup.ensure_engine()
        except SuperResolutionError as missing:
            self.assertIn("not installed", str(missing))
            self.assertRaises(SuperResolutionError, logic.enhance, volumeNode)
            self.assertEqual(len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")), 1)
            return
        result = logic.enhance(volumeNode, device="cpu")
        self.assertEqual(result.GetName(), "Thick 1 mm")
        self.assertEqual(result.GetImageData().GetDimensions(), (20, 24, 24))
        self.assertEqual(result.GetSpacing(), (1.0, 1.0, 1.0))

    def test_the_panel_says_what_enhance_will_do(self):
        self.thickVolume()
        widget = slicer.util.getModuleWidget("MedicalSuperResolution")
        widget.enter()
        self.assertTrue(widget.ui.enhanceButton.enabled)
        self.assertIn("becomes 20x24x24 at 1.00x1.00x1.00 mm", widget.ui.descriptionLabel.text)
        slicer.mrmlScene.Clear()
        widget.enter()
        self.assertFalse(widget.ui.enhanceButton.enabled)
        self.assertIn("Load a volume first", widget.ui.enhanceButton.toolTip)
