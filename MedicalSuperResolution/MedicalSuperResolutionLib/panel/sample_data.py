"""A volume with thick slices for Slicer's module Sample Data: made from Slicer's own MRHead, so that nothing is added.

MRHead was donated by the person in it, to be used without any restrictions.
"""

import slicer
from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.volumes.grid import Grid
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.panel import display
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.translation import tr as _

CATEGORY, SAMPLE = "MedicalSuperResolution", "ThickMRHead"
_DIGEST = "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"  # as in Slicer's SampleData.py
_FACTOR = 4


def register() -> None:
    """List the sample in the module Sample Data. To be done when Slicer has started."""
    try:
        import SampleData
    except ImportError:  # Slicer can be built without it
        return
    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # from Slicer 5.12 on
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("Medical Super-Resolution"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE,
        uris=f"{slicer.util.TESTING_DATA_URL}SHA256/{_DIGEST}",
        fileNames="MR-head.nrrd",
        nodeNames="MRHead",
        checksums=f"SHA256:{_DIGEST}",
        customDownloader=load,
    )


def load(source: object) -> None:
    """Load MRHead as it was measured and with thick slices; called by a click on the sample."""
    import SampleData

    with messages.shown_errors(_("The sample could not be loaded.")):
        nodes = SampleData.SampleDataLogic().downloadFromSource(source)
        if not nodes:
            raise SuperResolutionError(_("The sample could not be downloaded; check the network and try again."))
        display.show_volume(thick_copy(nodes[0]))


def thick_copy(node: vtkMRMLScalarVolumeNode) -> vtkMRMLScalarVolumeNode:
    """A volume as a scanner would have measured it in slices four times as thick: a new node."""
    import numpy as np

    from medical_super_resolution.physics.acquisition import acquisition_matrix

    volume = scene.volume_from_node(node)
    count = volume.grid.shape_kji[0] // _FACTOR
    covered = Grid((count * _FACTOR, *volume.grid.shape_kji[1:]), volume.grid.ijk_to_ras)
    matrix = acquisition_matrix(count, count * _FACTOR, _FACTOR)
    thick = np.tensordot(matrix, volume.array[: count * _FACTOR], axes=1)
    array = np.round(thick).astype(volume.array.dtype) if volume.array.dtype.kind in "iu" else thick
    target = covered.refined("k", 1 / _FACTOR)
    copy = slicer.util.addVolumeFromArray(array, target.ijk_to_ras, f"{node.GetName()} thick")
    scene.copy_display(node, copy)
    return copy
