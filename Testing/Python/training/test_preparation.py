from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from command_line import nearly_full_disk
from dataset_samples import (
    a_ct,
    an_mr,
    make_brats2021,
    make_lidc_idri,
    make_luna16,
    write_dicom_series,
    write_image,
)
from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.system.temp_dirs import folder_lock
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.data.manifest import Entry, of_split, read_manifest
from medical_super_resolution_training.data.preparation.cleaning import Cleaning
from medical_super_resolution_training.data.preparation.prepare import Preparation, prepare


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


def refused(manifest: Path) -> dict[str, str]:
    return {one["source"]: one["why"] for one in json.loads(manifest.read_text())["refused"]}


# Layouts


def test_luna16_is_read_by_subsets_without_its_masks(dataset: Path, tmp_path: Path):
    sources = make_luna16(dataset)
    entries = prepare(dataset, tmp_path / "data.json", Preparation(layout="luna16"))
    assert [entry.source for entry in entries] == sources
    assert [entry.patient for entry in entries] == [Path(source).stem for source in sources]
    for number, entry in enumerate(entries):
        assert (entry.modality, entry.low, entry.high) == ("ct", -1000, 1000)
        assert entry.spacing_kji_mm == pytest.approx((1.25, 0.7, 0.7))
        np.testing.assert_array_equal(np.load(entry.array), np.clip(a_ct(number), -1024, 3071))


@pytest.mark.parametrize(("modality", "contrast", "place"), [("", "flair", 0), ("t1ce", "t1ce", 2), ("t2", "t2", 3)])
def test_brats2021_gives_one_contrast_of_each_patient(dataset, tmp_path, modality: str, contrast: str, place: int):
    names = make_brats2021(dataset / "BraTS2021_Training_Data", count=3)
    entries = prepare(dataset, tmp_path / "data.json", Preparation(layout="brats2021", modality=modality))
    assert [entry.patient for entry in entries] == names
    assert [Path(entry.source).name for entry in entries] == [f"{name}_{contrast}.nii.gz" for name in names]
    assert {entry.modality for entry in entries} == {"mr"}
    scan = an_mr(10 + place)
    scan[4, 0, 0] = 0  # the defective voxel
    stored = np.load(entries[1].array)
    stored[4, 0, 0] = 0
    np.testing.assert_array_equal(stored, scan)


def test_a_patient_without_the_contrast_is_refused_by_name(dataset: Path, tmp_path: Path):
    names = make_brats2021(dataset, count=4)
    (dataset / names[2] / f"{names[2]}_flair.nii.gz").unlink()
    entries = prepare(dataset, tmp_path / "data.json", Preparation(layout="brats2021"))
    assert [entry.patient for entry in entries] == [*names[:2], names[3]]
    (why,) = refused(tmp_path / "data.json").values()
    assert why == f"the folder {names[2]} has no {names[2]}_flair.nii.gz"


def test_lidc_idri_is_read_by_series_and_patient_without_x_ray_pictures(dataset: Path, tmp_path: Path):
    names = make_lidc_idri(dataset, count=3)
    entries = prepare(dataset, tmp_path / "data.json", Preparation(layout="lidc-idri"))
    assert [entry.patient for entry in entries] == names
    assert {entry.modality for entry in entries} == {"ct"}
    np.testing.assert_array_equal(np.load(entries[2].array), np.clip(a_ct(2), -1024, 3071))
    assert [source.partition("/")[0] for source in refused(tmp_path / "data.json")] == names[:1]


def test_two_series_of_a_patient_are_two_volumes_in_one_split(dataset: Path, tmp_path: Path):
    names = make_lidc_idri(dataset, count=6)
    for number, name in enumerate(names):
        write_dicom_series(dataset / name / "study-2" / "series-2", a_ct(50 + number))
    entries = prepare(dataset, tmp_path / "data.json", Preparation(layout="lidc-idri"))
    assert len(entries) == 12
    for name in names:
        assert len({entry.split for entry in entries if entry.patient == name}) == 1


def test_a_folder_around_the_patients_of_lidc_idri_is_no_patient(dataset: Path, tmp_path: Path):
    names = make_lidc_idri(dataset / "LIDC-IDRI-0001-0006", count=6)
    entries = prepare(dataset, tmp_path / "data.json", Preparation(layout="lidc-idri"))
    assert [entry.patient for entry in entries] == names


