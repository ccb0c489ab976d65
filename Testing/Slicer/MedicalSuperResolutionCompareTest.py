"""Comparing in the real Slicer, by simulated clicks.

ctest runs it with Slicer's main window and --testing.
"""
# ruff: noqa: PT009 - this is unittest; Slicer has no pytest

import sys
from pathlib import Path

import numpy as np
import slicer

sys.path.append(str(Path(__file__).resolve().parent))

from panel_test_case import PanelTestCase, volumeNames


def _props(renderer):
    props = renderer.GetViewProps()
    return [props.GetItemAsObject(index) for index in range(props.GetNumberOfItems())]


class MedicalSuperResolutionCompareTest(PanelTestCase):
    def assertLegendIsShown(self, expected):
        widget = slicer.app.layoutManager().sliceWidget("MedicalSuperResolutionAfter")
        if not hasattr(widget, "sliceView"):  # the tests of the panel run this without Slicer's views
            return
        renderers = widget.sliceView().renderWindow().GetRenderers()
        props = [
            prop for index in range(renderers.GetNumberOfItems()) for prop in _props(renderers.GetItemAsObject(index))
        ]
        self.assertEqual(any(prop.IsA("vtkScalarBarActor") and prop.GetVisibility() for prop in props), expected)

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
        after = slicer.mrmlScene.GetSingletonNode("MedicalSuperResolutionAfter", "vtkMRMLSliceCompositeNode")
        self.ui.overlayComboBox.currentIndex = self.ui.overlayComboBox.findText("Fade")
        self.ui.overlaySlider.value = 40
        self.assertEqual(after.GetForegroundOpacity(), 0.4)
        self.ui.overlayComboBox.currentIndex = self.ui.overlayComboBox.findText("Wipe")
        self.assertEqual(after.GetForegroundOpacity(), 1)
        self.ui.compareButton.click()
        self.assertEqual(slicer.app.layoutManager().layout, layout)
        self.assertEqual(len(volumeNames()), 2)

    def test_a_scene_saved_while_comparing_opens_with_all_its_views(self):
        self.letTheEngine("finish()")
        self.clickEnhanceAndWait()
        self.ui.compareButton.click()
        path = str(self.folder / "scene.mrb")
        self.assertTrue(slicer.util.saveScene(path))
        slicer.mrmlScene.Clear()
        self.assertFalse(self.ui.compareButton.checked)
        self.assertEqual(self.ui.statusLabel.text, "")
        slicer.util.loadScene(path)
        slicer.app.processEvents()
        self.assertTrue(self.ui.compareButton.checked)
        self.assertIn("Before is Thick.", self.ui.comparisonLabel.text)
        for name in ("Before", "After", "Difference"):
            tag = f"MedicalSuperResolution{name}"
            view = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")
            self.assertIsNotNone(slicer.mrmlScene.GetNodeByID(view.GetBackgroundVolumeID() or ""), name)

    def test_the_titles_of_the_views_can_be_read(self):
        self.ui.compareSelector.setCurrentNode(
            slicer.util.addVolumeFromArray(np.zeros((24, 18, 20), np.int16), np.eye(4), "Fine")
        )
        self.ui.compareButton.click()
        slicer.app.processEvents()
        for name in ("Before", "After", "Difference"):
            view = slicer.app.layoutManager().sliceWidget(f"MedicalSuperResolution{name}")
            for label in slicer.util.findChildren(view, name="ViewLabel"):
                self.assertGreaterEqual(label.width, label.sizeHint.width(), name)

    def test_the_wipe_shows_before_on_the_left(self):
        pair = [
            slicer.util.addVolumeFromArray(np.full((40, 40, 40), gray, np.int16), np.eye(4), name)
            for gray, name in ((100, "Dark"), (200, "Bright"))
        ]
        pair[0].GetDisplayNode().SetAutoWindowLevel(False)
        pair[0].GetDisplayNode().SetWindowLevel(255, 127.5)
        self.ui.inputSelector.setCurrentNode(pair[0])
        self.ui.compareSelector.setCurrentNode(pair[1])
        self.ui.compareButton.click()
        slicer.app.processEvents()
        self.assertFalse(self.ui.overlaySlider.enabled)
        self.ui.overlayComboBox.currentIndex = self.ui.overlayComboBox.findText("Wipe")
        self.ui.overlaySlider.value = 50
        slicer.app.processEvents()
        logic = slicer.app.layoutManager().sliceWidget("MedicalSuperResolutionAfter").sliceLogic()
        producer = logic.GetImageDataConnection().GetProducer()
        producer.Update()
        image = producer.GetOutputDataObject(0)
        width, height, _ = image.GetDimensions()
        seen = [image.GetScalarComponentAsDouble(width // 2 + step, height // 2, 0, 0) for step in (-5, 5)]
        self.assertEqual(seen, [100, 200])
        self.ui.compareButton.click()
        self.assertIsNone(logic.GetForegroundLayer().GetReslice().GetStencil())

    def test_an_uncertainty_map_is_laid_over_the_result_with_a_legend(self):
        self.letTheEngine("finish()", uncertainty="made up")
        self.ui.uncertaintyCheckBox.checked = True
        self.clickEnhanceAndWait()
        self.assertEqual(volumeNames(), ["Thick", "Thick 1 mm", "Thick 1 mm uncertainty"])
        self.ui.compareButton.click()
        self.ui.overlayComboBox.currentIndex = self.ui.overlayComboBox.findText("Uncertainty")
        slicer.app.processEvents()
        after = slicer.mrmlScene.GetSingletonNode("MedicalSuperResolutionAfter", "vtkMRMLSliceCompositeNode")
        shown = slicer.mrmlScene.GetNodeByID(after.GetForegroundVolumeID())
        self.assertEqual(shown.GetName(), "Thick 1 mm uncertainty")
        legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
        titles = [" ".join(legend.GetTitleText().split()) for legend in legends]
        self.assertEqual(titles, ["Difference (unit unknown)", "Uncertainty (unit unknown)"])
        self.assertIn("Uncertainty is colored from", self.ui.comparisonLabel.text)
        self.assertLegendIsShown(True)
        self.ui.overlayComboBox.currentIndex = self.ui.overlayComboBox.findText("After alone")
        slicer.app.processEvents()
        self.assertLegendIsShown(False)
        self.ui.compareButton.click()
        self.assertEqual(slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"), [])

    def test_any_volume_is_compared_on_the_grid_of_the_other(self):
        other = slicer.util.addVolumeFromArray(np.zeros((24, 18, 20), np.int16), np.eye(4), "Fine")
        self.ui.compareSelector.setCurrentNode(other)
        self.ui.compareButton.click()
        self.assertIn("resampled by cubic B-spline onto the grid of Fine", self.ui.comparisonLabel.text)
        self.assertEqual(len(volumeNames()), 4)
        slicer.mrmlScene.Clear()
        self.assertEqual(volumeNames(), [])
