from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import medical_super_resolution
from command_line import Medsr, contents, refused
from medical_super_resolution.cli.commands import fuse
from medical_super_resolution.cli.main import parser
from medical_super_resolution.cohort import task
from medical_super_resolution.inference import cost
from medical_super_resolution.models import store
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume


def test_a_scan_is_enhanced(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, a_volume: Volume):
    status, out, err = medsr("enhance", scan, folder / "fine.nrrd", "--factor", 2, "--model", a_model_file)
    assert (status, out) == (0, "")
    assert "20x18x18 at 0.80x0.80x1.50 mm" in err
    assert files.read(folder / "fine.nrrd").array.dtype == a_volume.array.dtype
    assert set(contents(folder)) == {"scan.nii.gz", "fine.nrrd"}


def test_the_result_lies_on_the_refined_grid(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, a_volume: Volume
):
    medsr("enhance", scan, folder / "fine.mha", "--factor", 1.7, "--axes", "jk", "--model", a_model_file)
    result = files.read(folder / "fine.mha").grid
    expected = a_volume.grid.refined("k", 1.7).refined("j", 1.7)
    assert result.shape_kji == expected.shape_kji
    np.testing.assert_allclose(result.ijk_to_ras, expected.ijk_to_ras, atol=1e-4)


def test_by_default_the_result_is_isotropic(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    assert medsr("enhance", scan, folder / "fine.nii", "--model", a_model_file)[0] == 0
    assert files.read(folder / "fine.nii").grid.spacing_ijk_mm == pytest.approx((0.8, 0.8, 0.8), rel=1e-5)


def test_a_target_spacing_is_reached(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    spacing = ("--spacing", 0.4, 0.8, 1.3)
    assert medsr("enhance", scan, folder / "fine.nii.gz", *spacing, "--model", a_model_file)[0] == 0
    assert files.read(folder / "fine.nii.gz").grid.spacing_ijk_mm == pytest.approx((0.4, 0.8, 1.3), rel=1e-5)


def test_a_constant_volume_passes_through(medsr: Medsr, folder: Path, a_model_file: Path):
    sitk.WriteImage(sitk.GetImageFromArray(np.full((6, 8, 9), 7, np.int16)), str(folder / "flat.nii.gz"))
    status, *_ = medsr(
        "enhance", folder / "flat.nii.gz", folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file
    )
    assert status == 0
    np.testing.assert_array_equal(files.read(folder / "fine.nii.gz").array, np.full((12, 8, 9), 7))


def test_overwriting_replaces_the_output(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    (folder / "fine.nii.gz").write_text("old")
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--overwrite")
    assert medsr(*arguments)[0] == 0
    assert files.read(folder / "fine.nii.gz").array.shape == (18, 18, 20)


def test_the_shipped_model_is_the_default(medsr: Medsr, scan: Path, folder: Path):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--report", folder / "report.json")
    assert medsr(*arguments)[0] == 0
    report = json.loads((folder / "report.json").read_text())
    shipped = (store.SHIPPED_FOLDER / "general.safetensors").read_bytes()
    assert report["model_sha256"] == hashlib.sha256(shipped).hexdigest()


def test_the_report_states_what_was_done(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, a_volume: Volume):
    report = folder / "report.json"
    options = ("--factor", 4, "--slice-thickness", 2.7, "--slice-profile", "box", "--model", a_model_file)
    assert medsr("enhance", scan, folder / "fine.nii.gz", *options, "--report", report)[0] == 0
    report_facts = json.loads(report.read_text())
    assert report_facts["input_sha256"] == hashlib.sha256(a_volume.array.tobytes()).hexdigest()
    assert report_facts["size_before_ijk"] == [20, 18, 9]
    assert report_facts["size_after_ijk"] == [20, 18, 36]
    assert report_facts["spacing_after_ijk_mm"] == pytest.approx([0.8, 0.8, 0.75], rel=1e-5)
    assert report_facts["factor_ijk"] == [1, 1, 4]
    assert report_facts["slice_thickness_mm"] == 2.7
    assert report_facts["settings"]["factor"] == 4
    assert report_facts["settings"]["slice_profile"] == "box"
    assert report_facts["model"] == "tiny"
    assert report_facts["model_sha256"] == hashlib.sha256(a_model_file.read_bytes()).hexdigest()
    assert 0 <= report_facts["consistency_error_rms"] < 1000
    assert report_facts["seconds"] > 0
    assert report_facts["peak_memory_mb"] > 50
    assert report_facts["device"] == "cpu" or "cuda" in report_facts["device"] or report_facts["device"] == "mps"
    assert "research" in report_facts["notice"]


def test_json_progress_names_parts_and_is_one_step_a_line(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--progress", "json")
    status, out, _ = medsr(*arguments)
    lines = [json.loads(line) for line in out.splitlines()]
    steps = [line for line in lines if set(line) == {"done", "total"}]
    assert status == 0
    assert [line for line in lines if line not in steps] == [
        {"stage": name} for name in ("starting", "reading", "loading the model", "refining", "writing")
    ]
    assert steps[0]["done"] == 0
    assert steps[-1]["done"] == steps[-1]["total"]


def test_without_a_terminal_progress_is_plain_lines(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    *_, err = medsr("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    assert "\r" not in err
    assert any(line.startswith("refining 0%") for line in err.splitlines())
    assert any(line.startswith("refining 100%") for line in err.splitlines())


@pytest.mark.parametrize(("stated", "said"), [((), "MR (from the values)"), (("--modality", "ct"), "CT")])
def test_it_is_said_what_the_volume_was_taken_for(
    medsr: Medsr, scan_without_air: Path, folder: Path, a_model_file: Path, stated: tuple[str, ...], said: str
):
    code, _, err = medsr("enhance", scan_without_air, folder / "o.nii.gz", *stated, "--model", a_model_file)
    assert code == 0
    assert f"modality: {said}\n" in err


def test_with_progress_none_nothing_is_printed(medsr: Medsr, scan_without_air: Path, folder: Path, a_model_file: Path):
    options = ("--factor", 2, "--model", a_model_file, "--slice-profile", "gaussian", "--progress", "none")
    assert medsr("enhance", scan_without_air, folder / "fine.nii.gz", *options) == (0, "", "")


def test_a_scan_that_is_not_reproduced_gives_a_warning(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    """Bone beside air from slice to slice: what overshoots below air is raised to it, and the data are missed."""
    options = ("--factor", 2, "--model", a_model_file, "--progress", "none")
    status, _, err = medsr("enhance", scan, folder / "fine.nii.gz", *options)
    assert status == 0
    assert "warning: measured again, the result differs from the input" in err


def test_a_dicom_series_is_enhanced(medsr: Medsr, folder: Path, a_model_file: Path):
    from dicom_files import write_series

    stored = np.random.default_rng(0).integers(0, 4096, (6, 12, 10)).astype(np.uint16)
    write_series(folder / "series", stored)
    arguments = ("enhance", folder / "series", folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    assert medsr(*arguments)[0] == 0
    assert files.read(folder / "fine.nii.gz").array.shape == (12, 12, 10)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sharpen",),
        ("enhance",),
        ("enhance", "in.nii"),
        ("enhance", "in.nii", "out.nii", "--factor", "x"),
        ("enhance", "in.nii", "out.nii", "--spacing", "1"),
        ("enhance", "in.nii", "out.nii", "--device", "gpu"),
    ],
)
def test_wrong_usage_exits_with_2(medsr: Medsr, arguments: tuple[str, ...]):
    status, out, err = medsr(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.endswith("--help` describes the usage\n")


def test_an_unknown_option_leads_to_the_help_of_its_command(medsr: Medsr):
    sentence = "error: unrecognized arguments: --factr 2; `medsr enhance --help` describes the usage\n"
    assert medsr("enhance", "in.nii", "out.nii", "--factr", 2) == (2, "", sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--factor", "1,5"), "'1,5' is not a number; write it with a point, such as 1.5"),
        (("--threads", "1.5"), "'1.5' is not a whole number"),
        (("--phase", "x"), "'x' is not a whole number"),
        (("--snap",), "--snap moves the boundaries of --labels"),
        (("--skip-existing",), "--jobs and --skip-existing are for a folder"),
        (("--jobs", "2"), "--jobs and --skip-existing are for a folder"),
        (("--series", "2"), "--series and --phase are for DICOM"),
        (("--model", "none"), "there is no model 'none'; installed: general"),
    ],
)
def test_options_without_a_meaning_are_refused_in_one_sentence(
    medsr: Medsr, scan: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
):
    status, out, err = medsr("enhance", scan, tmp_path / "fine.nii", *arguments)
    assert status in (1, 2)
    assert (out, err.count("\n")) == ("", 1)
    assert sentence in err


def test_a_file_whose_name_is_like_an_option_gets_advice(medsr: Medsr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("-scan.nii").touch()
    monkeypatch.setattr("sys.argv", ["medsr", "enhance", "-scan.nii", "fine.nii"])
    assert "to name the file, write ./-scan.nii" in medsr("enhance", "-scan.nii", "fine.nii")[2]


def test_info_describes_the_volume_and_what_would_be_done(medsr: Medsr, scan: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cost, "available_cpus", lambda: 1)
    status, out, err = medsr("info", scan)
    assert (status, err) == (0, "")
    assert "20x18x9 at 0.80x0.80x3.00 mm" in out
    assert "int16" in out
    assert "CT (guessed from the values)" in out
    assert "through-plane axis  k" in out
    assert "20x18x34 at 0.80x0.80x0.80 mm (3.75 times finer)" in out
    assert "GB of memory" in out
    assert out.endswith(" s on 1 CPU thread\n")


def test_info_refuses_a_series_of_a_volume_file(medsr: Medsr, scan: Path):
    status, out, err = medsr("info", scan, "--series", "1")
    assert (status, out) == (1, "")
    assert err.startswith(f"error: --series and --phase are for DICOM, and {scan} is a volume file; ")


def test_info_says_what_the_headers_of_a_series_say(medsr: Medsr, folder: Path):
    from dicom_files import write_series

    write_series(folder, np.zeros((4, 12, 10), np.uint16), thickness=4.5, modality="MR")
    _, out, _ = medsr("info", folder)
    assert "4.5 mm" in out
    assert "MR\n" in out


def test_info_on_a_volume_that_is_fine_enough_says_so(medsr: Medsr, folder: Path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((6, 8, 9), np.int16)), str(folder / "fine.nii.gz"))
    status, out, _ = medsr("info", folder / "fine.nii.gz")
    assert status == 0
    assert "nothing to refine" in out


def test_models_are_listed_with_card_and_digest(medsr: Medsr):
    status, out, _ = medsr("models")
    shipped = store.SHIPPED_FOLDER / "general.safetensors"
    assert status == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == [path.stem for path in store.installed()]

    status, out, _ = medsr("models", "--card", "general")
    assert status == 0
    assert out.splitlines()[0] == "general"
    assert hashlib.sha256(shipped.read_bytes()).hexdigest() in out


def test_the_version_and_three_examples_are_shown(medsr: Medsr):
    assert medsr("--version")[:2] == (0, f"medsr {medical_super_resolution.__version__}\n")
    status, out, _ = medsr("--help")
    assert status == 0
    assert out.count("\n  medsr enhance ") == 3


def test_the_input_is_hashed_for_a_report_alone(medsr: Medsr, scan, folder, a_model_file, monkeypatch):
    hashed = []
    monkeypatch.setattr(task, "hash_voxels", lambda digest, array: hashed.append(1))
    medsr("enhance", scan, folder / "a.nii", "--factor", 2, "--model", a_model_file)
    assert not hashed
    medsr("enhance", scan, folder / "b.nii", "--factor", 2, "--model", a_model_file, "--report", folder / "b.json")
    assert hashed == [1]


def test_stages_are_shown_with_elapsed_time(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    _, _, err = medsr("enhance", scan, folder / "a.nii", "--factor", 2, "--model", a_model_file)
    lines = err.splitlines()
    assert any(line.startswith("reading ... ") for line in lines)
    assert any(line.startswith("loading the model ... ") for line in lines)
    assert any(line.startswith("refining 100%") and line.endswith(" s, 0 s left") for line in lines)
    assert any(line.startswith("writing ... ") for line in lines)


@pytest.mark.parametrize("with_reference", [False, True])
def test_compare_draws_a_picture(medsr: Medsr, scan: Path, folder: Path, a_volume: Volume, with_reference: bool):
    fine = a_volume.grid.refined("k", 2)
    files.write(Volume(np.repeat(a_volume.array, 2, axis=0), fine), folder / "fine.nii.gz")
    reference = (folder / "fine.nii.gz",) if with_reference else ()
    picture = folder / "picture.png"
    status, out, err = medsr("compare", scan, folder / "fine.nii.gz", *reference, "-o", picture)
    assert (status, err) == (0, "")
    assert str(picture) in out
    if with_reference:
        assert "after: 0 RMS from the reference" in out
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(picture)))
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert pixels.shape[0] > 300
    assert pixels.shape[1] > 300
    assert pixels[..., :3].std() > 10  # and there is something to see


def test_a_picture_is_replaced_only_if_asked(medsr: Medsr, scan: Path, folder: Path):
    (folder / "picture.png").write_bytes(b"another")
    assert "picture.png exists already" in refused(medsr, folder, "compare", scan, scan, "-o", folder / "picture.png")
    assert medsr("compare", scan, scan, "-o", folder / "picture.png", "--overwrite")[0] == 0
    assert (folder / "picture.png").read_bytes() != b"another"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [(("400", "40"), (-160, 240)), (("lung",), (-1350, 150)), (("bone",), (-500, 1300)), (("soft",), (-160, 240))],
)
def test_the_window_of_a_comparison_can_be_chosen(
    medsr: Medsr, scan: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], expected: Any
):
    from medical_super_resolution.cli import figures

    drawn = []
    monkeypatch.setattr(figures, "_draw", lambda *given: drawn.append(given))
    status, _, _ = medsr("compare", scan, scan, "-o", folder / "a.png", "--window", *typed, "--slice", "coronal=3")
    assert (status, drawn[0][2], drawn[0][5]) == (0, expected, {"coronal": 3})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ("--window", "brain"),
            "unknown window 'brain'; give a width above 0 and a level, or one of: soft, lung, bone",
        ),
        (("--window", "0", "40"), "unknown window '0 40'"),
        (("--slice", "oblique=3"), "unknown slice 'oblique=3'"),
        (("--slice", "axial=999"), "there is no axial slice 999; the volume has 0 to"),
    ],
)
def test_a_window_or_slice_that_makes_no_sense_is_refused(
    medsr: Medsr, scan: Path, folder: Path, flags: tuple[str, ...], sentence: str
):
    assert sentence in refused(medsr, folder, "compare", scan, scan, "-o", folder / "a.png", *flags)