def test_no_name_of_a_patient_gets_into_the_manifest(dataset: Path, tmp_path: Path):
    make_lidc_idri(dataset, count=2)
    prepare(dataset, tmp_path / "data.json", Preparation(layout="lidc-idri"))
    text = (tmp_path / "data.json").read_text().lower()
    assert "secret" not in text
    assert str(tmp_path).lower() not in text


def test_any_folder_of_volumes_is_searched_to_its_end(dataset: Path, tmp_path: Path):
    write_image(dataset / "a" / "deep" / "one.nrrd", a_ct(0))
    write_image(dataset / "b" / "two.nii.gz", an_mr(1))
    write_image(dataset / "b" / "three.mha", an_mr(2))
    write_dicom_series(dataset / "c" / "series", a_ct(3))
    (dataset / "notes.txt").write_text("no volume")
    entries = prepare(dataset, tmp_path / "data.json")
    assert [(entry.source, entry.patient, entry.modality) for entry in entries] == [
        ("a/deep/one.nrrd", "a", "ct"),
        ("b/three.mha", "b", "mr"),
        ("b/two.nii.gz", "b", "mr"),
        ("c/series", "c", "ct"),
    ]


def test_a_folder_that_is_one_dicom_series_is_named_by_itself(dataset: Path, tmp_path: Path):
    write_dicom_series(dataset, a_ct(3))
    (entry,) = prepare(dataset, tmp_path / "data.json")
    assert (entry.source, entry.patient) == (dataset.name, dataset.name)
    assert Path(entry.array) == tmp_path / "data" / f"{dataset.name}.npy"


@pytest.mark.parametrize(
    ("paths", "patients"),
    [
        (["x.nii.gz", "y.nii.gz"], ["x", "y"]),
        (["scans/x.nii.gz", "scans/y.nii.gz"], ["x", "y"]),
        (["bids/sub-01/anat/sub-01_T1w.nii.gz", "bids/sub-02/anat/sub-02_T1w.nii.gz"], ["sub-01", "sub-02"]),
        (["sub-01_run-1.nii", "sub-01_run-2.nii"], ["sub-01", "sub-01"]),
        (["p1/before.nii", "p1/after.nii", "p2/before.nii"], ["p1", "p1", "p2"]),
    ],
)
def test_the_patient_is_named_by_the_folders(dataset: Path, tmp_path: Path, paths: list[str], patients: list[str]):
    for number, path in enumerate(paths):
        write_image(dataset / path, an_mr(number))
    found = {entry.source: entry.patient for entry in prepare(dataset, tmp_path / "data.json")}
    assert [found[path] for path in paths] == patients


def test_progress_counts_the_scans(dataset: Path, tmp_path: Path):
    for name in ("a.nii", "b.nii", "damaged.nii"):
        write_image(dataset / name, an_mr(0))
    (dataset / "damaged.nii").write_bytes(b"no image")
    seen: list[tuple[int, int]] = []
    prepare(dataset, tmp_path / "data.json", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_pattern_may_tell_the_patient(dataset: Path, tmp_path: Path):
    for number, name in enumerate(("chest_p7_a.nii", "head_p7_b.nii", "head_p8_a.nii", "phantom.nii")):
        write_image(dataset / name, an_mr(number))
    for pattern in (r"p\d", r"_(p\d)_", r"_(p\d)_|phantom"):
        entries = prepare(dataset, tmp_path / "data.json", Preparation(patient_pattern=pattern))
        assert [entry.patient for entry in entries] == ["p7", "p7", "p8", "phantom"]
    with pytest.raises(SettingsError, match="no regular expression"):
        prepare(dataset, tmp_path / "data.json", Preparation(patient_pattern="(p"))


@pytest.mark.parametrize("layout", ["luna16", "brats2021", "lidc-idri", "volumes"])
def test_a_dataset_of_another_layout_is_refused_with_what_was_expected(dataset: Path, tmp_path: Path, layout: str):
    dataset.mkdir()
    with pytest.raises(VolumeError, match="there are no .* in"):
        prepare(dataset, tmp_path / "data.json", Preparation(layout=layout))
    assert not (tmp_path / "data.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Preparation(layout="luna"), "no dataset layout 'luna'; choose one of volumes, luna16"),
        (Preparation(layout="brats2021", modality="mr"), "no modality 'mr'; choose one of flair"),
        (Preparation(modality="flair"), "no modality 'flair'; choose one of ct, mr, pet, us"),
        (Preparation(split="most"), "cannot read the split 'most'"),
        (
            Preparation(patient_pattern=r"p\d"),
            r"the pattern 'p\\\\d' finds no patient in any path; the first is one.nii",
        ),
    ],
)
def test_invalid_settings_are_refused(dataset: Path, tmp_path: Path, settings: Preparation, message: str):
    write_image(dataset / "one.nii", an_mr(0))
    with pytest.raises(SettingsError, match=message):
        prepare(dataset, tmp_path / "data.json", settings)


