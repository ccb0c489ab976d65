"""Mosaics of Siemens against nibabel, of the two real headers that it is tested with, and of United Imaging."""

from __future__ import annotations

import gzip
import sys
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_kinds import image, save
from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.volumes.dicom.derived.writer import check_output
from medical_super_resolution.volumes.dicom.reader import Selection
from medical_super_resolution.volumes.io import files

HEADERS = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
B_VALUES = (0, 1000)
LPS_TO_RAS = np.diag([-1, -1, 1, 1])


@pytest.fixture
def mosaics(tmp_path: Path) -> Path:
    if not HEADERS.is_dir():
        pytest.skip("this nibabel was installed without the files that it is tested with")
    for b_value in B_VALUES:
        content = gzip.decompress((HEADERS / f"siemens_dwi_{b_value}.dcm.gz").read_bytes())
        path = tmp_path / f"{b_value}.dcm"
        path.write_bytes(content)
        made = dcmread(path)
        shape = made.Rows, made.Columns
        made.PixelData = np.random.default_rng(b_value).integers(0, 4000, shape).astype(np.uint16).tobytes()
        made.save_as(path)
    return tmp_path


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("is_square", [True, False])
def test_the_slices_of_a_mosaic_lie_where_nibabel_sees_them(mosaics: Path, number: int, *, is_square: bool):
    for path in () if is_square else mosaics.glob("*.dcm"):
        made = dcmread(path)
        made.Rows, made.PixelSpacing = made.Rows // 2, [2, 3]
        made.PixelData = made.PixelData[: 2 * made.Rows * made.Columns]
        made.save_as(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its readers are experimental
        from nibabel.nicom.dicomwrappers import wrapper_from_file

        wrapper = wrapper_from_file(mosaics / f"{B_VALUES[number - 1]}.dcm")
    expected = wrapper.get_data()
    index = np.random.default_rng(0).integers(0, expected.shape, (2000, 3))
    volume = files.read(mosaics, Selection(phase=number))
    to_index = np.linalg.inv(volume.grid.ijk_to_ras) @ LPS_TO_RAS @ wrapper.affine
    places = (to_index @ np.column_stack([index, np.ones(len(index))]).T)[:3]
    i, j, k = np.rint(places).astype(int)
    np.testing.assert_allclose(places, (i, j, k), atol=1e-3)
    np.testing.assert_array_equal(volume.array[k, j, i], expected[tuple(index.T)])
    assert f"b {B_VALUES[number - 1]} s/mm2" in volume.notes[0]


@pytest.mark.filterwarnings("error")
def test_a_mosaic_in_an_unknown_set_of_characters_is_read_without_a_warning(mosaics: Path):
    path = mosaics / "0.dcm"
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ANNE MOORE"))
    files.read(mosaics, Selection(phase=1))


def test_several_mosaics_are_several_volumes(mosaics: Path):
    with pytest.raises(VolumeError, match="holds 2 volumes.*1: b 0 s/mm2; 2: b 1000 s/mm2"):
        files.read(mosaics)


def test_a_mosaic_without_nibabel_is_refused_in_a_sentence(mosaics: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "nibabel"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match="Siemens mosaics need nibabel"):
        files.read(mosaics, Selection(phase=1))


def test_no_dicom_is_derived_from_a_mosaic(mosaics: Path):
    with pytest.raises(VolumeError, match="is a mosaic, from which no DICOM can be derived"):
        check_output([mosaics / "0.dcm"], mosaics / "new")


def test_a_mosaic_without_the_direction_of_its_slices_is_refused_with_what_to_do(mosaics: Path):
    for path in mosaics.glob("*.dcm"):
        made = dcmread(path)
        del made[0x00291010]
        made.save_as(path)
    with pytest.raises(VolumeError, match="mosaic of Siemens or United Imaging without the headers.*dcm2niix"):
        files.read(mosaics)


def united_imaging(slices: np.ndarray, b_value: float) -> Dataset:
    """A mosaic with three slices side by side and two below each other, the last place empty."""
    tiles = np.concatenate([slices, np.zeros_like(slices[:1])]).reshape(2, 3, *slices.shape[1:])
    picture = tiles.swapaxes(1, 2).reshape(2 * slices.shape[1], 3 * slices.shape[2])
    made = image(picture, (0, 0, 0), modality="MR", ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"])
    del made.ImagePositionPatient
    block = made.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x09, "FD", b_value)
    items = [Dataset() for _ in slices]
    for k, item in enumerate(items):
        item.ImagePositionPatient = [10, 20, 30 - 4 * k]
    block.add_new(0x51, "SQ", items)
    return made


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_mosaic_of_united_imaging_is_split_into_slices_at_the_places_that_it_states(tmp_path: Path, syntax: UID):
    stored = np.random.default_rng(0).integers(0, 3000, (2, 5, 6, 8)).astype(np.uint16)
    for number, slices in enumerate(stored):
        made = united_imaging(slices, 700.0 * number)
        made.file_meta.TransferSyntaxUID = syntax
        save(made, tmp_path / f"{number}.dcm")
    for number, slices in enumerate(stored):
        volume = files.read(tmp_path, Selection(phase=number + 1))
        np.testing.assert_array_equal(volume.array, slices[::-1])
        np.testing.assert_allclose(volume.grid.ijk_to_lps @ (0, 0, 4, 1), (10, 20, 30, 1))
        assert f"b {700 * number} s/mm2" in volume.notes[0]


def test_a_mosaic_of_united_imaging_without_the_places_of_its_slices_is_refused_with_what_to_do(tmp_path: Path):
    made = united_imaging(np.ones((5, 6, 8), np.uint16), 0.0)
    del made[0x00651051]
    save(made, tmp_path / "0.dcm")
    with pytest.raises(VolumeError, match="mosaic of Siemens or United Imaging without the headers.*dcm2niix"):
        files.read(tmp_path)
