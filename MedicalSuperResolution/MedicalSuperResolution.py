import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine.scripting import Scripting
from MedicalSuperResolutionLib.panel import MedicalSuperResolutionSubjectHierarchyPlugin as data_menu
from MedicalSuperResolutionLib.panel import display, parameter_node, sample_data
from MedicalSuperResolutionLib.panel.choices import Goal
from MedicalSuperResolutionLib.panel.connectors import number_connectors
from MedicalSuperResolutionLib.panel.module_widget import ModuleWidget, Observer
from MedicalSuperResolutionLib.panel.sections import plan
from MedicalSuperResolutionLib.panel.sections.compare import CompareSection
from MedicalSuperResolutionLib.panel.sections.dicom import DicomSection
from MedicalSuperResolutionLib.panel.sections.fuse import FuseSection
from MedicalSuperResolutionLib.panel.sections.queue import QueueSection
from MedicalSuperResolutionLib.panel.sections.result import ResultSection
from MedicalSuperResolutionLib.panel.sections.run import RunSection
from MedicalSuperResolutionLib.panel.sections.selectors import ModalitySelector, ModelSelector
from MedicalSuperResolutionLib.panel.sections.setup import SetupSection
from MedicalSuperResolutionLib.process.runner import Runner
from MedicalSuperResolutionLib.scene import kinds, provenance, region, segmentation
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
    """The panel. Choices are stored in the parameter node; the work is done by the logic."""

    ourPackages = (
        "MedicalSuperResolutionLib",
        "medical_super_resolution",
        "MedicalSuperResolutionTrainingLib",  # built on these two: it would go on with the old ones
        "medical_super_resolution_training",
    )

    def __init__(self, parent=None):
        super().__init__(parent)
        self._watchedInput = Observer(self._updatePanelNowAndSoon)
        self._watchedRegion = Observer(self._updatePanel)
        self._run = self._compare = self._result = self._queue = self._fuse = None
        self._dicom = self._modality = self._selfCheck = self._setup = self._isSequence = None

    def setup(self):
        super().setup()
        self.logic = MedicalSuperResolutionLogic()
        self._run = RunSection(self.ui, self._onOver, self._updatePanel)
        self._compare = CompareSection(self.ui, self._choices)
        self._result = ResultSection(self.ui, self._choices, self._onDelete)
        self._queue = QueueSection(
            self.ui, self._choices, self.logic.makeRunner, self._onResult, lambda: self._run.is_busy, self._updatePanel
        )
        self._fuse = FuseSection(self.ui, self._choices, self._onFuse, self._isBusy)
        self._dicom = DicomSection(self.ui, self._choices)
        self._modality = ModalitySelector(self.ui, self._choices)
        self.ui.enhanceButton.connect("clicked(bool)", self.onEnhanceButton)
        added = "nodeAddedByUserAction(vtkMRMLNode*)"
        self.ui.regionSelector.connect(added, lambda roi: region.lay_over(roi, self._choices().inputVolume))
        self._selfCheck = SelfCheck(self.ui, lambda: self._choices().engine_settings(), self.logic.makeRunner)
        self._setup = SetupSection(self.ui, self._onModelImported)
        self.followScene()
        self.followContent()

    def cleanup(self):
        for section in filter(None, (self._run, self._queue, self._selfCheck, self._setup)):  # setup may have failed
            section.abandon()
        if self._compare:
            self._compare.exit()
            display.leave_layout_for_next_start(self._compare.comparison.views.layout_node)
        super().cleanup()

    def onSceneStartClose(self, caller, event):
        self._run.cancel()
        self._queue.abandon()
        self._compare.exit()
        display.show_status(self.ui, "")
        super().onSceneStartClose(caller, event)

    def onNodeRemoved(self, caller, event):
        self._compare.end_without_volumes()  # also while another module is open
        super().onNodeRemoved(caller, event)

    def onSceneContentChanged(self, caller=None, event=None):
        if self._parameterNode is not None and not slicer.mrmlScene.IsBatchProcessing():
            self._parameterNode.choose_input()
            if self._isSequence or caller is None:  # it may have lost its browser; or a result was removed
                self._updatePanel()

    def setParameterNode(self, parameterNode):
        self._watchedInput.follow(None)
        self._watchedRegion.follow(None)
        if parameterNode:
            parameterNode.choose_input()
        super().setParameterNode(parameterNode)
        if self._compare:
            self._compare.follow_panel(is_open=bool(parameterNode))

    def onEnhanceButton(self, checked=False):
        if self._run.current:
            self._run.cancel()
            return
        chosen = self._choices()

        def begin(**listeners):
            volume, output, roi = chosen.inputVolume, chosen.outputVolume, chosen.region
            if chosen.segmentation:
                segmentation.check(chosen.segmentation, volume, roi)
            return self.logic.start(volume, chosen.settings(), outputVolume=output, roi=roi, **listeners)

        self._run.start(_("The enhancement could not be started."), begin)
        self._updatePanel()

    def enhanceThroughPlane(self, volumes):
        """Enhance one volume, or several in a queue; called by "Enhance through-plane" in the module Data."""
        with messages.shown_errors(_("The volumes could not be enhanced.")):
            if self._isBusy():
                raise SuperResolutionError(_("An enhancement is running already; wait for it, or cancel it first."))
            chosen = self._choices()
            chosen.goal = Goal.ISOTROPIC
            if len(volumes) == 1:
                chosen.change_input(volumes[0])
                self.onEnhanceButton()
            else:
                self._queue.start(volumes)

    def _choices(self):
        return self._parameterNode or self.logic.getParameterNode()

    def _isBusy(self):
        return self._run.is_busy or self._queue.is_running

    def _onModelImported(self, name):
        self.initializeParameterNode()  # lists the models anew
        if self.ui.modelComboBox.findData(name) >= 0:  # not the mere detail model of another
            self._parameterNode.model = name

    def _connectors(self):
        return {"model": ModelSelector(self.ui.modelComboBox), **number_connectors(self.ui)}

    def _updatePanel(self, caller=None, event=None):
        chosen = self._parameterNode
        if chosen is None:
            return
        self._isSequence = kinds.browser_of(chosen.inputVolume) is not None
        before = self._watchedInput.follow(chosen.inputVolume)
        if before not in (None, chosen.inputVolume):
            chosen.compareVolume = None  # which would hide the result of the new input
        self._watchedRegion.follow(chosen.region)
        display.show_choices(self.ui, chosen)
        plan.show(self.ui, chosen, self._run.busy_with or self._queue.busy_with, is_running=bool(self._run.current))
        for section in (self._modality, self._compare, self._result, self._queue, self._fuse, self._dicom):
            section.show()

    def _onFuse(self, volumes):
        chosen = self._choices()

        def begin(**listeners):
            return self.logic.startFusion(volumes, chosen.fusion_settings(), chosen.fusion_spacing_mm(), **listeners)

        self._run.start(_("The volumes could not be fused."), begin)
        if self._run.current and chosen.inputVolume not in volumes:
            chosen.inputVolume = volumes[0]  # the one that Compare is to begin with
        self._updatePanel()

    def _onOver(self, source, node, problem):
        if node is not None:
            display.show_volume(node, in_place_of=source)
            self._onResult(node)
        self._updatePanel()
        with messages.shown_errors(_("The volume could not be made.")):
            if problem is not None:
                raise problem
            self._compare.show()
            drawn = self.logic.getParameterNode().segmentation
            if drawn and not provenance.is_fused(node):
                with self._run.occupied(_("A segmentation is being refined.")):
                    self.logic.refine_segmentation(drawn, source, node)

    def _onResult(self, node):
        self.logic.getParameterNode().resultVolume = node

    def _onDelete(self):
        self._compare.exit()
        display.show_status(self.ui, "")
        display.show_volume(self._choices().inputVolume)
        self._updatePanel()


class MedicalSuperResolutionLogic(Scripting):
    """Enhancing without the panel, for scripts and the Python console: see Scripting."""

    def getParameterNode(self):
        return parameter_node.choices_in(super().getParameterNode())

    def makeRunner(self):
        return Runner()


class MedicalSuperResolutionTest(ScriptedLoadableModuleTest):
    """Needs neither network nor main window; where torch is missing, it tests the error message."""

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