def test_a_manifest_whose_folder_of_arrays_would_have_its_name_is_refused(dataset: Path, tmp_path: Path):
    write_image(dataset / "one.nii", an_mr(0))
    with pytest.raises(SettingsError, match=r"data does not end in \.json"):
        prepare(dataset, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_manifest_that_would_put_its_arrays_among_the_scans_is_refused(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
):
    write_image(dataset / "one.nii", an_mr(0))
    monkeypatch.chdir(dataset.parent)
    for manifest in (dataset.with_suffix(".json"), Path(f"{dataset.name}.json")):
        with pytest.raises(SettingsError, match=r"dataset\.json would put its arrays among the scans in .*dataset"):
            prepare(dataset, manifest)
    assert [path.name for path in dataset.iterdir()] == ["one.nii"]


# Checks


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_the_volumes_of_a_training_that_is_under_way_are_not_replaced(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_luna16(dataset)
    monkeypatch.setattr("medical_super_resolution.system.temp_dirs._LOCK_PAUSE_SECONDS", 0)
    with folder_lock(tmp_path), pytest.raises(SettingsError, match="a training is under way in"):
        prepare(dataset, tmp_path / "data.json", Preparation("luna16"))
    assert list(tmp_path.iterdir()) == [dataset]
    prepare(dataset, tmp_path / "data.json", Preparation("luna16"))


def test_what_cannot_be_used_is_listed_with_its_reason_and_the_rest_is_kept(dataset: Path, tmp_path: Path, capsys):
    write_image(dataset / "good.nii.gz", an_mr(0))
    (dataset / "text.nii").write_text("no volume")
    write_image(dataset / "nan.nii.gz", np.full((5, 6, 7), np.nan, np.float32))
    write_image(dataset / "flat.nii.gz", an_mr(0)[:3])
    write_image(dataset / "empty.nii.gz", np.zeros((5, 6, 7), np.int16))
    write_image(dataset / "tiny.nii.gz", an_mr(0), (1e-3, 1e-3, 1e-3))
    write_image(dataset / "thick.nii.gz", an_mr(0), (1, 1, 8))
    write_dicom_series(dataset / "damaged", a_ct(0), thickness_mm=30)
    assert main(["prepare", str(dataset), str(tmp_path / "data.json"), "--thickest", "5"]) == 0
    assert [entry.source for entry in read_manifest(tmp_path / "data.json")] == ["good.nii.gz"]
    why = refused(tmp_path / "data.json")
    for name, words in {
        "nan.nii.gz": "slice 0 of the volume holds values that are not finite",
        "flat.nii.gz": "at least 4 voxels along each axis are needed",
        "empty.nii.gz": "it has the value 0 everywhere",
        "tiny.nii.gz": "such a spacing is damaged",
        "thick.nii.gz": "its slices lie 8 mm apart; at most 5 mm are wanted",
        "damaged": "its slices are 30 mm thick and lie 1.25 mm apart",
        "text.nii": "not a format that this program reads",
    }.items():
        assert words in why[name]
    assert len(why) == 7
    printed = capsys.readouterr()
    assert all(f"refused {name}: {reason}" in printed.out for name, reason in why.items())
    assert "preparing 100%" in printed.err
    assert str(dataset) not in json.dumps(why)


@pytest.mark.skipif(os.name == "nt", reason="names have no control characters there")
def test_a_refused_name_cannot_steer_a_terminal(dataset: Path, tmp_path: Path, capsys):
    write_image(dataset / "good.nii.gz", an_mr(0))
    (dataset / "\x1b[2Jbad.nii").write_text("no volume")
    assert main(["prepare", str(dataset), str(tmp_path / "data.json")]) == 0
    assert r"refused \x1b[2Jbad.nii: " in capsys.readouterr().out


def test_a_series_that_lacks_a_slice_is_no_truth(dataset: Path, tmp_path: Path):
    for number in range(2):
        write_dicom_series(dataset / f"p{number}", a_ct(number))
    middle = len(a_ct(0)) // 2
    (dataset / "p1" / f"{middle:06d}.dcm").unlink()
    entries = prepare(dataset, tmp_path / "data.json")
    assert [entry.source for entry in entries] == ["p0"]
    assert "slices are missing or unevenly spaced" in refused(tmp_path / "data.json")["p1"]


def test_a_copy_under_another_name_is_no_further_patient(dataset: Path, tmp_path: Path):
    write_image(dataset / "p1" / "scan.nii.gz", an_mr(0))
    write_image(dataset / "p2" / "other.nii.gz", an_mr(1))
    write_image(dataset / "p3" / "renamed.nrrd", an_mr(0))
    for _ in range(2):
        entries = prepare(dataset, tmp_path / "data.json")
        assert [entry.source for entry in entries] == ["p1/scan.nii.gz", "p2/other.nii.gz"]
        assert "the same values as p1/scan.nii.gz" in refused(tmp_path / "data.json")["p3/renamed.nrrd"]
        assert len(list((tmp_path / "data").rglob("*.npy"))) == 2


def test_a_label_map_is_no_scan_of_another_patient(dataset: Path, tmp_path: Path):
    patches = np.kron(np.arange(27).reshape(3, 3, 3) % 3, np.ones((5, 8, 8))).astype(np.uint8)
    for name in ("p1_seg.nii.gz", "phantom.nii.gz"):
        write_image(dataset / name, patches)
    write_image(dataset / "p1.nii.gz", an_mr(0))
    entries = prepare(dataset, tmp_path / "data.json")
    assert [entry.source for entry in entries] == ["p1.nii.gz"]
    why = refused(tmp_path / "data.json")
    assert set(why) == {"p1_seg.nii.gz", "phantom.nii.gz"}
    assert all("it is a label map" in one for one in why.values())
    entries = prepare(dataset, tmp_path / "data.json", Preparation(modality="mr"))
    assert [entry.source for entry in entries] == ["p1.nii.gz", "phantom.nii.gz"]


def test_a_dataset_without_a_single_good_scan_is_refused(dataset: Path, tmp_path: Path):
    write_image(dataset / "flat.nii.gz", an_mr(0)[:3])
    with pytest.raises(VolumeError, match=r"none of the 1 scans can be used; the first: its grid is 18x20x3"):
        prepare(dataset, tmp_path / "data.json")


def test_a_modality_fills_in_where_files_are_silent_and_does_not_overrule_them(dataset: Path, tmp_path: Path):
    write_image(dataset / "silent.nii", an_mr(0))
    write_dicom_series(dataset / "telling", a_ct(0))
    (entry,) = prepare(dataset, tmp_path / "data.json", Preparation(modality="pet"))
    assert entry.modality == "pet"
    assert refused(tmp_path / "data.json")["telling"].startswith("telling is CT and not PET")


# Values


def test_spikes_of_mr_are_cut_off_and_the_range_does_not_see_them(dataset: Path, tmp_path: Path):
    array = an_mr(0)
    array[0, 0, 0] = -50  # as filters leave them beside edges
    write_image(dataset / "one.nii", array)
    (entry,) = prepare(dataset, tmp_path / "data.json")
    assert np.load(entry.array)[0, 0, 0] == -50
    assert 0 <= entry.low < 20
    assert 480 < entry.high < 700
    assert np.load(entry.array).max() <= 4 * entry.high + 1
    assert np.load(entry.array).dtype == np.int16


def test_mr_without_a_natural_zero_keeps_its_values(dataset: Path, tmp_path: Path):
    """Phases and differences are below zero for the most part."""
    array = an_mr(0) - 400
    array[4, 0, 0] = -400
    write_image(dataset / "one.nii", array)
    (entry,) = prepare(dataset, tmp_path / "data.json", Preparation(modality="mr"))
    np.testing.assert_array_equal(np.load(entry.array), array)


@pytest.mark.parametrize(
    ("kind", "stored"),
    [(np.uint8, np.uint8), (np.int16, np.int16), (np.int32, np.float32), (np.float64, np.float32)],
)
def test_values_are_stored_small(dataset: Path, tmp_path: Path, kind: type, stored: type):
    array = (an_mr(0) / 10).clip(0, 120).astype(kind)
    write_image(dataset / "one.nii", array)
    (entry,) = prepare(dataset, tmp_path / "data.json")
    kept = np.load(entry.array)
    assert kept.dtype == stored
    inside = array <= 2 * entry.high
    np.testing.assert_allclose(kept[inside], array[inside], rtol=1e-6)


def test_the_shading_of_the_coils_is_corrected(dataset: Path, tmp_path: Path):
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, size) for size in (24, 40, 40)), indexing="ij")
    head = np.where(k**2 + j**2 + i**2 < 0.7, 500 + 60 * np.sign(np.sin(9 * j) * np.sin(9 * i)), 0)
    noise = np.random.default_rng(0).normal(0, 5, head.shape)
    shaded = head * np.exp(0.4 * i) + noise
    write_image(dataset / "one.nii.gz", shaded.astype(np.float32), (2, 2, 2))
    settings = Preparation(cleaning=Cleaning(n4=True))
    (entry,) = prepare(dataset, tmp_path / "data.json", settings)
    inside = (k**2 + j**2 + i**2 < 0.6) & (head > 500)
    left, right = inside & (i < -0.3), inside & (i > 0.3)
    after = np.load(entry.array)
    assert shaded[right].mean() / shaded[left].mean() > 1.4
    assert 0.9 < after[right].mean() / after[left].mean() < 1.1
    assert after[inside].mean() == pytest.approx(shaded[inside].mean(), rel=0.1)


