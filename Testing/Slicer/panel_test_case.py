"""What the tests of the panels in the real Slicer share. A script plays the engine: no torch or network is needed."""

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

from engine_double import engine_command
from made_up_report import made_up_report

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


class ModuleTestCase(unittest.TestCase):
    """The panel of a module over a new scene, a folder to write to, and an engine that is ready.

    moduleName : which one; set by the class.
    """

    moduleName = ""

    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule(self.moduleName)
        self.widget = slicer.util.getModuleWidget(self.moduleName)
        self.ui = self.widget.ui
        self.during = contextlib.ExitStack()
        self.addCleanup(self.during.close)
        self.folder = Path(self.during.enter_context(tempfile.TemporaryDirectory()))
        self.during.enter_context(mock.patch("MedicalSuperResolutionLib.setup.torch.ensure_engine"))

    def tearDown(self):
        slicer.mrmlScene.Clear()

    def replace(self, name, **options):
        """Put a mock into the place of something of the module, for this test."""
        self.during.enter_context(mock.patch(f"{self.moduleName}.{name}", **options))


class PanelTestCase(ModuleTestCase):
    """The panel that enhances, over one volume of thick slices, and a script to play the engine."""

    moduleName = "MedicalSuperResolution"

    def setUp(self):
        super().setUp()
        array = np.random.default_rng(0).integers(0, 1000, (8, 18, 20)).astype(np.int16)
        self.volume = slicer.util.addVolumeFromArray(array, np.diag([1.0, 1.0, 3.0, 1.0]), "Thick")

    def letTheEngine(self, ending, **reported):
        """Have a script play the engine, which ends as said and reports so: see engine_double."""
        from MedicalSuperResolutionLib.process import subprocess
        from MedicalSuperResolutionLib.process.runner import Runner

        report = made_up_report(**reported).as_dict()
        command = [subprocess.python(), *engine_command(self.folder, report, ending)[1:]]
        self.replace("Runner", return_value=Runner(command))

    def clickEnhanceAndWait(self):
        self.ui.enhanceButton.click()
        until(lambda: self.ui.enhanceButton.text == "Enhance")
