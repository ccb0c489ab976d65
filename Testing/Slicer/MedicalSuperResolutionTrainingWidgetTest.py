"""The training panel in the real Slicer, by simulated clicks. A script plays medsr-train, so torch is not needed.

ctest runs it with Slicer's main window and --testing.
"""
# ruff: noqa: PT009 - this is unittest; Slicer has no pytest

import sys
import time
from pathlib import Path
from unittest import mock

import qt
import slicer

sys.path.append(str(Path(__file__).resolve().parent))

from panel_test_case import ModuleTestCase, until

from training_double import training_program  # panel_test_case says where it lies

LASTS = "step(50, 0.5); step(100, 0.25); checkpoint(); time.sleep(600)"


class MedicalSuperResolutionTrainingWidgetTest(ModuleTestCase):
    moduleName = "MedicalSuperResolutionTraining"

    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / "my run"
        (self.folder / "volumes.json").write_text("[]")
        self.ui.dataComboBox.currentIndex = self.ui.dataComboBox.findText("Manifest")
        self.ui.manifestPathLineEdit.currentPath = str(self.folder / "volumes.json")
        self.ui.runPathLineEdit.currentPath = str(self.run_folder)

    def letTheTraining(self, ending):
        """Have a script play medsr-train, which ends as said: see training_double."""
        from MedicalSuperResolutionLib.process import subprocess
        from MedicalSuperResolutionTrainingLib.training_process import TrainingProcess

        command = [subprocess.python(), *training_program(self.folder, ending)[1:]]
        self.replace("TrainingProcess", return_value=TrainingProcess(command))

    def test_the_panel_says_what_it_will_do(self):
        self.assertIn("general: 7,500 steps, into", self.ui.descriptionLabel.text)
        self.assertTrue(self.ui.startButton.enabled)
        self.assertFalse(self.ui.manifestPathLineEdit.isHidden())
        self.assertTrue(self.ui.volumesPathLineEdit.isHidden())
        self.ui.runPathLineEdit.currentPath = ""
        self.assertFalse(self.ui.startButton.enabled)
        self.assertIn("hoose a folder for the run", self.ui.startButton.toolTip)

    def test_a_training_is_watched_and_stopped(self):
        self.letTheTraining(LASTS)
        self.ui.startButton.click()
        until(lambda: self.ui.statusLabel.text.startswith("Step 100 of 7,500, loss 0.25"))
        self.assertEqual(self.ui.progressBar.value, 100)
        chart = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
        self.assertEqual(chart.GetPlotSeriesNode().GetTableNode().GetTable().GetNumberOfRows(), 2)
        shown = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotViewNode")
        self.assertEqual(shown.GetPlotChartNodeID(), chart.GetID())
        started = time.monotonic()
        self.ui.startButton.click()
        self.assertLess(time.monotonic() - started, 2.5)
        self.assertEqual(self.ui.startButton.text, "Start")
        self.assertIn("continues the run in", self.ui.descriptionLabel.text)

    def test_the_sample_picture_of_a_run_is_shown_with_its_curve(self):
        samples = self.run_folder / "samples"
        samples.mkdir(parents=True)
        (self.run_folder / "curve.csv").write_text("50,0.5\n")
        picture = qt.QPixmap(40, 20)
        picture.fill(qt.QColor(255, 255, 255))
        picture.save(str(samples / "step-00000050.png"))
        with mock.patch.object(slicer.util, "errorDisplay") as errorDisplay:
            self.ui.curveButton.click()
        errorDisplay.assert_not_called()
        self.assertFalse(self.ui.sampleLabel.isHidden())
        self.assertIn("step-00000050.png", self.ui.sampleLabel.toolTip)

    def test_closing_the_scene_ends_the_training(self):
        self.letTheTraining(LASTS)
        self.ui.startButton.click()
        slicer.mrmlScene.Clear()
        self.assertEqual(self.ui.startButton.text, "Start")
        self.assertFalse(self.ui.startButton.enabled)

    def test_a_failure_becomes_a_sentence(self):
        self.letTheTraining("print('error: the volumes are too small', file=sys.stderr); sys.exit(1)")
        with mock.patch.object(slicer.util, "errorDisplay") as errorDisplay:
            self.ui.startButton.click()
            until(lambda: self.ui.startButton.text == "Start")
        errorDisplay.assert_called_once_with("The volumes are too small.")

    def test_an_exported_model_is_chosen_in_enhance(self):
        self.run_folder.mkdir()
        (self.run_folder / "checkpoint-00000050.safetensors").touch()
        self.widget.enter()
        self.letTheTraining("Path(arguments[-1]).touch()")
        self.ui.exportButton.click()
        until(lambda: self.ui.useButton.enabled)
        self.ui.useButton.click()
        enhance = slicer.util.getModuleWidget("MedicalSuperResolution")
        self.assertEqual(enhance.logic.getParameterNode().model, str(self.run_folder / "my run.safetensors"))
