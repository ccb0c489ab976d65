"""A volume as an image of SimpleITK, and back."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .grid import LPS_TO_RAS, Grid
from .volume import Volume


def grid_of(image: sitk.Image) -> Grid:
    """The grid of a SimpleITK image."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return Grid(image.GetSize()[::-1], LPS_TO_RAS @ matrix)


def to_image(volume: Volume) -> sitk.Image:
    """The SimpleITK image of a volume, in LPS."""
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.grid.spacing_ijk_mm)
    image.SetOrigin(volume.grid.ijk_to_lps[:3, 3].tolist())
    image.SetDirection((LPS_TO_RAS[:3, :3] @ volume.grid.direction).ravel().tolist())
    return image