def test_the_noise_of_the_air_can_be_suppressed(dataset: Path, tmp_path: Path):
    array = an_mr(0)
    array[4, 0, 0] = 0
    write_image(dataset / "one.nii", array)
    (entry,) = prepare(dataset, tmp_path / "data.json", Preparation(cleaning=Cleaning(suppress_background=True)))
    after = np.load(entry.array)
    assert not after[:, 0].any()
    np.testing.assert_array_equal(after[:, 4:16, 4:14], array[:, 4:16, 4:14])
    np.testing.assert_array_equal(after[4, 2:18, 8], array[4, 2:18, 8])  # with two voxels around the body


def test_what_is_bright_beside_the_body_is_no_part_of_it(dataset: Path, tmp_path: Path):
    array = np.pad(an_mr(0), ((0, 0), (20, 0), (0, 0)))
    array[4, 20, 0] = 0
    array[:3, 2:5, 2:5] = 400  # as of a tube, and found before the body
    write_image(dataset / "one.nii", array)
    (entry,) = prepare(dataset, tmp_path / "data.json", Preparation(cleaning=Cleaning(suppress_background=True)))
    after = np.load(entry.array)
    assert not after[:, :20].any()
    np.testing.assert_array_equal(after[:, 24:36, 4:14], array[:, 24:36, 4:14])


