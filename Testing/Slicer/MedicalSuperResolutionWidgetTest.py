"""The panel in the real Slicer, by simulated clicks. A script plays the engine, so neither torch nor network is needed.

ctest runs it with Slicer's main window and --testing.
"""
# ruff: noqa: PT009 - this is unittest; Slicer has no pytest

import contextlib
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import slicer

sys.path.append(str(Path(__file__).resolve().parents[1] / "Python"))

from engine_double import engine_command  # noqa: E402
from made_up_report import made_up_report  # noqa: E402

MODULE = "MedicalSuperResolution"
HANGS = "step(1, 4)\ntime.sleep(600)"


def until(condition, seconds=30.0):
    """Keep Slicer going until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not happen in time"
        slicer.app.processEvents()
        time.sleep(0.02)


def volumeNames():
    return sorted(node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))


class MedicalSuperResolutionWidgetTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule(MODULE)
        self.widget = slicer.util.getModuleWidget(MODULE)
        self.ui = self.widget.ui
        array = np.random.default_rng(0).integers(0, 1000, (8, 18, 20)).astype(np.int16)
        self.volume = slicer.util.addVolumeFromArray(array, np.diag([1.0, 1.0, 3.0, 1.0]), "Thick")
        self.during = contextlib.ExitStack()
        self.addCleanup(self.during.close)
        self.folder = Path(self.during.enter_context(tempfile.TemporaryDirectory()))
        self.during.enter_context(mock.patch.object(sys.modules[MODULE].torch_setup, "ensure_engine"))

    def tearDown(self):
        slicer.mrmlScene.Clear()

    def letTheEngine(self, ending):
        """Have a script play the engine, which ends as said: see engine_double."""
        from MedicalSuperResolutionLib import child_process
        from MedicalSuperResolutionLib.runner import Runner

        report = made_up_report().as_dict()
        command = [child_process.python(), *engine_command(self.folder, report, ending)[1:]]
        self.during.enter_context(mock.patch.object(sys.modules[MODULE], "Runner", return_value=Runner(command)))

    def clickEnhanceAndWait(self):
        self.ui.enhanceButton.click()
        until(lambda: self.ui.enhanceButton.text == "Enhance")

    def test_the_panel_says_what_it_will_do(self):
        self.assertEqual(self.ui.inputSelector.currentNode(), self.volume)
        self.assertIn("becomes 20x18x24 at 1.00x1.00x1.00 mm", self.ui.descriptionLabel.text)
        self.ui.goalComboBox.currentIndex = self.ui.goalComboBox.findText("Thin slices x4")
        self.assertIn("becomes 20x18x32 at 1.00x1.00x0.75 mm", self.ui.descriptionLabel.text)
        self.assertTrue(self.ui.factorSpinBox.isHidden())
        self.ui.goalComboBox.currentIndex = self.ui.goalComboBox.findText("Thin slices, other factor")
        self.assertFalse(self.ui.factorSpinBox.isHidden())

    def test_a_click_makes_a_volume_and_shows_it(self):
        self.letTheEngine("step(1, 2)\nfinish()")
        self.clickEnhanceAndWait()
        self.assertEqual(volumeNames(), ["Thick", "Thick enhanced"])
        self.assertEqual(self.ui.statusLabel.text, "Done: Thick enhanced")
        shown = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode().GetBackgroundVolumeID()
        self.assertEqual(slicer.mrmlScene.GetNodeByID(shown).GetName(), "Thick enhanced")

    def test_a_second_click_cancels_within_a_second(self):
        self.letTheEngine(HANGS)
        self.ui.enhanceButton.click()
        until(lambda: self.ui.progressBar.value == 250)
        self.assertEqual(self.ui.enhanceButton.text, "Cancel")
        started = time.monotonic()
        self.ui.enhanceButton.click()
        self.assertLess(time.monotonic() - started, 1.5)
        self.assertEqual(self.ui.enhanceButton.text, "Enhance")
        self.assertEqual(volumeNames(), ["Thick"])

    def test_a_failure_of_the_engine_becomes_a_sentence(self):
        self.letTheEngine("print('error: the volume is too dark', file=sys.stderr)\nsys.exit(1)")
        with mock.patch.object(slicer.util, "errorDisplay") as errorDisplay:
            self.clickEnhanceAndWait()
        errorDisplay.assert_called_once_with("The volume is too dark.")
        self.assertEqual(volumeNames(), ["Thick"])

    def test_closing_the_scene_ends_the_run(self):
        self.letTheEngine(HANGS)
        self.ui.enhanceButton.click()
        slicer.mrmlScene.Clear()
        self.assertEqual(self.ui.enhanceButton.text, "Enhance")
        self.assertFalse(self.ui.enhanceButton.enabled)

    def test_compare_opens_and_closes(self):
        self.letTheEngine("finish()")
        self.clickEnhanceAndWait()
        layout = slicer.app.layoutManager().layout
        self.ui.compareButton.click()
        slicer.app.processEvents()
        self.assertNotEqual(slicer.app.layoutManager().layout, layout)
        self.assertTrue(self.ui.compareButton.checked)
        self.assertIn("Before is Thick. Difference is after minus before", self.ui.comparisonLabel.text)
        self.assertEqual(len(volumeNames()), 3)  # the difference is there, hidden
        self.ui.fadeSlider.value = 50
        after = slicer.mrmlScene.GetSingletonNode("MedicalSuperResolutionAfter", "vtkMRMLSliceCompositeNode")
        self.assertEqual(after.GetForegroundOpacity(), 0.5)
        self.ui.compareButton.click()
        self.assertEqual(slicer.app.layoutManager().layout, layout)
        self.assertEqual(len(volumeNames()), 2)

    def test_any_volume_is_compared_on_the_grid_of_the_other(self):
        other = slicer.util.addVolumeFromArray(np.zeros((24, 18, 20), np.int16), np.eye(4), "Fine")
        self.ui.compareSelector.setCurrentNode(other)
        self.ui.compareButton.click()
        self.assertIn("resampled by cubic B-spline onto the grid of Fine", self.ui.comparisonLabel.text)
        self.assertEqual(len(volumeNames()), 4)
        slicer.mrmlScene.Clear()
        self.assertEqual(volumeNames(), [])

    def test_a_note_lies_beside_the_result(self):
        self.letTheEngine("finish()")
        self.clickEnhanceAndWait()
        note = slicer.util.getNode("Thick enhanced - what was done")
        self.assertIn("Not for diagnostic use", note.GetText())

    def test_a_region_is_described_and_can_be_left_out_again(self):
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
        roi.SetSize(6, 6, 9)
        roi.SetCenter(9.5, 8.5, 12)
        self.ui.regionSelector.setCurrentNode(roi)
        self.assertIn("6x6x3 at 1.00x1.00x3.00 mm becomes 6x6x9", self.ui.descriptionLabel.text)
        self.ui.regionSelector.setCurrentNode(None)
        self.assertIn("20x18x8 at", self.ui.descriptionLabel.text)

    def test_the_self_check_writes_a_text_that_can_be_copied(self):
        self.letTheEngine("finish()")
        self.ui.selfCheckButton.click()
        until(lambda: self.ui.selfCheckButton.enabled)
        self.assertIn("Test run: ", self.ui.selfCheckTextEdit.plainText)
        self.ui.copyButton.click()
        self.assertEqual(slicer.app.clipboard().text(), self.ui.selfCheckTextEdit.plainText)

    def test_the_choices_come_back_with_the_scene(self):
        self.ui.goalComboBox.currentIndex = self.ui.goalComboBox.findText("In-plane x2")
        path = str(self.folder / "scene.mrb")
        self.assertTrue(slicer.util.saveScene(path))
        slicer.mrmlScene.Clear()
        self.assertEqual(self.ui.goalComboBox.currentText, "Isotropic")
        slicer.util.loadScene(path)
        self.assertEqual(self.ui.goalComboBox.currentText, "In-plane x2")
        self.assertEqual(self.ui.inputSelector.currentNode().GetName(), "Thick")
