"""The package as its users import it: any kind of image in, the same kind out."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import medical_super_resolution
from medical_super_resolution import EnhanceSettings, EnhanceTransform, Volume, enhance, fuse, load_model, write
from medical_super_resolution.api.image_kinds import to_volume
from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.inference.fusion.report import Fused
from medical_super_resolution.inference.fusion.settings import FusionSettings
from medical_super_resolution.models.file import Model
from medical_super_resolution.volumes.resampling import to_image
from medical_super_resolution.volumes.volume import Enhanced
from model_samples import write_model

TWICE = EnhanceSettings(factor=2, axes="k", slice_profile="gaussian", device="cpu")


@pytest.fixture
def expected(a_volume: Volume, a_model: Model) -> Volume:
    return enhance(a_volume, a_model, TWICE)


def test_a_volume_gives_a_volume(expected: Volume, a_volume: Volume):
    assert isinstance(expected, Volume)
    assert expected.grid == a_volume.grid.refined("k", 2)


def test_a_path_gives_a_volume(a_volume: Volume, a_model: Model, expected: Volume, tmp_path: Path):
    write(a_volume, tmp_path / "scan.nii.gz")

    found = enhance(str(tmp_path / "scan.nii.gz"), a_model, TWICE)

    assert np.abs(found.array - expected.array.astype(np.float32)).max() <= 1  # the header rounds the spacing
    np.testing.assert_allclose(found.grid.ijk_to_ras, expected.grid.ijk_to_ras, atol=1e-4)


def test_a_simple_itk_image_gives_one_in_the_same_place(a_volume: Volume, a_model: Model, expected: Volume):
    found = enhance(to_image(a_volume), a_model, TWICE, modality="ct")

    assert isinstance(found, sitk.Image)
    back = to_volume(found).volume
    np.testing.assert_array_equal(back.array, expected.array)
    np.testing.assert_allclose(back.grid.ijk_to_ras, expected.grid.ijk_to_ras, atol=1e-9)


def test_a_nibabel_image_gives_one_with_the_new_affine_and_type(a_volume: Volume, a_model: Model, expected: Volume):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(a_volume.array.transpose(), a_volume.grid.ijk_to_ras)
    image.header["slice_end"] = 8

    found = enhance(image, a_model, TWICE, modality="ct")

    assert isinstance(found, nibabel.Nifti1Image)
    assert found.get_data_dtype() == np.int16
    assert int(found.header["slice_end"]) == 0
    np.testing.assert_array_equal(np.asarray(found.dataobj).transpose(), expected.array)
    np.testing.assert_allclose(found.affine, expected.grid.ijk_to_ras)


def test_a_nibabel_image_keeps_both_places_and_their_codes(a_volume: Volume, a_model: Model, expected: Volume):
    nibabel = pytest.importorskip("nibabel")
    elsewhere = np.diag([-1.0, 1.0, 1.0, 1.0]) @ a_volume.grid.ijk_to_ras
    image = nibabel.Nifti1Image(a_volume.array.transpose(), a_volume.grid.ijk_to_ras)
    image.set_sform(a_volume.grid.ijk_to_ras, code="mni")
    for matrix, code in ((elsewhere, 1), (None, 0)):
        image.set_qform(matrix, code)
        found = enhance(image, a_model, TWICE, modality="ct")
        sform, sform_code = found.get_sform(coded=True)
        assert (sform_code, int(found.header["qform_code"])) == (4, code)
        np.testing.assert_allclose(sform, expected.grid.ijk_to_ras, rtol=1e-6)
        np.testing.assert_allclose(found.affine, expected.grid.ijk_to_ras, rtol=1e-6)
        if code:
            mirrored = np.diag([-1.0, 1.0, 1.0, 1.0]) @ expected.grid.ijk_to_ras
            np.testing.assert_allclose(found.get_qform(), mirrored, atol=1e-4)
    image.set_sform(None, 0, update_affine=False)  # then its place is in no header
    found = enhance(image, a_model, TWICE, modality="ct")
    np.testing.assert_allclose(found.affine, expected.grid.ijk_to_ras, rtol=1e-6)


def test_the_slice_axis_that_a_nibabel_image_names_is_refined_as_from_its_file(
    a_volume: Volume, a_model: Model, tmp_path: Path
):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(a_volume.array.transpose(), np.diag([1.0, 2.0, 3.5, 1.0]))
    image.header.set_dim_info(slice=0)
    nibabel.save(image, tmp_path / "scan.nii")

    found = enhance(image, a_model, factor=2, modality="ct")

    expected = enhance(tmp_path / "scan.nii", a_model, factor=2, modality="ct")
    np.testing.assert_array_equal(np.asarray(found.dataobj).transpose(), expected.array)


def test_a_torchio_image_gives_one_with_the_new_affine(a_volume: Volume, a_model: Model, expected: Volume):
    torch, torchio = pytest.importorskip("torch"), pytest.importorskip("torchio")
    values = torch.from_numpy(np.ascontiguousarray(a_volume.array.transpose()))[None]

    found = enhance(torchio.ScalarImage(tensor=values, affine=a_volume.grid.ijk_to_ras), a_model, TWICE, modality="ct")

    assert isinstance(found, torchio.ScalarImage)
    np.testing.assert_array_equal(found.data.numpy()[0].transpose(), expected.array)
    np.testing.assert_allclose(found.affine, expected.grid.ijk_to_ras)


def test_an_array_gives_an_array_with_an_affine_or_a_spacing(a_volume: Volume, a_model: Model, expected: Volume):
    placed = enhance(a_volume.array, a_model, TWICE, affine=a_volume.grid.ijk_to_ras, modality="ct")
    spaced = enhance(a_volume.array, a_model, TWICE, spacing=(0.8, 0.8, 3.0), modality="ct")

    np.testing.assert_array_equal(placed, expected.array)
    np.testing.assert_array_equal(spaced, expected.array)


def test_what_was_changed_in_a_mapped_file_is_enhanced_and_kept(a_volume: Volume, a_model: Model, tmp_path: Path):
    np.save(tmp_path / "scan.npy", np.zeros_like(a_volume.array))
    array = np.load(tmp_path / "scan.npy", mmap_mode="c")  # as nibabel maps files
    array[...] = a_volume.array

    found = enhance(array, a_model, TWICE, affine=a_volume.grid.ijk_to_ras, modality="ct")

    np.testing.assert_array_equal(array, a_volume.array)
    np.testing.assert_array_equal(found, enhance(a_volume, a_model, TWICE).array)


def test_a_tensor_gives_a_tensor(a_volume: Volume, a_model: Model, expected: Volume):
    torch = pytest.importorskip("torch")

    found = enhance(torch.from_numpy(a_volume.array), a_model, TWICE, spacing=(0.8, 0.8, 3.0), modality="ct")

    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found.numpy(), expected.array)


@pytest.mark.parametrize("image", [3, None, [[1.0]], {"image": 1}])
def test_another_kind_is_refused_with_what_is_taken(image: object):
    with pytest.raises(TypeError, match=r"enhance takes a path, a Volume, .* or an array \(K, J, I\) with spacing= or"):
        enhance(image)


def test_an_array_without_spacing_and_a_volume_with_one_are_refused(a_volume: Volume):
    with pytest.raises(SettingsError, match=r"no spacing; give spacing=\(i, j, k\) in mm"):
        enhance(a_volume.array)
    with pytest.raises(SettingsError, match="both spacing and affine"):
        enhance(a_volume.array, spacing=(1, 1, 1), affine=np.eye(4))
    with pytest.raises(SettingsError, match="Volume carries its own"):
        enhance(a_volume, spacing=(1, 1, 1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spacing": 4}, "spacing has three values above 0 mm.*got 4"),
        ({"spacing": (1, 1, -4)}, "spacing has three values above 0 mm"),
        ({"spacing": (1, 1, 0)}, "spacing has three values above 0 mm"),
        ({"spacing": ("1", "1", "4")}, "spacing has three values above 0 mm"),
        ({"spacing": ((1, 2), 1, 3)}, "spacing has three values above 0 mm"),
        ({"spacing": None, "affine": "x"}, "affine has 4 x 4 numbers, from ijk to RAS in mm; got 'x'"),
        ({"spacing": None, "affine": np.eye(3)}, "affine has 4 x 4 numbers"),
        ({"factor": "4"}, "factor must be a number, got '4'"),
        ({"threads": 1.5}, "threads must be a whole number, got 1.5"),
        ({"detail": None}, "detail must be a number, got None"),
        ({"axes": 2}, "axes must be a text such as 'k'"),
        ({"spacing_ijk_mm": 1.0}, "the target spacing has three values in mm.*got 1.0"),
        ({"spacing_ijk_mm": (1.0, 2.0)}, "the target spacing has three values in mm"),
        ({"spacing_ijk_mm": {3.0, 0.5, 1.0}}, "the target spacing has three values in mm"),
        ({"spacing_ijk_mm": {3.0: "i", 0.5: "j", 1.0: "k"}}, "the target spacing has three values in mm"),
        ({"modality": "xray"}, "unknown modality 'xray'; use one of: ct, mr, pet, us"),
    ],
)
def test_options_of_the_wrong_kind_are_refused_by_name(options: dict[str, object], sentence: str):
    with pytest.raises(SettingsError, match=sentence):
        enhance(np.zeros((4, 4, 4), np.float32), **{"spacing": (1.0, 1.0, 4.0)} | options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spacing_mm": "1"}, "spacing_mm must be a number, got '1'"),
        ({"rounds": 1.5}, "rounds must be a whole number, got 1.5"),
        ({"iterations": None}, "iterations must be a whole number, got None"),
        ({"prior_weight": "1"}, "prior_weight must be a number, got '1'"),
        ({"prior_weight": math.inf}, "the weight of the prior must be a finite number above 0, got inf"),
        ({"region_ras_mm": 5}, "the region has six values in mm, R R A A S S; got 5"),
        ({"region_ras_mm": (0, 1)}, "the region has six values in mm"),
        ({"region_ras_mm": {0, 1, 2, 3, 4, 5}}, "the region has six values in mm"),
        ({"region_ras_mm": (0, 9, 0, 9, 0, math.inf)}, r"the region has six values in mm, .*got .*inf\)"),
        ({"region_ras_mm": (0, 9, 9, 0, 0, 9)}, "the region must have its lowest value before its highest"),
        ({"enhance": {"detail": 1}}, "enhance must be an EnhanceSettings, got {'detail': 1}"),
    ],
)
def test_settings_of_a_fusion_of_the_wrong_kind_are_refused_by_name(options: dict[str, object], sentence: str):
    with pytest.raises(SettingsError, match=sentence):
        FusionSettings(**options)


def test_a_volume_of_negative_slice_thickness_is_refused(a_volume: Volume, a_model: Model):
    with pytest.raises(SettingsError, match="the slice thickness must be above 0 mm, got -1"):
        enhance(replace(a_volume, slice_thickness_mm=-1.0), a_model, factor=2)


@pytest.mark.parametrize("modality", ["CT", "labels"])
def test_a_volume_of_an_unknown_modality_is_refused(a_volume: Volume, modality: str):
    with pytest.raises(SettingsError, match=f"unknown modality '{modality}'; use one of: ct, mr, pet, us"):
        replace(a_volume, modality=modality)


def test_one_volume_given_as_both_stacks_is_named(a_volume: Volume, a_model: Model):
    with pytest.raises(VolumeError, match="stacks 1 and 2 are the same scan"):
        fuse([a_volume, a_volume], a_model)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fuse("axial.nii.gz"), "fuse takes a list of 2 to 12 stacks, got the single path 'axial.nii.gz'"),
        (lambda: fuse([np.zeros((4, 4, 4))] * 2), "fuse takes a path, .*; got numpy.ndarray; make a Volume of"),
        (lambda: fuse(["a.nii", "b.nii"], settings=EnhanceSettings()), "must be a FusionSettings, got EnhanceSettings"),
        (lambda: fuse(["a.nii", "b.nii"], spacing=1.0), "fuse has no option 'spacing'; the settings are: spacing_mm"),
        (lambda: write(np.zeros((4, 4, 4)), "thin.nii.gz"), "write takes a Volume, got ndarray"),
        (lambda: enhance("thick.nii.gz", settings={"factor": 4}), "settings must be an EnhanceSettings, got dict"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(call: Callable[[], object], sentence: str):
    with pytest.raises(TypeError, match=sentence):
        call()


def test_a_transform_refuses_an_uncertainty_before_it_has_data():
    with pytest.raises(SettingsError, match="EnhanceTransform returns images alone; leave uncertainty out, or call"):
        EnhanceTransform("image", factor=2, uncertainty=True)


def test_what_is_no_single_volume_is_refused(a_volume: Volume):
    with pytest.raises(VolumeError, match=r"shape \(2, 9, 18, 20\)"):
        enhance(np.stack([a_volume.array] * 2), spacing=(1, 1, 1))
    with pytest.raises(VolumeError, match="3 values in each voxel"):
        enhance(sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3))
    with pytest.raises(VolumeError, match="not finite"):
        enhance(np.full((4, 5, 6), np.nan), spacing=(1, 1, 3))
    with pytest.raises(VolumeError, match="a list of label objects"):
        enhance(sitk.Cast(sitk.Image([4, 4, 4], sitk.sitkUInt8), sitk.sitkLabelUInt8))


def test_a_tensor_that_is_no_array_is_named():
    torch = pytest.importorskip("torch")
    values = torch.ones(4, 5, 6)

    for tensor, said in (
        (values.bfloat16(), "torch.bfloat16"),
        (values.to_sparse(), "torch.sparse_coo"),
        (values.to("meta"), "device meta"),
    ):
        with pytest.raises(VolumeError, match=f"the tensor is .*{said}.*; give a dense one"):
            enhance(tensor, spacing=(1, 1, 3))


def test_an_option_replaces_a_setting_and_an_unknown_one_is_refused(a_volume: Volume, a_model: Model):
    found = enhance(a_volume, a_model, TWICE, factor=3)

    assert found.grid == a_volume.grid.refined("k", 3)
    with pytest.raises(TypeError, match="no option 'facto'; the settings are: factor, axes"):
        enhance(a_volume, a_model, facto=3)


def test_the_full_result_holds_the_report_and_the_uncertainty_in_the_same_kind(a_volume: Volume, a_model: Model):
    found = enhance(a_volume.array, a_model, TWICE, spacing=(0.8, 0.8, 3.0), modality="ct", uncertainty=True, full=True)

    assert isinstance(found, Enhanced)
    assert isinstance(found.uncertainty, np.ndarray)
    assert found.volume.shape == found.uncertainty.shape == (18, 18, 20)
    assert found.report.factor_ijk == (1, 1, 2)
    with pytest.raises(SettingsError, match="add full=True"):
        enhance(a_volume, a_model, uncertainty=True)


def test_a_tensor_that_is_kept_as_the_negative_of_another_is_taken():
    torch = pytest.importorskip("torch")
    values = torch.complex(torch.zeros(4, 4, 4), torch.ones(4, 4, 4)).conj().imag
    np.testing.assert_array_equal(to_volume(values, spacing=(1, 1, 1)).volume.array, -1)


def test_a_model_is_found_by_its_name_or_file(a_volume: Volume, a_model_file: Path, expected: Volume):
    assert load_model("general").name == "general"
    np.testing.assert_array_equal(enhance(a_volume, a_model_file, TWICE).array, expected.array)


def test_a_model_that_is_named_is_loaded_with_the_detail_of_the_settings(a_volume: Volume, tmp_path: Path):
    path = write_model(tmp_path / "soft.safetensors", 1, {"detail_model": "sharp"})
    write_model(tmp_path / "sharp.safetensors", 2, {})
    detailed = replace(TWICE, detail=0.5)

    found = enhance(a_volume, path, detailed)

    assert found != enhance(a_volume, path, TWICE)
    assert EnhanceTransform("image", path, detailed)({"image": a_volume}) == {"image": found}


def test_a_transform_refines_the_named_entries_of_a_dictionary(a_volume: Volume, a_model: Model, expected: Volume):
    data = {"image": a_volume, "label": 7}

    found = EnhanceTransform("image", a_model, TWICE)(data)

    assert found == {"image": expected, "label": 7}
    assert data["image"] is a_volume


def test_a_transform_refines_a_subject_of_torchio(a_volume: Volume, a_model: Model, expected: Volume):
    torch, torchio = pytest.importorskip("torch"), pytest.importorskip("torchio")
    values = torch.from_numpy(np.ascontiguousarray(a_volume.array.transpose()))[None]
    subject = torchio.Subject(ct=torchio.ScalarImage(tensor=values, affine=a_volume.grid.ijk_to_ras), age=50)

    found = EnhanceTransform(["ct"], a_model, TWICE)(subject)

    assert isinstance(found, torchio.Subject)
    assert found["ct"].shape == (1, *expected.array.shape[::-1])
    assert found.ct is found["ct"]
    assert subject["ct"].shape == subject.ct.shape == values.shape


def test_representations_take_one_line(a_volume: Volume, a_model: Model):
    whole = enhance(a_volume, a_model, TWICE, full=True)

    assert repr(a_volume) == "Volume(20x18x9 at 0.80x0.80x3.00 mm, int16, ct)"
    assert repr(a_volume.grid) == "Grid(20x18x9 at 0.80x0.80x3.00 mm)"
    assert repr(EnhanceSettings(factor=4.0)) == "EnhanceSettings(factor=4.0)"
    assert repr(a_model).startswith("Model(tiny, through-plane, sha256 ")
    assert repr(whole.report).startswith("Report(tiny: 20x18x9 to 20x18x18 voxels on cpu in ")
    assert all("\n" not in repr(one) for one in (whole, EnhanceTransform("image")))


def test_every_public_name_exists_and_another_does_not():
    assert all(hasattr(medical_super_resolution, name) for name in medical_super_resolution.__all__)
    assert set(medical_super_resolution.__all__) <= set(dir(medical_super_resolution))
    with pytest.raises(AttributeError, match="has no attribute 'enhnace'"):
        medical_super_resolution.enhnace  # noqa: B018


def test_importing_the_package_loads_neither_torch_nor_numpy():
    program = "import medical_super_resolution, sys; print(sorted({'torch', 'numpy', 'SimpleITK'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=None)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["medical_super_resolution", "medical_super_resolution_training"])
def test_each_package_that_pip_installs_says_that_it_has_types(package: str):
    assert Path(importlib.import_module(package).__file__).with_name("py.typed").is_file()
    assert f'\n{package} = ["py.typed"' in (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older versions of Python do not keep overloads")
def test_type_checkers_know_that_fuse_gives_a_volume_unless_the_full_result_is_asked_for():
    hints = [typing.get_type_hints(one) for one in typing.get_overloads(fuse)]

    assert [(one["full"], one["return"]) for one in hints] == [
        (typing.Literal[False], Volume),
        (typing.Literal[True], Fused),
        (bool, Volume | Fused),
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older versions of Python do not keep overloads")
def test_type_checkers_know_that_enhance_gives_a_volume_for_a_path_and_else_the_kind_given():
    hints = [typing.get_type_hints(one) for one in typing.get_overloads(enhance)]

    assert [(one["full"], one["return"]) for one in hints] == [
        (typing.Literal[False], Volume),
        (typing.Literal[True], Enhanced[Volume]),
        (typing.Literal[False], hints[2]["image"]),
        (typing.Literal[True], Enhanced[hints[3]["image"]]),
        (bool, typing.Any),
    ]
    assert [one["image"] for one in hints[:2]] == [str | Path | Volume] * 2