def test_ct_is_left_alone_by_what_is_for_mr(dataset: Path, tmp_path: Path):
    write_image(dataset / "one.nii", a_ct(0))
    (entry,) = prepare(
        dataset, tmp_path / "data.json", Preparation(cleaning=Cleaning(n4=True, suppress_background=True))
    )
    np.testing.assert_array_equal(np.load(entry.array), np.clip(a_ct(0), -1024, 3071))


def test_pet_is_left_alone_by_what_is_for_mr(dataset: Path, tmp_path: Path):
    write_image(dataset / "one.nii", an_mr(0))
    for_mr = Cleaning(n4=True, suppress_background=True)
    arrays = [
        np.load(prepare(dataset, tmp_path / "data.json", Preparation(modality="pet", cleaning=one))[0].array)
        for one in (Cleaning(), for_mr)
    ]
    np.testing.assert_array_equal(arrays[1], arrays[0])


# The split and the manifest


def test_patients_are_split_seventy_twenty_ten(dataset: Path, tmp_path: Path, capsys):
    make_brats2021(dataset)
    assert main(["prepare", str(dataset), str(tmp_path / "data.json"), "--layout", "brats2021"]) == 0
    entries = read_manifest(tmp_path / "data.json")
    assert [len(of_split(entries, split)) for split in ("train", "validation", "test")] == [7, 2, 1]
    assert "10 volumes in" in (out := capsys.readouterr().out)
    assert "patients: 7 train, 2 validation, 1 test" in out


