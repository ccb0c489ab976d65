import sys

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib import (
    enhancement,
    feedback,
    panel,
    region,
    sample_data,
    torch_setup,
)
from MedicalSuperResolutionLib.compare_section import CompareSection
from MedicalSuperResolutionLib.dicom_section import DicomSection
from MedicalSuperResolutionLib.model_selector import ModelSelector
from MedicalSuperResolutionLib.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.runner import Runner
from MedicalSuperResolutionLib.scripting import Scripting
from MedicalSuperResolutionLib.self_check import SelfCheck
from MedicalSuperResolutionLib.setup_section import SetupSection
from MedicalSuperResolutionLib.watch import Watch

OUR_PACKAGES = ("MedicalSuperResolutionLib", "medical_super_resolution")


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


class MedicalSuperResolutionWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. What it shows and stores lives in the parameter node; what it does, in the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTags = []
        self._watchedParameters = Watch(self._updatePanel)
        self._watchedInput = Watch(self._updatePanel)  # a volume enters the scene before its voxels do
        self._watchedRegion = Watch(self._updatePanel)
        self._enhancement = None
        self._timeLeft = None
        self._compare = None
        self._dicom = None
        self._selfCheck = None
        self._setup = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MedicalSuperResolution.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = MedicalSuperResolutionLogic()
        self._compare = CompareSection(self.ui, lambda: self._parameterNode or self.logic.getParameterNode())
        self._dicom = DicomSection(self.ui, lambda: self._parameterNode or self.logic.getParameterNode())
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneChanged)
        self.ui.enhanceButton.connect("clicked(bool)", self.onEnhanceButton)
        self.ui.regionSelector.connect("nodeAddedByUserAction(vtkMRMLNode*)", self.onRegionAdded)
        self._selfCheck = SelfCheck(self.ui, lambda: self._parameterNode.engine_settings(), lambda: Runner())
        self._setup = SetupSection(self.ui, self._onModelImported)
        self.initializeParameterNode()

    def cleanup(self):
        if self._enhancement:
            self._enhancement.abandon()
            self._enhancement = None
        self._selfCheck.abandon()
        self._setup.abandon()
        self._compare.exit()
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
        self.ui.statusLabel.text = ""
        if self._enhancement:
            self._enhancement.cancel()
        self._compare.exit()
        self.setParameterNode(None)

    def onSceneChanged(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())
        self._parameterNode.choose_input()
        self._compare.resume()

    def setParameterNode(self, parameterNode):
        for tag in self._guiTags:
            self._parameterNode.disconnectGui(tag)
        self._parameterNode, self._guiTags = parameterNode, []
        self._watchedParameters.follow(parameterNode)
        self._watchedInput.follow(None)
        self._watchedRegion.follow(None)
        if parameterNode:
            model = {"model": ModelSelector(self.ui.modelComboBox)}
            self._guiTags = [parameterNode.connectGui(self.ui), parameterNode.connectParametersToGui(model)]
            self._updatePanel()

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
