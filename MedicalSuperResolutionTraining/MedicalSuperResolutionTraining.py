from pathlib import Path

from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest


class MedicalSuperResolutionTraining(ScriptedLoadableModule):
    """Brings the training package into Slicer's Python. It has no panel, so Slicer lists it nowhere.

    PythonSlicer -m medical_super_resolution_training --help
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Medical Super-Resolution Training")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Developer Tools")]
        parent.dependencies = ["MedicalSuperResolution"]  # the networks live there
        parent.contributors = ["MedicalSuperResolution contributors"]
        parent.hidden = True
        parent.helpText = _(
            "Trains the networks of Medical Super-Resolution. Run it without a window: {command}"
        ).format(command="PythonSlicer -m medical_super_resolution_training --help")
        parent.acknowledgementText = _("For research. Not for diagnosis.")


class MedicalSuperResolutionTrainingTest(ScriptedLoadableModuleTest):
    """Neither network, main window nor torch is needed."""

    def test_the_shipped_recipes_can_be_read(self):
        from medical_super_resolution_training.config import read_recipe

        recipes = sorted((Path(__file__).parent / "Resources" / "Recipes").glob("*.toml"))
        self.assertTrue(recipes)
        for path in recipes:
            self.assertGreater(read_recipe(path, []).steps, 0)