def test_the_arrays_of_a_manifest_move_with_it(dataset: Path, tmp_path: Path):
    write_image(dataset / "deep" / "one.nii", an_mr(0))
    here = tmp_path / "here"
    here.mkdir()
    (before,) = prepare(dataset, here / "data.json")
    shutil.move(here, tmp_path / "there")
    (after,) = read_manifest(tmp_path / "there" / "data.json")
    assert Path(after.array) == tmp_path / "there" / Path(before.array).relative_to(here)
    assert np.load(after.array).shape == (8, 20, 18)


def test_a_scan_of_the_same_name_in_another_folder_has_its_own_array(dataset: Path, tmp_path: Path):
    names = ["p1/t1.nii", "p2/t1.nii", "p2/t1.nii.gz"]  # of the last two, ITK's reader always reads the first
    for value, name in enumerate(names):
        write_image(dataset / name, an_mr(value))
    entries = prepare(dataset, tmp_path / "data.json")
    assert len({entry.array for entry in entries}) == 3
    for entry in entries:
        written = an_mr(names.index(entry.source))
        np.testing.assert_array_equal(np.load(entry.array)[1], written[1])


def test_licenses_come_from_an_index(dataset: Path, tmp_path: Path):
    write_image(dataset / "train" / "one.nii", an_mr(0))
    (dataset / "INDEX.tsv").write_text("file\tlicence\ntrain/one.nii\tCC BY 4.0\n")
    (entry,) = prepare(dataset / "train", tmp_path / "data.json")
    assert entry.licence == "CC BY 4.0"


@pytest.mark.parametrize("above", ["", "dataset/"])
def test_scans_of_one_name_have_each_its_own_license(dataset: Path, tmp_path: Path, above: str):
    for number in range(3):
        write_image(dataset / f"p{number}" / "ct.nii", an_mr(number))
    write_image(dataset / "p0" / "mr.nii", an_mr(3))
    rows = f"file\tlicence\n{above}p0/ct.nii\tCC0\n{above}p1/ct.nii\tCC BY-NC 4.0\nmr.nii\tCC BY 4.0\n"
    ((tmp_path if above else dataset) / "INDEX.tsv").write_text(rows)
    entries = prepare(dataset, tmp_path / "data.json")
    assert {entry.source: entry.licence for entry in entries} == {
        "p0/ct.nii": "CC0",
        "p1/ct.nii": "CC BY-NC 4.0",
        "p2/ct.nii": "",
        "p0/mr.nii": "CC BY 4.0",
    }


@pytest.mark.parametrize("index", [b"name\tage\none.nii\t7\n", b"file\tlicence\none.nii\n", b"", b"\xff\xfe"])
def test_an_index_of_something_else_states_no_licenses(dataset: Path, tmp_path: Path, index: bytes):
    write_image(dataset / "one.nii", an_mr(0))
    (dataset / "INDEX.tsv").write_bytes(index)
    (entry,) = prepare(dataset, tmp_path / "data.json")
    assert entry.licence == ""


def test_preparing_again_gives_the_same_manifest(dataset: Path, tmp_path: Path):
    make_luna16(dataset)
    texts: list[str] = []
    for _ in range(2):
        prepare(dataset, tmp_path / "data.json", Preparation(layout="luna16"))
        texts.append((tmp_path / "data.json").read_text())
    assert texts[0] == texts[1]
    assert isinstance(read_manifest(tmp_path / "data.json")[0], Entry)


def test_a_full_disk_leaves_no_half_of_an_array_and_no_temporary_file(dataset: Path, tmp_path: Path, capsys):
    write_image(dataset / "ct_one.nii.gz", a_ct(0))
    with nearly_full_disk():
        assert main(["prepare", str(dataset), str(tmp_path / "data.json")]) == 1
    said = capsys.readouterr().err
    assert "error: File too large; check the path, its permissions and the free space of the disk" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != dataset] == []
