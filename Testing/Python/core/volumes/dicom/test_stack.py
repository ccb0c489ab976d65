"""Where slices lie: tilted, displaced, rounded, missing, in two zones, in many frames of one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_kinds import enhanced, image, item, save, write_images
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.dicom.places import resampled
from medical_super_resolution.volumes.dicom.reader import Selection
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

PLANES = {"axial": (1, 0, 0, 0, 1, 0), "coronal": (1, 0, 0, 0, 0, -1), "sagittal": (0, 1, 0, 0, 0, -1)}


def wave(places: np.ndarray) -> np.ndarray:
    """A smooth function of the place (..., 3) in mm, LPS: -400 to 600."""
    x, y, z = np.moveaxis(places, -1, 0)
    return 100 + 250 * np.sin(x / 4) * np.cos(y / 5) + 250 * np.cos(z / 14 + y / 9)


def write_scan(folder: Path, positions: np.ndarray, orientation=PLANES["axial"], shape=(22, 24), **said) -> None:
    """CT slices of `wave`, 1 x 1 mm."""
    along_i, along_j = np.reshape(orientation, (2, 3)).astype(float)
    j, i = np.indices(shape)
    places = positions[:, None, None] + i[..., None] * along_i + j[..., None] * along_j
    stored = np.rint(wave(places)).astype(np.int16)

    def change(made: Dataset, k: int) -> None:
        made.ImageOrientationPatient = list(orientation)
        made.ImagePositionPatient = [f"{value:.10g}" for value in positions[k]]

    write_images(folder, stored, change=change, **said)


def places_of(volume: Volume, slices: np.ndarray) -> np.ndarray:
    """(N, J, I, 3) places of voxels in mm, LPS, in slices that may lie between those of the volume."""
    j, i = np.indices(volume.array.shape[1:])
    index = np.stack([np.broadcast_to(i, (len(slices), *i.shape)), np.broadcast_to(j, (len(slices), *j.shape)),
                      np.broadcast_to(slices[:, None, None], (len(slices), *j.shape))], -1)  # fmt: skip
    ras = index @ volume.grid.ijk_to_ras[:3, :3].T + volume.grid.ijk_to_ras[:3, 3]
    return ras * (-1, -1, 1)


def error_of(volume: Volume) -> np.ndarray:
    """How far the values lie from the true function, where something was measured."""
    error = np.abs(volume.array - wave(places_of(volume, np.arange(len(volume.array)))))
    return error if volume.padding is None else error[~volume.padding]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("towards", ["rows", "columns"])
@pytest.mark.parametrize("degrees", [16.5, -12])
@pytest.mark.parametrize("upwards", [True, False])
def test_tilted_slices_are_straightened(tmp_path: Path, plane: str, towards: str, degrees: float, upwards: bool):
    along_i, along_j = np.reshape(PLANES[plane], (2, 3)).astype(float)
    normal = np.cross(along_i, along_j)
    step = 4 * normal + 4 * np.tan(np.radians(degrees)) * (along_j if towards == "columns" else along_i)
    positions = np.array([10.0, -20, 30]) + np.arange(8)[:: 1 if upwards else -1, None] * step
    write_scan(tmp_path / "ct", positions, PLANES[plane])
    volume = files.read(tmp_path / "ct")
    assert not volume.grid.is_sheared
    np.testing.assert_allclose(volume.grid.spacing_ijk_mm, (1, 1, 4), atol=1e-6)
    assert (~volume.padding).sum() == pytest.approx(8 * 22 * 24, rel=0.05)
    assert np.sqrt(np.mean(error_of(volume) ** 2)) < 3
    assert np.unique(volume.array[volume.padding]) == [-1024]
    assert f"tilted by {abs(degrees):.1f} degrees" in volume.notes[0]
    assert volume.sheared_grid is not None  # where the slices lie themselves, as --keep-tilt gives them back
    lps = np.diag([-1, -1, 1, 1]) @ volume.sheared_grid.ijk_to_ras
    first, last = sorted((positions[0], positions[-1]), key=lambda place: place @ normal)
    np.testing.assert_allclose(lps @ (0, 0, 0, 1), (*first, 1), atol=1e-6)
    np.testing.assert_allclose(lps @ (0, 0, 7, 1), (*last, 1), atol=1e-6)
    np.testing.assert_allclose(lps[:3, :2].T, (along_i, along_j), atol=1e-6)


def test_slices_that_were_displaced_one_by_one_return_to_their_place(tmp_path: Path):
    positions = np.zeros((8, 3))
    positions[:, 2], positions[:, 0] = 3 * np.arange(8), (0, 2, 0, 0, 1.5, 0, 0, 0)
    write_scan(tmp_path / "ct", positions)
    volume = files.read(tmp_path / "ct")
    assert np.sqrt(np.mean(error_of(volume) ** 2)) < 3
    assert "displaced sideways by up to 2.00 mm" in volume.notes[0]


def test_slices_as_of_an_eye_that_are_displaced_by_less_than_positions_are_mostly_rounded_return_too(tmp_path: Path):
    places = [(0.05 * (k == 2), 0, 0.06 * k) for k in range(8)]
    eye = enhanced(STORED, places)
    eye.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0.01, 0.01]
    volume = files.read(save(eye, tmp_path / "eye.dcm"))
    assert volume.array.shape == (8, STORED.shape[1], STORED.shape[2] + 5)
    np.testing.assert_array_equal(volume.array[2, :, 5:], STORED[2])
    np.testing.assert_array_equal(volume.array[3, :, :-5], STORED[3])


def test_slices_displaced_by_more_than_twice_their_size_are_refused(tmp_path: Path):
    positions = np.zeros((8, 3))
    positions[:, 2], positions[4:, 1] = 3 * np.arange(8), 44  # 22 rows of 1 mm
    write_scan(tmp_path / "near", positions)
    assert files.read(tmp_path / "near").array.shape == (8, 66, 24)
    positions[4:, 1] += 1
    write_scan(tmp_path / "far", positions)
    with pytest.raises(VolumeError, match="lie beside each other and not in a stack; split the series first"):
        files.read(tmp_path / "far")


@pytest.mark.parametrize("spacing", [0.625, 1.25, 2.33])
def test_positions_rounded_to_a_tenth_of_a_millimeter_are_even(tmp_path: Path, spacing: float):
    positions = np.zeros((40, 3))
    positions[:, 2] = np.round(spacing * np.arange(40) - 33.3, 1)
    write_scan(tmp_path / "ct", positions)
    volume = files.read(tmp_path / "ct")
    assert volume.notes == ()
    assert volume.array.shape[0] == 40
    assert volume.grid.spacing_ijk_mm[2] == pytest.approx(spacing, rel=1e-3)


def test_rounded_positions_of_oblique_slices_are_neither_uneven_nor_tilted(tmp_path: Path):
    along_i, along_j = np.array([1.0, 0, 0]), np.array([0, np.cos(0.4), np.sin(0.4)])
    positions = np.round(np.arange(9)[:, None] * 0.7 * np.cross(along_i, along_j), 1)
    write_scan(tmp_path / "ct", positions, (*along_i, *along_j))
    volume = files.read(tmp_path / "ct")
    assert (volume.notes, volume.padding) == ((), None)
    assert volume.grid.spacing_ijk_mm[2] == pytest.approx(0.7, rel=0.02)


def test_a_drift_of_a_long_stack_by_less_than_a_thousandth_is_no_tilt(tmp_path: Path):
    write_scan(tmp_path / "ct", 5.0 * np.arange(50)[:, None] * (8e-4, 0, 1))
    volume = files.read(tmp_path / "ct")
    assert (volume.notes, volume.padding) == ((), None)


def test_rounded_positions_of_tilted_slices_lie_on_one_line(tmp_path: Path):
    write_scan(tmp_path / "ct", np.round(np.arange(9)[:, None] * (0, 1.23, 4), 1))
    volume = files.read(tmp_path / "ct")
    assert f"tilted by {np.degrees(np.arctan(1.23 / 4)):.1f} degrees" in volume.notes[0]
    assert volume.sheared_grid is not None


@pytest.mark.parametrize("missing", [1, 4, 6])
def test_a_missing_slice_is_interpolated_and_named(tmp_path: Path, missing: int):
    positions = np.zeros((8, 3))
    positions[:, 2] = 3.0 * np.arange(8)
    write_scan(tmp_path / "ct", np.delete(positions, missing, 0))
    volume = files.read(tmp_path / "ct")
    assert volume.array.shape[0] == 8
    assert volume.grid.spacing_ijk_mm[2] == pytest.approx(3)
    error = error_of(volume)
    assert np.delete(error, missing, 0).max() <= 0.5  # the others are as they were measured
    assert error[missing].mean() < 5
    assert f"slice {missing + 1} of 8 is missing" in volume.notes[0]
    np.testing.assert_array_equal(np.flatnonzero(volume.interpolated), [missing])


def test_slices_closer_than_positions_are_mostly_rounded_are_not_taken_for_one_another(tmp_path: Path):
    positions = np.zeros((8, 3))
    positions[:, 2] = 0.02 * np.arange(8)  # of a micro-CT
    write_scan(tmp_path / "ct", np.delete(positions, 3, 0))
    volume = files.read(tmp_path / "ct")
    assert volume.grid.spacing_ijk_mm[2] == pytest.approx(0.02)
    np.testing.assert_array_equal(np.flatnonzero(volume.interpolated), [3])


@pytest.mark.parametrize(
    "steps",
    [
        [2] * 6 + [4] * 4,
        [4] * 4 + [2] * 6,
        [2] * 6 + [5] + [4] * 4,
        [4] * 4 + [5] + [2] * 6,
        [5] * 8 + [8] * 6,
        [1] * 8 + [5] * 4,
    ],
)
def test_two_zones_of_spacing_become_one_at_their_true_places(tmp_path: Path, steps: list[float]):
    positions = np.zeros((len(steps) + 1, 3))
    positions[1:, 2] = np.cumsum(steps)
    write_scan(tmp_path / "ct", positions)
    volume = files.read(tmp_path / "ct")
    assert volume.grid.spacing_ijk_mm[2] == pytest.approx(min(steps), rel=0.06)
    assert np.sqrt(np.mean(error_of(volume) ** 2)) < 8
    assert f"{min(steps):.2f} to {max(steps):.2f} mm apart" in volume.notes[0]
    places = volume.grid.spacing_ijk_mm[2] * np.arange(volume.array.shape[0])
    np.testing.assert_allclose(places[[0, -1]], positions[[0, -1], 2])
    far = np.abs(places[:, None] - positions[:, 2]).min(axis=1) > 0.5 * volume.grid.spacing_ijk_mm[2]
    np.testing.assert_array_equal(volume.interpolated, far)
    assert volume.measured is not None
    step = volume.grid.spacing_ijk_mm[2]
    np.testing.assert_allclose(volume.measured.places * step, positions[:, 2], atol=1e-9)
    assert np.abs(volume.measured.array - wave(places_of(volume, volume.measured.places))).max() <= 0.5
    assert 0 < far.sum() < len(far) / 2 or max(steps) == 5 * min(steps)


@pytest.mark.parametrize("steps", [[4] * 7 + [1] + [7] * 6, [7] * 6 + [0.4] + [4] * 7, [5] * 6 + [2, 3] + [5] * 6])
def test_a_single_narrow_step_as_where_two_zones_overlap_does_not_set_the_distance(tmp_path: Path, steps: list[float]):
    positions = np.zeros((len(steps) + 1, 3))
    positions[1:, 2] = np.cumsum(steps)
    write_scan(tmp_path / "ct", positions)
    volume = files.read(tmp_path / "ct")
    step = volume.grid.spacing_ijk_mm[2]
    assert step == pytest.approx(steps[0] if steps[0] < 7 else 4, rel=0.06)
    assert f"{min(steps):.2f} to {max(steps):.2f} mm apart" in volume.notes[0]
    assert volume.measured is not None
    np.testing.assert_allclose(volume.measured.places * step, positions[:, 2], atol=1e-9)
    assert np.abs(volume.measured.array - wave(places_of(volume, volume.measured.places))).max() <= 0.5


@pytest.mark.parametrize("last", [15.0, 15.001])  # positions are rounded
def test_a_narrow_step_of_half_a_distance_leaves_no_place_out(tmp_path: Path, last: float):
    positions = np.zeros((4, 3))
    positions[:, 2] = [0, 3, 9, last]
    write_scan(tmp_path / "ct", positions)
    volume = files.read(tmp_path / "ct")
    assert volume.grid.spacing_ijk_mm[2] == pytest.approx(last / 3)  # 7.5 mm would be further apart than any two
    assert "3.00 to 6.00 mm apart" in volume.notes[0]


def test_slices_nearer_than_positions_are_rounded_are_not_counted_as_missing(tmp_path: Path):
    positions = np.zeros((9, 3))
    positions[:, 2] = [0, 1, 2, 3, 3.07, 4, 5, 6, 7]
    write_scan(tmp_path / "ct", positions)
    assert "0.07 to 1.00 mm apart" in files.read(tmp_path / "ct").notes[0]


def test_each_slice_of_two_zones_keeps_its_own_thickness(tmp_path: Path):
    """The usual thickness is the most frequent one, and the files are in any order."""
    heights, thickness = [*range(0, 14, 2), *range(16, 36, 4)], [2] * 7 + [4] * 5
    for number, k in enumerate(np.random.default_rng(0).permutation(12)):
        made = image(np.zeros((6, 5), np.int16), (0, 0, heights[k]), SliceThickness=thickness[k])
        save(made, tmp_path / "scan" / f"{number:03d}.dcm")
    volume = files.read(tmp_path / "scan")
    assert volume.slice_thickness_mm == 2
    assert volume.measured is not None
    np.testing.assert_array_equal(volume.measured.thickness, [1] * 7 + [2] * 5)


@pytest.mark.parametrize("unit", [1, 0.01])
def test_between_uneven_slices_a_parabola_is_exact_and_what_was_measured_is_kept(unit: float):
    places = np.array([0, 2, 5, 6.05, 8, 12])
    targets = np.array([2, 3, 5.5, 6, 7])
    found = resampled(places[:, None, None] ** 2, unit * places, unit * targets).ravel()
    np.testing.assert_allclose(found, np.where(targets == 6, 6.05, targets) ** 2, rtol=1e-12)


def test_a_missing_slice_beside_an_edge_is_neither_below_air_nor_above_the_brightest_tissue():
    places, missing = np.array([0.0, 1, 2, 4, 5]), np.array([3.0])
    for planes, value in (([400, 400, -1000, -1000, -1000], -1000), ([-1000, -1000, 400, 400, 400], 400)):
        found = resampled(np.array(planes, np.int16)[:, None, None], places, missing)
        assert found.ravel().tolist() == [value]


def test_two_missing_slices_of_eighteen_are_interpolated_and_named(tmp_path: Path):
    positions = np.zeros((18, 3))
    positions[:, 2] = 3.0 * np.arange(18)
    write_scan(tmp_path / "ct", np.delete(positions, (3, 9), 0))
    assert "slices 4, 10 of 18 are missing and were interpolated" in files.read(tmp_path / "ct").notes[0]


@pytest.mark.parametrize("gone", [(3, 4), (2, 6)])
def test_many_missing_slices_are_refused(tmp_path: Path, gone: tuple[int, ...]):
    positions = np.zeros((12, 3))
    positions[:, 2] = 3.0 * np.arange(12)
    write_scan(tmp_path / "ct", np.delete(positions, gone, 0))
    with pytest.raises(VolumeError, match="mm apart"):
        files.read(tmp_path / "ct")


@pytest.mark.parametrize("spacing", [[1, 2], [2, 1]])
def test_one_slice_of_another_pixel_spacing_does_not_decide_for_all(tmp_path: Path, spacing: list[int]):
    positions = np.zeros((8, 3))
    positions[:, 2] = 3.0 * np.arange(8)
    stored = np.ones((1, 22, 24), np.int16)
    write_images(tmp_path / "two", stored, PixelSpacing=spacing)
    write_scan(tmp_path / "two" / "rest", positions + (0, 0, 3))
    volume = files.read(tmp_path / "two")
    assert volume.grid.spacing_ijk_mm[:2] == (1, 1)
    assert volume.array.shape[0] == 8
    assert "pixel spacing" in volume.notes[0]


@pytest.mark.parametrize("tilt", [0, 0.3])
def test_slices_of_dicom_lie_along_k_though_the_pixels_are_longer(tmp_path: Path, tilt: float):
    positions = 0.625 * np.arange(8)[:, None] * (0, tilt, 1)
    write_scan(tmp_path / "ct", positions, PixelSpacing=[1, 4], SliceThickness=1.25)
    volume = files.read(tmp_path / "ct")
    assert (volume.grid.through_plane_axis, volume.slice_thickness_mm) == ("k", 1.25)
    assert (volume.sheared_grid or volume.grid).through_plane_axis == "k"
    assert (volume.sheared_grid is None) == (tilt == 0)
    assert volume.array.shape == (8, 24 if tilt else 22, 24)  # 1.3 rows more


STORED = np.random.default_rng(0).integers(0, 900, (8, 6, 5)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["CT", "MR", "PT", "legacy CT"])
@pytest.mark.parametrize("order", [range(8), range(8)[::-1], (3, 0, 7, 1, 6, 2, 5, 4)])
def test_frames_are_ordered_by_place_and_rescaled_one_by_one(tmp_path: Path, kind: str, order):
    order, slopes = list(order), np.linspace(0.5, 1.2, 8)
    positions = [(3, 4, 5.0 * k) for k in order]
    made = enhanced(STORED[order], positions, kind, slopes=[f"{slopes[k]:.6g}" for k in order])
    save(made, tmp_path / "scan" / "all.dcm")
    volume = files.read(tmp_path / "scan")
    np.testing.assert_allclose(volume.array, STORED * np.round(slopes, 6)[:, None, None], rtol=1e-6)
    np.testing.assert_allclose(volume.grid.ijk_to_ras, [[-1, 0, 0, -3], [0, -1, 0, -4], [0, 0, 5, 0], [0, 0, 0, 1]])
    assert volume.slice_thickness_mm == 4
    assert volume.modality == {"CT": "ct", "MR": "mr", "PT": "pet"}[kind.split()[-1]]


def test_frames_are_distinguished_by_their_component_their_dimension_and_their_moment(tmp_path: Path):
    order = [3, 6, 0, 5, 1, 7, 2, 4]
    positions = [(0, 0, 5.0 * (number // 2)) for number in order]

    def components(frame: int) -> dict[str, object]:
        kind = ("MAGNITUDE", "PHASE")[order[frame] % 2]
        return {"MRImageFrameTypeSequence": [item(ComplexImageComponent=kind)]}

    def dimensions(frame: int) -> dict[str, object]:
        return {"FrameContentSequence": [item(DimensionIndexValues=[order[frame] // 2 + 1, order[frame] % 2 + 1])]}

    def moments(frame: int) -> dict[str, object]:
        place, phase = divmod(order[frame], 2)
        return {"CardiacSynchronizationSequence": [item(NominalCardiacTriggerDelayTime=400.0 * phase + 3.5 * place)]}

    for groups in (components, dimensions, moments):
        save(enhanced(STORED[order], positions, extra=groups), tmp_path / "scan" / "all.dcm")
        for phase in (1, 2):
            volume = files.read(tmp_path / "scan", Selection(phase=phase))
            np.testing.assert_array_equal(volume.array, STORED[phase - 1 :: 2])


def test_what_a_converted_file_does_not_assign_counts_last(tmp_path: Path):
    positions = [(0, 0, 5.0 * number) for number in range(8)]
    others = {"UnassignedPerFrameConvertedAttributesSequence": [item(ImagePositionPatient=[9, 9, 9], EchoNumbers=1)],
              "ReferencedImageSequence": [item(ImagePositionPatient=[7, 7, 7])]}  # fmt: skip
    save(enhanced(STORED, positions, "legacy CT", extra=lambda frame: others), tmp_path / "scan" / "all.dcm")
    np.testing.assert_array_equal(files.read(tmp_path / "scan").array, STORED)


def test_nothing_outside_tilted_slices_is_blended_into_those_between_them(tmp_path: Path):
    """A head whose base was measured with half the distance, by a tilted gantry."""
    heights = [2 * k for k in range(6)] + [14 + 4 * k for k in range(5)]
    for number, height in enumerate(heights):
        place = (0, 0.3 * height, height)
        made = image(np.full((20, 12), 1524, np.uint16), place, RescaleSlope=1, RescaleIntercept=-1024)
        save(made, tmp_path / "scan" / f"{number:03d}.dcm")
    volume = files.read(tmp_path / "scan")
    assert volume.array.shape[0] == 16
    assert volume.sheared_grid.shape_kji == (16, 20, 12)
    assert set(np.unique(volume.array[~volume.padding])) == {500}


@pytest.mark.parametrize(("lowest", "kind"), [(-1500, np.int16), (30, np.uint16)])
def test_outside_tilted_slices_is_nothing_brighter_than_what_was_measured(tmp_path: Path, lowest: int, kind: type):
    """Of the smallest value where that is below air, or where the type holds no value of air."""
    stored = np.full((20, 12), 500, kind)
    stored[5, 5] = lowest
    for number in range(6):
        save(image(stored, (0, 1.2 * number, 4 * number)), tmp_path / "scan" / f"{number:03d}.dcm")
    volume = files.read(tmp_path / "scan")
    assert "tilted" in volume.notes[0]
    assert np.unique(volume.array[volume.padding]) == [lowest]


def test_the_surroundings_of_tilted_slices_are_as_dark_as_their_type_allows(tmp_path: Path):
    """Beyond 8 bits, -1024 would become 0, as water."""

    def of_bytes(made: Dataset, k: int) -> None:
        made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
        made.PixelData = bytes(made.Rows * made.Columns)

    volume = files.read(write_images(tmp_path / "ct", np.zeros((6, 8, 10), np.int16), (0, 1, 4), of_bytes))
    assert np.unique(volume.array[volume.padding]) == [-128]


@pytest.mark.parametrize(("named", "kind"), [((-2000, -1990), np.int16), ((63536, 63540), np.uint16)])
def test_padding_of_tilted_slices_stays_padding(tmp_path: Path, named: tuple[int, int], kind: type):
    stored = np.full((20, 12), 1524, kind)
    stored[:, :3], stored[:, 3] = named
    for number in range(6):
        made = image(stored, (0, 1.2 * number, 4 * number), RescaleSlope=1, RescaleIntercept=-1024)
        for tag, value in zip((0x00280120, 0x00280121), named, strict=True):
            made.add_new(tag, "SS" if kind is np.int16 else "US", value)
        save(made, tmp_path / "scan" / f"{number:03d}.dcm")
    volume = files.read(tmp_path / "scan")
    assert "tilted" in volume.notes[0]
    assert volume.padding[:, :, :4].all()
    assert set(np.unique(volume.array[volume.padding])) == {named[0] - 1024}
    assert set(np.unique(volume.array[~volume.padding])) == {500}


def test_padding_of_uneven_slices_keeps_its_value_and_goes_halfway_to_the_next_slice(tmp_path: Path):
    for number, height in enumerate([0, 2, 4, 6, 12, 18]):
        stored = np.full((6, 5), 500, np.int16)
        stored[:3, :2] = 30000 if height > 6 else 500
        made = image(stored, (0, 0, height))
        made.add_new(0x00280120, "SS", 30000)
        save(made, tmp_path / "scan" / f"{number:03d}.dcm")
    volume = files.read(tmp_path / "scan")
    np.testing.assert_array_equal(volume.padding[:, 0, 0], np.arange(0, 20, 2) > 9)
    np.testing.assert_array_equal(volume.padding, volume.array == 30000)
    assert set(np.unique(volume.array)) == {500, 30000}


def test_a_frame_without_a_place_is_not_lost_in_silence(tmp_path: Path):
    made = enhanced(STORED, [(0, 0, 5.0 * number) for number in range(len(STORED))])
    del made.PerFrameFunctionalGroupsSequence[-1]
    save(made, tmp_path / "scan" / "all.dcm")
    with pytest.raises(VolumeError, match="holds 8 frames but places 7"):
        files.read(tmp_path / "scan")


def test_what_a_private_sequence_states_counts_last(tmp_path: Path):
    """Philips repeats attributes of each frame in one, with positions that are half a voxel off."""
    made = enhanced(STORED, positions := [(-20.0, 3, 4 * k) for k in range(len(STORED))])
    for group, place in zip(made.PerFrameFunctionalGroupsSequence, positions, strict=True):
        other = item(ImagePositionPatient=[place[0] + 0.5, place[1] + 0.5, place[2]], SliceThickness=9, RescaleSlope=2)
        group.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [other])
    save(made, tmp_path / "scan" / "all.dcm")
    volume = files.read(tmp_path / "scan")
    assert np.array_equal(volume.array, STORED)
    assert volume.grid.ijk_to_ras[:3, 3] == pytest.approx((20, -3, 0))
    assert volume.slice_thickness_mm == 4  # shared by all frames


def test_echoes_in_the_frames_of_one_file_are_split(tmp_path: Path):
    positions = [(0, 0, 5.0 * (number // 2)) for number in range(8)]

    def groups(number: int) -> dict[str, object]:
        return {"MREchoSequence": [item(EffectiveEchoTime=(10.0, 80.0)[number % 2])]}

    save(enhanced(STORED, positions, extra=groups), tmp_path / "scan" / "all.dcm")
    with pytest.raises(VolumeError, match=r"1: echo time 10\.0 ms; 2: echo time 80\.0 ms"):
        files.read(tmp_path / "scan")
    for phase in (1, 2):
        volume = files.read(tmp_path / "scan" / "all.dcm", Selection(phase=phase))
        np.testing.assert_array_equal(volume.array, STORED[phase - 1 :: 2])


def test_tilted_frames_of_one_file_are_straightened(tmp_path: Path):
    positions = [(0, 5 * k * np.tan(0.3), 5.0 * k) for k in range(8)]
    save(enhanced(STORED, positions), tmp_path / "scan" / "all.dcm")
    volume = files.read(tmp_path / "scan")
    assert f"tilted by {np.degrees(0.3):.1f} degrees" in volume.notes[0]
    assert volume.array.shape == (8, 6 + int(np.ceil(35 * np.tan(0.3))), 5)
