import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib.engine import enhancement
from MedicalSuperResolutionLib.engine.runner import Runner
from MedicalSuperResolutionLib.engine.scripting import Scripting
from MedicalSuperResolutionLib.panel import layouts as panel
from MedicalSuperResolutionLib.panel import messages as feedback
from MedicalSuperResolutionLib.panel.module_widget import ModuleWidget
from MedicalSuperResolutionLib.panel.observers import Watch
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.panel.sections.compare import CompareSection
from MedicalSuperResolutionLib.panel.sections.dicom import DicomSection
from MedicalSuperResolutionLib.panel.sections.model import ModelSelector
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
        parent.dependencies = []
        parent.contributors = ["MedicalSuperResolution contributors"]
        parent.helpText = _("Makes thick-slice CT and MR volumes finer, and keeps the measured data.")
        parent.acknowledgementText = _("For research. Not for diagnosis.")
        slicer.app.connect("startupCompleted()", panel.register_layouts)
        slicer.app.connect("startupCompleted()", sample_data.register)


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
        self._watchedInput = Watch(self._updatePanel)  # a volume enters the scene before its voxels do
        self._watchedRegion = Watch(self._updatePanel)
        self._enhancement = None
        self._timeLeft = None
        self._compare = None
        self._dicom = None
        self._selfCheck = None
        self._setup = None

    def setup(self):
        super().setup()
        self.logic = MedicalSuperResolutionLogic()
        self._compare = CompareSection(self.ui, lambda: self._parameterNode or self.logic.getParameterNode())
        self._dicom = DicomSection(self.ui, lambda: self._parameterNode or self.logic.getParameterNode())
        self.ui.enhanceButton.connect("clicked(bool)", self.onEnhanceButton)
        self.ui.regionSelector.connect("nodeAddedByUserAction(vtkMRMLNode*)", self.onRegionAdded)
        self._selfCheck = SelfCheck(self.ui, lambda: self._parameterNode.engine_settings(), lambda: Runner())
        self._setup = SetupSection(self.ui, self._onModelImported)
        self.followScene()

    def cleanup(self):
        if self._enhancement:
            self._enhancement.abandon()
            self._enhancement = None
        for section in filter(None, (self._selfCheck, self._setup)):  # setup may have failed before it made them
            section.abandon()
        if self._compare:
            self._compare.exit()
        super().cleanup()

    def onSceneStartClose(self, caller, event):
        self.ui.statusLabel.text = ""
        if self._enhancement:
            self._enhancement.cancel()
        self._compare.exit()
        super().onSceneStartClose(caller, event)

    def initializeParameterNode(self):
        super().initializeParameterNode()
        self._parameterNode.choose_input()
        self._compare.resume()

    def setParameterNode(self, parameterNode):
        self._watchedInput.follow(None)
        self._watchedRegion.follow(None)
        super().setParameterNode(parameterNode)

    def onEnhanceButton(self, checked=False):
        if self._enhancement:
            self._enhancement.cancel()
            return
        with feedback.shown_errors(_("The enhancement could not be started.")):
            chosen = self._parameterNode
            self._timeLeft = feedback.TimeLeft()
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
        volume = self._parameterNode.inputVolume
        if volume and volume.GetImageData():
            region.lay_over(roi, volume)

    def _onModelImported(self, name):
        self.initializeParameterNode()  # lists the models anew
        if self.ui.modelComboBox.findData(name) >= 0:  # not the mere sharp twin of another
            self._parameterNode.model = name

    def _ties(self):
        return {"model": ModelSelector(self.ui.modelComboBox)}

    def _updatePanel(self, caller=None, event=None):
        chosen = self._parameterNode
        if chosen is None:
            return
        self._watchedInput.follow(chosen.inputVolume)
        self._watchedRegion.follow(chosen.region)
        description, obstacle = "", ""
        try:
            description = enhancement.describe(
                chosen.inputVolume, chosen.settings(), chosen.outputVolume, chosen.region
            )
        except SuperResolutionError as problem:
            obstacle = feedback.sentence(problem)
        panel.show_goal(self.ui, chosen.goal)
        panel.show_sharpness(self.ui, chosen.model)
        panel.show_slice_thickness(self.ui, chosen.inputVolume)
        panel.show_plan(self.ui, description, obstacle, running=self._enhancement is not None)
        self._compare.show()
        self._dicom.show()

    def _showProgress(self, done, total):
        panel.show_progress(self.ui, done, total, self._timeLeft.sentence(done, total))

    def _onEnd(self, node, problem):
        source, self._enhancement = self._enhancement.source, None
        panel.show_end(self.ui, node, problem)
        if node is not None:
            chosen = self.logic.getParameterNode()
            chosen.resultSource, chosen.resultVolume = source, node
            panel.show_volume(node)
        self._updatePanel()
        with feedback.shown_errors(_("The volume could not be enhanced.")):
            if problem is not None:
                raise problem
            self._compare.renew(source, node)


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
        self.assertEqual(result.GetName(), "Thick enhanced")
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
        self.assertIn("no volume", widget.ui.enhanceButton.toolTip)
