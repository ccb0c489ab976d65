"""The panel in the real Slicer, by simulated clicks. A script plays the engine, so neither torch nor network is needed.

ctest runs it with Slicer's main window and --testing.
"""
# ruff: noqa: PT009 - this is unittest; Slicer has no pytest

import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import qt
import slicer

sys.path.append(str(Path(__file__).resolve().parent))

from panel_test_case import HANGS, PanelTestCase, until, volumeNames


class MedicalSuperResolutionWidgetTest(PanelTestCase):
    def test_the_panel_says_what_it_will_do(self):
        self.assertEqual(self.ui.inputSelector.currentNode(), self.volume)
        self.assertIn("becomes 20x18x24 at 1.00x1.00x1.00 mm", self.ui.descriptionLabel.text)
        self.ui.goalComboBox.currentIndex = self.ui.goalComboBox.findText("Thin slices x4")
        self.assertIn("becomes 20x18x32 at 1.00x1.00x0.75 mm", self.ui.descriptionLabel.text)
        self.assertTrue(self.ui.factorSpinBox.isHidden())
        self.ui.goalComboBox.currentIndex = self.ui.goalComboBox.findText("Other factor")
        self.assertFalse(self.ui.factorSpinBox.isHidden())

    def test_a_number_can_be_typed_digit_by_digit(self):
        box = self.ui.sliceThicknessSpinBox
        for typed in ("2.25", "2,25"):
            box.value = 0
            box.selectAll()
            for digit in typed:
                qt.QApplication.sendEvent(box, qt.QKeyEvent(qt.QEvent.KeyPress, ord(digit), qt.Qt.NoModifier, digit))
            self.assertEqual((box.value, box.text), (2.25, "2.25 mm"))

    def test_a_click_makes_a_volume_and_shows_it(self):
        self.letTheEngine("step(1, 2)\nfinish()")
        self.clickEnhanceAndWait()
        self.assertEqual(volumeNames(), ["Thick", "Thick 1 mm"])
        self.assertEqual(self.ui.statusLabel.text, "Done: Thick 1 mm")
        shown = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode().GetBackgroundVolumeID()
        self.assertEqual(slicer.mrmlScene.GetNodeByID(shown).GetName(), "Thick 1 mm")

    def test_a_modality_that_is_chosen_by_a_key_is_that_of_the_volume_and_of_its_result(self):
        box = self.ui.modalityComboBox
        self.assertEqual(box.currentText, "By the values")
        self.assertIn(", CT or MR by the values, ", self.ui.settingsLabel.text)
        qt.QApplication.sendEvent(box, qt.QKeyEvent(qt.QEvent.KeyPress, qt.Qt.Key_Down, qt.Qt.NoModifier))
        self.assertEqual(box.currentText, "CT")
        self.assertIn(", CT, ", self.ui.settingsLabel.text)
        self.letTheEngine("finish()")
        self.clickEnhanceAndWait()
        self.ui.inputSelector.setCurrentNode(slicer.util.getNode("Thick 1 mm"))
        self.assertEqual(box.currentText, "CT")

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

    def test_a_double_click_starts_and_does_not_cancel(self):
        self.letTheEngine(HANGS)
        place, left = qt.QPointF(3, 3), qt.Qt.LeftButton
        for kind in ("Press", "Release", "DblClick", "Release"):
            kind = getattr(qt.QEvent, f"MouseButton{kind}")
            event = qt.QMouseEvent(kind, place, place, place, left, left, qt.Qt.NoModifier)
            qt.QApplication.sendEvent(self.ui.enhanceButton, event)
        self.assertEqual(self.ui.enhanceButton.text, "Cancel")
        self.ui.enhanceButton.click()

    def test_a_key_makes_a_region_and_never_shows_an_action_as_the_region(self):
        selector = self.ui.regionSelector
        box = next(child for child in selector.children() if child.inherits("QComboBox"))
        entry = box.findText("Create new ROI")
        if entry < 0:  # the tests of the panel run this without Slicer's list of nodes
            return

        def press(widget, key):
            qt.QApplication.sendEvent(widget, qt.QKeyEvent(qt.QEvent.KeyPress, key, qt.Qt.NoModifier))
            slicer.app.processEvents()

        press(box, qt.Qt.Key_End)
        self.assertEqual((box.currentText, selector.currentNode()), ("Whole volume", None))
        box.showPopup()
        box.view().setCurrentIndex(box.model().index(entry, 0, box.rootModelIndex()))
        press(box.view(), qt.Qt.Key_Return)
        region = selector.currentNode()
        self.assertIn("becomes 10x10x", self.ui.descriptionLabel.text)
        press(box, qt.Qt.Key_End)
        self.assertEqual((box.currentText, self.widget._parameterNode.region), (region.GetName(), region))

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

    def test_after_a_typed_detail_the_slider_reaches_its_ends(self):
        slider = self.ui.detailSlider
        bar = next((one for one in slicer.util.findChildren(slider) if one.inherits("QSlider")), None)
        if bar is None:  # the tests of the panel run this without CTK's slider
            return
        for typed in (0.12, 0.07):
            for key, end in ((qt.Qt.Key_Home, 0), (qt.Qt.Key_End, 1)):
                slider.value = typed
                qt.QApplication.sendEvent(bar, qt.QKeyEvent(qt.QEvent.KeyPress, key, qt.Qt.NoModifier))
                self.assertEqual(self.widget._parameterNode.detail, end)

    def test_detail_waits_for_a_model_with_a_detail_model(self):
        from MedicalSuperResolutionLib.setup.models import why_no_detail

        obstacle = why_no_detail("general")
        self.assertEqual(self.ui.detailSlider.enabled, not obstacle)
        self.assertEqual((self.ui.detailSlider.minimum, self.ui.detailSlider.maximum), (0, 1))
        if obstacle:
            self.assertIn("detail_model", self.ui.detailSlider.toolTip)

    def test_a_note_lies_beside_the_result(self):
        self.letTheEngine("finish()")
        self.clickEnhanceAndWait()
        note = slicer.util.getNode("Thick 1 mm - what was done")
        self.assertIn("Not for diagnostic use", note.GetText())

    def test_what_is_below_the_button_belongs_to_the_selected_volume(self):
        other = slicer.util.addVolumeFromArray(np.zeros((8, 18, 20), np.int16), np.diag([1.0, 1.0, 3.0, 1.0]), "Other")
        self.letTheEngine("finish()")
        self.ui.enhanceButton.click()
        self.ui.inputSelector.setCurrentNode(other)  # as a script can
        until(lambda: self.ui.enhanceButton.text == "Enhance")
        self.assertFalse(self.ui.compareButton.enabled)
        self.assertTrue(self.ui.resultWidget.isHidden())
        self.clickEnhanceAndWait()
        self.assertIn("Remove Other 1 mm from", self.ui.deleteButton.toolTip)
        self.ui.inputSelector.setCurrentNode(self.volume)
        self.assertIn("Show Thick, Thick 1 mm and", self.ui.compareButton.toolTip)
        self.ui.deleteButton.click()
        self.assertEqual(volumeNames(), ["Other", "Other 1 mm", "Thick"])

    def test_a_result_of_a_dicom_volume_becomes_a_series_of_its_study(self):
        try:
            import SimpleITK  # noqa: F401
            from DICOMLib import DICOMUtils

            from dicom_sources import ROOT, write_source
        except ImportError as missing:
            self.skipTest(f"this Slicer was built without it: {missing}")
        slicer.mrmlScene.Clear()
        write_source(self.folder / "source", np.arange(600, dtype=np.uint16).reshape(5, 12, 10))
        database = self.during.enter_context(DICOMUtils.TemporaryDICOMDatabase(str(self.folder / "database")))
        DICOMUtils.importDicom(str(self.folder / "source"), database)
        (loaded,) = DICOMUtils.loadSeriesByUID([f"{ROOT}.2"])
        self.ui.inputSelector.setCurrentNodeID(loaded)
        self.assertEqual(self.ui.sliceThicknessSpinBox.specialValueText, "auto, 4 mm")
        self.letTheEngine("finish()", size_after_ijk=(10, 12, 5), factor_ijk=(1.0, 1.0, 1.0))
        self.clickEnhanceAndWait()
        result = self.widget._parameterNode.resultVolume
        (self.folder / "exported").mkdir()
        self.ui.exportPathLineEdit.currentPath = str(self.folder / "exported")
        self.assertTrue(self.ui.exportButton.enabled, self.ui.exportButton.toolTip)
        self.ui.exportButton.click()
        self.assertIn("5 files are in", self.ui.exportLabel.text)
        self.ui.databaseButton.click()
        self.assertIn("The new series is in the DICOM database.", self.ui.exportLabel.text)
        self.assertEqual(slicer.util.selectedModule(), "DICOM")
        self.assertEqual(len(database.seriesForStudy(f"{ROOT}.1")), 2)
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        items = [hierarchy.GetItemByDataNode(slicer.mrmlScene.GetNodeByID(loaded))]
        items.append(hierarchy.GetItemByDataNode(result))
        self.assertEqual(*[hierarchy.GetItemParent(item) for item in items])

    def test_all_items_of_a_sequence_become_a_sequence(self):
        if not hasattr(slicer.modules, "sequences"):
            self.skipTest("this Slicer was built without sequences")
        from slicer_host import add_sequence

        arrays = [np.full((8, 18, 20), 100 * number, np.int16) for number in range(3)]
        proxy = add_sequence(arrays, np.diag([1.0, 1.0, 3.0, 1.0]))
        self.ui.inputSelector.setCurrentNode(proxy)
        self.assertIn("3 volumes of a sequence, each 20x18x8", self.ui.descriptionLabel.text)
        self.letTheEngine("step(1, 2)\nfinish()")
        self.clickEnhanceAndWait()
        self.assertEqual(volumeNames(), ["Phases", "Phases 1 mm", "Thick"])
        (browser,) = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
        result = self.widget._parameterNode.resultVolume
        for number in (2, 0):
            browser.SetSelectedItemNumber(number)
            slicer.app.processEvents()
            self.assertEqual(slicer.util.arrayFromVolume(result).max(), 100 * number)
        self.assertEqual(browser.GetSequenceNode(result).GetNthIndexValue(2), "1.0")

    def test_checked_volumes_are_enhanced_one_after_the_other(self):
        other = slicer.util.addVolumeFromArray(np.zeros((8, 18, 20), np.int16), np.diag([1.0, 1.0, 3.0, 1.0]), "Other")
        for volume in (self.volume, other):
            self.ui.queueSelector.check(volume)
        self.assertEqual(set(self.ui.queueSelector.checkedNodes()), {self.volume, other})
        self.assertIn("2 stacks become 20x18x24", self.ui.fuseLabel.text)
        self.letTheEngine("step(1, 2)\nfinish()")
        self.ui.queueButton.click()
        until(lambda: self.ui.queueButton.enabled)
        self.assertEqual(volumeNames(), ["Other", "Other 1 mm", "Thick", "Thick 1 mm"])
        shown = [self.ui.queueTable.item(row, 1).text() for row in range(self.ui.queueTable.rowCount)]
        self.assertEqual(sorted(shown), ["done: Other 1 mm", "done: Thick 1 mm"])

    def test_the_set_up_says_what_is_missing_and_tells_the_checksum_of_a_model(self):
        from medical_super_resolution.models import store
        from medical_super_resolution.system import checksum

        self.assertRegex(self.ui.setupLabel.text, "Missing in Slicer's Python: |All packages that are needed")
        model = store.SHIPPED_FOLDER / "general.safetensors"
        self.ui.weightsPathLineEdit.currentPath = str(model)
        self.assertIn(checksum.digest_of(model), self.ui.weightsLabel.text.replace(" ", ""))
        self.ui.checksumLineEdit.text = "0" * 64
        self.assertIn("is damaged or another file", self.ui.weightsLabel.text)
        self.ui.checksumLineEdit.text = ""

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
