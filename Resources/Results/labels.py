"""Draws Resources/Results/labels.png: python Resources/Results/labels.py THIN_CT.nii.gz labels.png.

Bone of a thin CT, made thick by majority over 4 slices, and brought back to the thin grid; for --snap the CT is made as
thick and enhanced.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from medical_super_resolution import EnhanceSettings, enhance
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.label_maps.refinement import refine_labels
from medical_super_resolution.volumes.resampling import averaged, to_image
from medical_super_resolution.volumes.volume import Volume

FACTOR = 4
SIDE = 1000


def bone(path: Path) -> Volume:
    """The largest bones: above 180 HU after smoothing by 0.8 mm."""
    volume = files.read(path)
    image = sitk.DiscreteGaussian(sitk.Cast(to_image(volume), sitk.sitkFloat32), 0.8**2)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(image > 180), minimumObjectSize=500)
    count = len(volume.array) // FACTOR * FACTOR
    mask = (sitk.GetArrayFromImage(parts)[:count] > 0).astype(np.uint8)
    return Volume(mask, Grid(mask.shape, volume.grid.ijk_to_ras))


def thick(truth: Volume) -> Volume:
    """The majority over each four slices; a tie is background."""
    share = truth.array.reshape(-1, FACTOR, *truth.array.shape[1:]).mean(axis=1)
    mask = (share > 0.5).astype(np.uint8)
    return Volume(mask, Grid(mask.shape, truth.grid.refined("k", 1 / FACTOR).ijk_to_ras))


def enhanced(path: Path, count: int) -> Volume:
    """The CT with slices averaged to the thick ones, and enhanced back."""
    volume = files.read(path)
    array = volume.array[:count]
    scan = Volume(array, Grid(array.shape, volume.grid.ijk_to_ras), modality="ct")
    settings = EnhanceSettings(factor=float(FACTOR), slice_profile="gaussian")
    return enhance(averaged(scan, "k", FACTOR), settings=settings)


def on_grid(labels: Volume, like: Volume, interpolator: int) -> np.ndarray:
    """Labels resampled by ITK onto the grid of another volume, (K, J, I)."""
    image, reference = to_image(labels), to_image(like)
    return sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), interpolator, 0))


def rendered(mask: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """A surface of the mask as a picture, (rows, columns, 3)."""
    data = vtk.vtkImageData()
    padded = np.pad(mask, 1)
    data.SetDimensions(*padded.shape[::-1])
    data.SetSpacing(spacing)
    data.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=True))
    surface = vtk.vtkDiscreteMarchingCubes()
    surface.SetInputData(data)
    surface.SetValue(0, 1)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(surface.GetOutputPort())
    normals.SplittingOff()
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(0.93, 0.87, 0.76)
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(1, 1, 1)
    renderer.AddActor(actor)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(SIDE, SIDE // 2)
    window.AddRenderer(renderer)
    camera = renderer.GetActiveCamera()
    camera.SetPosition(0.25, 1.0, 0.35)
    camera.SetFocalPoint(0, 0, 0)
    camera.SetViewUp(0, 0, 1)
    renderer.ResetCamera(data.GetBounds())
    camera.Zoom(1.7)
    window.Render()
    grabbed = vtk.vtkWindowToImageFilter()
    grabbed.SetInput(window)
    grabbed.Update()
    picture = grabbed.GetOutput()
    columns, rows, _ = picture.GetDimensions()
    return vtk_to_numpy(picture.GetPointData().GetScalars()).reshape(rows, columns, -1)[::-1]


def content(pictures: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that are not white in every picture; (N, rows, columns, 3)."""
    drawn = (pictures < 250).any(axis=(0, 3))
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def main(source: Path, output: Path) -> None:
    """Render all results and the truth, and write the picture."""
    import matplotlib.pyplot as plt

    truth = bone(source)
    coarse = thick(truth)
    found = {
        "thick, repeated (nearest)": on_grid(coarse, truth, sitk.sitkNearestNeighbor),
        "ITK label-Gaussian": on_grid(coarse, truth, sitk.sitkLabelGaussian),
        "medsr labels": refine_labels(coarse, truth.grid).array,
        "medsr labels --snap": refine_labels(coarse, truth.grid, image=enhanced(source, len(truth.array))).array,
        "thin truth": truth.array,
    }
    pictures = {name: rendered(mask, truth.grid.spacing_ijk_mm) for name, mask in found.items()}
    shown = content(np.stack(list(pictures.values())))
    places = [["0", "0", "1", "1"], ["2", "2", "3", "3"], [".", "4", "4", "."]]
    figure, axes = plt.subplot_mosaic(places, figsize=(11, 8), layout="constrained")
    for axis, (name, mask) in zip(axes.values(), found.items(), strict=True):
        dice = 2 * (mask & truth.array).sum() / (mask.sum() + truth.array.sum())
        axis.imshow(pictures[name][shown])
        axis.set_title(name if mask is truth.array else f"{name}: Dice {dice:.3f}")
        axis.axis("off")
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
