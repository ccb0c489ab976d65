"""The fields of NIfTI headers, against nibabel."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from medical_super_resolution.volumes.io.nifti.fields import (
    fields_in,
    form,
    new_fields,
    place_without_forms,
    set_form,
    set_shape_and_type,
)

KINDS = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}
HALF_TURN = np.diag([-1.0, -1.0, 1.0])  # whose quaternion has no real part
RANDOM = np.random.default_rng(0).normal(size=(4, 3, 3))
SHEARED = RANDOM[0]
AXES = [np.eye(3), HALF_TURN, np.eye(3)[[2, 0, 1]] * [1, -1, 1], *np.linalg.qr(RANDOM)[0], SHEARED]


def placed(axes: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes * [0.7, 0.8, 5.0], (-30, 12.5, 100)
    return matrix


def nibabel_header(version: int, order: str, matrix: np.ndarray) -> nibabel.Nifti1Header:
    header = KINDS[version](endianness=order)
    header.set_data_shape((5, 6, 7))
    header.set_data_dtype(np.int16)
    header.set_sform(matrix, 1)
    header.set_qform(matrix, 2)
    return header


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
def test_places_are_those_of_nibabel(version: int, order: str, axes: np.ndarray):
    expected = nibabel_header(version, order, placed(axes))
    header = fields_in(expected.binaryblock, version, order)
    np.testing.assert_allclose(form(header, "sform"), expected.get_sform(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(form(header, "qform"), expected.get_qform(), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(place_without_forms(header), expected.get_base_affine())


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("version", [1, 2])
def test_a_place_is_written_as_nibabel_writes_it(version: int, axes: np.ndarray):
    expected = nibabel_header(version, "<", placed(axes))
    header = fields_in(KINDS[version]().binaryblock, version)
    set_shape_and_type(header, (5, 6, 7), np.dtype(np.int16))
    set_form(header, "sform", placed(axes), 1)
    set_form(header, "qform", placed(axes), 2)
    written = KINDS[version](header.tobytes())
    np.testing.assert_array_equal(written.get_sform(), expected.get_sform())
    np.testing.assert_allclose(written.get_qform(), expected.get_qform(), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(written["pixdim"], expected["pixdim"], rtol=1e-6)
    for name in ("dim", "datatype", "bitpix", "sform_code", "qform_code"):
        np.testing.assert_array_equal(written[name], expected[name])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
def test_every_field_is_swapped_as_nibabel_swaps_it(version: int, order: str):
    block = bytes(number % 251 for number in range(KINDS[version].sizeof_hdr))
    expected = KINDS[version](block, endianness=order, check=False).as_byteswapped().binaryblock
    header = fields_in(block, version, order)
    assert header.tobytes() == block
    assert header.byteswap().tobytes() == expected


def test_a_quaternion_that_is_none_gives_no_place():
    header = fields_in(nibabel_header(1, "<", placed(np.eye(3))).binaryblock, 1)
    header["quatern"] = (0.8, 0.8, 0)
    assert form(header, "qform") is None


def test_a_new_header_is_that_of_nibabel():
    expected = nibabel.Nifti1Header()
    expected.set_xyzt_units("mm", "sec")
    expected.set_data_shape((5, 6, 7))
    expected["scl_slope"], expected["scl_inter"] = 1, 0
    header = new_fields()
    set_shape_and_type(header, (5, 6, 7), np.dtype(np.float32))
    header["scl_slope"], header["magic"] = 1, b"n+1"
    assert header.tobytes() == expected.binaryblock