def test_a_folder_is_no_picture(medsr: Medsr, scan: Path, tmp_path: Path):
    picture = tmp_path / "picture.png"
    picture.mkdir()
    assert medsr("compare", scan, scan, "-o", picture, "--overwrite")[2] == (
        f"error: {picture} is a folder; name a file\n"
    )


def test_volumes_of_two_places_are_not_compared(medsr: Medsr, scan: Path, folder: Path, a_volume: Volume):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((6, 8, 9), np.int16)), str(folder / "other.nii.gz"))
    arguments = ("compare", scan, folder / "other.nii.gz", "-o", folder / "picture.png")
    assert "do not overlap" in refused(medsr, folder, *arguments)


@pytest.mark.parametrize(
    ("name", "sentence"), [("picture.txt", "cannot draw"), ("nowhere/picture.png", "does not exist")]
)
def test_a_picture_that_cannot_be_drawn_gets_one_sentence(
    medsr: Medsr, scan: Path, folder: Path, name: str, sentence: str
):
    assert sentence in refused(medsr, folder, "compare", scan, scan, "-o", folder / name)


def test_axes_that_are_finer_than_asked_are_kept_with_a_warning_unless_the_spacing_is_exact(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path
):
    arguments = ("enhance", scan, "--model", a_model_file, "--spacing", 1, 1, 1)
    status, _, said = medsr(*arguments[:2], folder / "fine.nii.gz", *arguments[2:])
    assert status == 0
    assert files.read(folder / "fine.nii.gz").grid.spacing_ijk_mm == pytest.approx((0.8, 0.8, 1), rel=1e-5)
    assert "warning: i stays at 0.8 mm, which is finer than asked" in said
    assert medsr(*arguments[:2], folder / "exact.nii.gz", *arguments[2:], "--exact-spacing")[0] == 0
    assert files.read(folder / "exact.nii.gz").grid.spacing_ijk_mm == pytest.approx((1, 1, 1), rel=1e-5)


def test_stacks_of_a_fusion_have_one_thickness_or_one_each(scan: Path):
    for typed, expected in (("3", [3.0, 3.0]), ("3 4", [3.0, 4.0])):
        chosen = parser(None).parse_args(["fuse", str(scan), str(scan), "out.nii", "--slice-thickness", *typed.split()])
        assert [stack.slice_thickness_mm for stack in fuse._read(chosen)] == expected
