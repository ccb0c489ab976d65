"""The place and the directions of NRRD files, against ITK and across a file of a result."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from limited_reading import refusal
from medical_super_resolution.volumes.io import files

VALUES = np.arange(240, dtype=np.int16).reshape(2, 4, 6, 5)  # two volumes of 5 x 6 x 4 voxels
SIGNS = {"RAS": (1, 1, 1), "LAS": (-1, 1, 1), "LPS": (-1, -1, 1)}  # to RAS


def write(path: Path, fields: str, values: np.ndarray = VALUES[0]) -> Path:
    sizes = " ".join(map(str, reversed(values.shape)))
    head = f"NRRD0004\ntype: short\ndimension: {values.ndim}\nsizes: {sizes}\nendian: little\nencoding: raw\n{fields}\n"
    path.write_bytes(head.encode() + b"\n" + values.tobytes())
    return path


@pytest.mark.parametrize(
    "fields",
    [
        "spacings: 0.9 0.8 4\naxis mins: 3 -4 5",
        "spacings: 0.9 0.8 4\naxismins: 3 -4 5\ncenters: node cell node",
        "axis mins: 3 -4 5\naxis maxs: 8 20 25\ncenterings: cell cell cell",
    ],
)
def test_the_ends_of_axes_place_a_volume_as_in_itk(tmp_path: Path, fields: str):
    path = write(tmp_path / "scan.nrrd", fields)
    grid, image = files.read(path).grid, sitk.ReadImage(str(path))
    np.testing.assert_allclose(grid.ijk_to_lps[:3, 3], image.GetOrigin())
    np.testing.assert_allclose(grid.spacing_ijk_mm, image.GetSpacing())


def test_ends_of_axes_that_stand_for_a_spacing_are_mentioned(tmp_path: Path):
    notes = files.read(write(tmp_path / "scan.nrrd", "axis mins: 3 -4 5\naxis maxs: 8 20 25")).notes
    assert "gives no spacing but the ends of its axes; voxels count as 1 mm" in notes[0]


@pytest.mark.parametrize(
    ("axes", "stated", "thickness_mm"),
    [
        ((0.9, 0.8, 4.0), "NaN NaN 3.5", 3.5),
        ((4.0, 0.8, 0.9), "3.5 NaN NaN", 3.5),
        ((0.9, 0.8, 4.0), "NaN NaN NaN", None),
        ((0.9, 0.8, 4.0), "NaN NaN -1", None),
        ((0.9, 0.8, 4.0), "NaN NaN", None),
        ((0.9, 0.8, 4.0), "1 2 thick", None),
    ],
)
def test_the_thickness_along_the_slices_is_the_slice_thickness(tmp_path: Path, axes, stated: str, thickness_mm):
    directions = "({},0,0) (0,{},0) (0,0,{})".format(*axes)
    fields = f"space: LPS\nspace directions: {directions}\nthicknesses: {stated}"
    assert files.read(write(tmp_path / "scan.nrrd", fields)).slice_thickness_mm == thickness_mm
    fields = (
        f"space: LPS\nspace directions: none {directions}\nkinds: list domain domain domain\nthicknesses: NaN {stated}"
    )
    path = write(tmp_path / "series.nrrd", fields, np.moveaxis(VALUES, 0, -1).copy())
    assert files.read(path, number=1).slice_thickness_mm == thickness_mm


@pytest.mark.parametrize(
    "space", ["Right Anterior Superior", "leftanteriorsuperior", "left posterior superior", "3D right handed"]
)
def test_all_spellings_of_a_space_are_those_of_itk(tmp_path: Path, space: str):
    fields = f"space: {space}\nspace directions: (1,0,0) (0,1,0) (0,0,4)\nspace origin: (3,-4,5)"
    path = write(tmp_path / "scan.nrrd", fields)
    grid, image = files.read(path).grid, sitk.ReadImage(str(path))
    np.testing.assert_allclose(grid.ijk_to_lps[:3, 3], image.GetOrigin())
    np.testing.assert_allclose(grid.ijk_to_lps[:3, :3] / grid.spacing_ijk_mm, np.reshape(image.GetDirection(), (3, 3)))


@pytest.mark.parametrize("space", ["RPS", "right-posterior-superior", "RAI", "patient"])
def test_a_space_that_the_format_does_not_know_is_refused(tmp_path: Path, space: str):
    path = write(tmp_path / "scan.nrrd", f"space: {space}\nspace directions: (1,0,0) (0,1,0) (0,0,4)")
    assert f"its space is the unknown {space!r}" in refusal(path)


@pytest.mark.parametrize(("fields", "said"), [
    ("space directions: 1 0 0 0 1 0 0 0 4", "its space directions are damaged"),
    ("space directions:", "its space directions are damaged"),
    ("space directions: (1,0,0) (0,1,0) (0,0,4)\nspace origin: 3 -4 5", "its space origin is damaged"),
    ("space directions: (1,0,0) (0,1,0) (0,0,4)\nspace origin: (3,0,0) (0,-4,0)", "its space origin is damaged"),
])  # fmt: skip
def test_a_place_that_is_no_vector_is_refused(tmp_path: Path, fields: str, said: str):
    assert said in refusal(write(tmp_path / "scan.nrrd", f"space: RAS\n{fields}"))


@pytest.mark.parametrize(("fields", "said"), [
    ("spacings: 0.9 4", "its spacings are damaged: 2 for 3 axes"),
    ("spacings:", "its spacings are damaged: 0 for 3 axes"),
    ("spacings: 0.9 0.8 4 1", "its spacings are damaged: 4 for 3 axes"),
    ("space: RAS\nspace directions: (1,0,0) (0,1,0)", "its space directions are damaged: 2 for 3 axes"),
    ("space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,4) (0,0,1)", "its space directions are damaged: 4 for 3 axes"),
])  # fmt: skip
def test_more_or_fewer_distances_than_axes_are_refused_as_by_itk(tmp_path: Path, fields: str, said: str):
    path = write(tmp_path / "scan.nrrd", fields)
    assert said in refusal(path)
    with pytest.raises(RuntimeError, match="nrrd"):
        sitk.ReadImage(str(path))


def test_of_a_series_directions_of_more_axes_than_it_has_are_refused(tmp_path: Path):
    fields = "space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,4) (0,0,1) none"
    assert "its space directions are damaged: 5 for 4 axes" in refusal(write(tmp_path / "scan.nrrd", fields, VALUES))


@pytest.mark.parametrize("order", ["middle", "MSB", "<"])
def test_an_unknown_byte_order_is_refused(tmp_path: Path, order: str):
    path = write(tmp_path / "scan.nrrd", "space: RAS")
    path.write_bytes(path.read_bytes().replace(b"endian: little", f"endian: {order}".encode()))
    assert f"its byte order is the unknown {order!r}" in refusal(path)


@pytest.mark.parametrize("long", ["right-anterior-superior", "left-anterior-superior", "left-posterior-superior"])
def test_a_space_with_time_is_the_same_by_its_short_name(tmp_path: Path, long: str):
    short = "".join(word[0] for word in long.split("-")).upper() + "T"
    fields = "space directions: (1,0,0,0) (0,1,0,0) (0,0,4,0) (0,0,0,1)\nspace origin: (3,-4,5,0)"
    grids = [
        next(files.read_all(write(tmp_path / "scan.nrrd", f"space: {name}\n{fields}", VALUES))).grid
        for name in (f"{long}-time", short)
    ]
    assert grids[0] == grids[1]
    np.testing.assert_array_equal(grids[0].ijk_to_ras[:3, 3], np.array(SIGNS[short[:3]]) * [3, -4, 5])


@pytest.mark.parametrize("frame", [None, "(0,1,0) (-1,0,0) (0,0,1)", "(0.8,0.6,0) (-0.6,0.8,0) (0,0,-1)"])
@pytest.mark.parametrize("space", ["RAS", "LAS", "LPS"])
def test_diffusion_gradients_keep_their_direction_in_the_patient(tmp_path: Path, space: str, frame: str | None):
    """Whatever the space that the result is written in."""
    fields = f"space: {space}\nspace directions: (1,0,0) (0,1,0) (0,0,4) none\nkinds: domain domain domain list\n"
    fields += f"measurement frame: {frame}\n" if frame else ""
    path = write(tmp_path / "dwi.nrrd", fields + "modality:=DWMRI\nDWMRI_gradient_0001:=1 0.5 0.25", VALUES)
    files.write_series(list(files.read_all(path)), tmp_path / "again.nrrd")
    found = [direction_in_ras(tmp_path / name, np.array([1, 0.5, 0.25])) for name in ("dwi.nrrd", "again.nrrd")]
    np.testing.assert_allclose(found[1], found[0], atol=1e-12)


def direction_in_ras(path: Path, direction: np.ndarray) -> np.ndarray:
    """By the definition of the format: the frame's vectors times the direction, in the space of the file."""
    head = path.read_bytes().split(b"\n\n")[0].decode()
    space = "RAS" if "RAS" in head else "LAS" if "LAS" in head else "LPS"
    vectors = re.search("measurement frame: (.*)", head)
    columns = np.array(eval(vectors[1].replace(") (", "),("))).T if vectors else np.eye(3)  # written above
    return np.array(SIGNS[space]) * (columns @ direction)


def test_a_plain_image_gets_no_measurement_frame(tmp_path: Path):
    volume = files.read(write(tmp_path / "scan.nrrd", "space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,4)"))
    files.write(volume, tmp_path / "again.nrrd")
    assert b"measurement frame" not in (tmp_path / "again.nrrd").read_bytes()
