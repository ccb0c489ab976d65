"""Siemens mosaics, against nibabel: of the two real headers that it is tested with, pixels made up."""

from __future__ import annotations

import gzip
import sys
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

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
    with pytest.raises(VolumeError, match="is a Siemens mosaic, from which no DICOM can be derived"):
        check_output([mosaics / "0.dcm"], mosaics / "new")


def test_a_mosaic_without_the_direction_of_its_slices_is_refused_with_what_to_do(mosaics: Path):
    for path in mosaics.glob("*.dcm"):
        made = dcmread(path)
        del made[0x00291010]
        made.save_as(path)
    with pytest.raises(VolumeError, match="Siemens mosaic without the headers.*dcm2niix"):
        files.read(mosaics)
