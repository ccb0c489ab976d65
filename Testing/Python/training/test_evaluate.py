"""medsr-train evaluate from its command line to its files."""

from __future__ import annotations

import csv
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models import file as models
from medical_super_resolution.networks.generators.srcnn import SrcnnConfig, SrcnnGenerator
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.data.manifest import Entry, write_manifest
from medical_super_resolution_training.evaluation.cases import degraded, parse_case, trimmed
from medical_super_resolution_training.evaluation.checks import lesions
from medical_super_resolution_training.evaluation.checks.noise import noise_bound, noise_deviation
from medical_super_resolution_training.evaluation.dataset import volumes_of
from medical_super_resolution_training.evaluation.measures.foreground import foreground_of
from medical_super_resolution_training.evaluation.methods.method import networks
from medical_super_resolution_training.evaluation.output import pictures
from medical_super_resolution_training.evaluation.results import Group, Score, groups, statistics

pytestmark = pytest.mark.usefixtures("quick_measurements")
INTERPOLATORS = ["linear", "cubic B-spline", "Lanczos"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        assert file.readline().startswith("# medsr-train")
        return list(csv.DictReader(file))


def run(data: Path, out: Path, encoder: Path, *more: object) -> None:
    arguments = ["evaluate", "--data", data, "--out", out, "--encoder", encoder, "--crop", "16x30x30", *more]
    assert main([str(one) for one in arguments]) == 0


@pytest.fixture
def an_mr_alone(a_dataset: Path) -> Path:
    """The data set without its CT, where one volume is as good as two."""
    (a_dataset / "ct_1.nii.gz").unlink()
    return a_dataset


@pytest.mark.parametrize(("direction", "corner"), [(1, -1), (-1, 0)])
def test_a_picture_shows_the_head_above_and_the_right_of_the_patient_at_the_left(direction: int, corner: int):
    error = np.zeros((8, 6, 4), np.float32)
    error[corner, 3, corner] = 1  # the upper end, at the right
    grid = Grid((8, 6, 4), np.diag([direction, 1.0, direction, 1.0]))
    seen = pictures._view(error, grid, parse_case("k:2")).cut(error)
    assert (seen.shape, seen[0, 0]) == ((8, 4), 1)


@pytest.mark.slow
def test_an_evaluation_writes_tables_and_pictures(
    a_dataset: Path, tmp_path: Path, a_slice_encoder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lesions, "_TRIES", 20)  # most find no place in a volume so small
    out = tmp_path / "out"
    checks = ("--lesions", "--uncertainty", "--downstream", "--show", "ct_1")
    run(a_dataset, out, a_slice_encoder, "--models", a_model_file, "--case", "k:2", "--case", "k:3", *checks)

    assert {path.name for path in out.iterdir()} == {
        *(
            "table.md",
            "scores.csv",
            "summary.csv",
            "lesions.csv",
            "calibration.csv",
            "downstream.csv",
            "registration.csv",
        ),
        *(
            "factors.png",
            "lesions.png",
            "calibration.png",
            "downstream.png",
            "registration.png",
            "ct_1_k_2.png",
            "ct_1_k_3.png",
        ),
    }
    scores = rows(out / "scores.csv")
    assert [row["method"] for row in scores[:5]] == ["thick slices", *INTERPOLATORS, "tiny"]
    assert len(scores) == 2 * 2 * 5
    assert all(math.isfinite(float(row[name])) for row in scores for name in ("psnr", "ssim", "perceptual", "residual"))
    assert len(rows(out / "calibration.csv")) == 2 * 10
    assert {row["kind"] for row in rows(out / "lesions.csv")} <= {"sphere", "vessel"}
    page = (out / "table.md").read_text()
    for text in (
        "medsr-train",
        "## k:2, all modalities, 2 volumes",
        "Spearman",
        "bone, 1 volume",
        "![factors.png]",
        "![downstream.png]",
        "| true volume |",
    ):
        assert text in page


def test_a_model_is_measured_as_users_run_it(
    a_dataset: Path, tmp_path: Path, a_slice_encoder: Path, a_model_file: Path
):
    out = tmp_path / "out"
    run(a_dataset, out, a_slice_encoder, "--models", a_model_file, "--case", "k:2", "--show")
    found = next(row for row in rows(out / "scores.csv") if (row["subject"], row["method"]) == ("ct_1", "tiny"))

    case = parse_case("k:2")
    subject = next(one for one in volumes_of(a_dataset, "", (16, 30, 30)) if one.name == "ct_1")
    truth = trimmed(subject.read(), case)
    settings = EnhanceSettings(factor=2, axes="k", slice_profile="gaussian")
    result = enhance(degraded(truth, case), models.load(a_model_file), settings).volume
    inside = truth.array > -900
    error = np.clip(result.array, -1000, 1000).astype(float) - np.clip(truth.array, -1000, 1000)
    assert float(found["psnr"]) == pytest.approx(10 * math.log10(2000**2 / np.mean(error[inside] ** 2)), abs=1e-3)
    bound = noise_bound(noise_deviation(truth, foreground_of(truth), case), 2000, case)
    assert float(found["noise_bound"]) == pytest.approx(bound, abs=1e-3)
    assert float(found["noise_share"]) == pytest.approx(10 ** ((float(found["psnr"]) - bound) / 10), rel=1e-3)


def test_a_model_is_measured_at_a_detail(tmp_path: Path, a_model_file: Path, a_tiny_generator):
    soft = tmp_path / "soft.safetensors"
    models.save(soft, "through-plane", a_tiny_generator, {"detail_model": "tiny"})
    found = networks([str(soft), f"{soft}@0.5", str(a_model_file)], "cpu", 1)
    assert [one.name for one in found] == ["soft", "soft, detail 0.5", "tiny"]
    assert [one.model.detail for one in found] == [0, 0.5, 0]


def test_models_of_one_name_are_called_by_their_folders(tmp_path: Path, a_model_file: Path):
    other = tmp_path / "other" / "tiny.safetensors"
    other.parent.mkdir()
    other.write_bytes(a_model_file.read_bytes())
    assert [one.name for one in networks([str(a_model_file), str(other)], "cpu", 1)] == [
        f"{tmp_path.name}/tiny",
        "other/tiny",
    ]
    with pytest.raises(SettingsError, match="rename"):
        networks([str(other), str(other)], "cpu", 1)


def test_an_in_plane_model_takes_part_in_its_own_factor(an_mr_alone: Path, tmp_path: Path, a_slice_encoder: Path):
    model = tmp_path / "plane.safetensors"
    models.save(model, "srcnn", SrcnnGenerator(SrcnnConfig(factor=2, channels=(4, 2))), {})
    cases = ("--case", "ij:2", "--case", "ij:3", "--case", "k:2")
    run(an_mr_alone, tmp_path / "out", a_slice_encoder, "--models", model, *cases, "--show")
    taken = {(row["case"], row["method"]) for row in rows(tmp_path / "out" / "scores.csv")}
    assert {case for case, method in taken if method == "plane"} == {"ij:2"}
    assert {case for case, method in taken if method == "linear"} == {"ij:2", "ij:3", "k:2"}


def test_another_programs_results_are_measured(an_mr_alone: Path, tmp_path: Path, a_slice_encoder: Path):
    inputs, theirs = tmp_path / "inputs", tmp_path / "theirs"
    run(an_mr_alone, tmp_path / "first", a_slice_encoder, "--case", "k:2", "--inputs", inputs, "--show")
    theirs.mkdir()
    for path in inputs.iterdir():
        coarse = sitk.ReadImage(str(path))
        spacing, size = coarse.GetSpacing(), coarse.GetSize()
        origin = coarse.TransformContinuousIndexToPhysicalPoint((0, 0, -0.25))
        fine = sitk.Resample(
            coarse, (*size[:2], 2 * size[2]), sitk.Transform(), sitk.sitkNearestNeighbor, origin,
            (*spacing[:2], spacing[2] / 2), coarse.GetDirection(),
        )  # fmt: skip
        sitk.WriteImage(fine, str(theirs / path.name))
    run(an_mr_alone, tmp_path / "second", a_slice_encoder, "--case", "k:2", "--results", f"nearest={theirs}", "--show")
    found = rows(tmp_path / "second" / "scores.csv")
    psnr = {row["method"]: float(row["psnr"]) for row in found if row["subject"] == "mr_1"}
    assert 10 < psnr["nearest"] < psnr["cubic B-spline"]


def test_the_split_of_a_manifest_is_measured(entries: list[Entry], tmp_path: Path):
    path = tmp_path / "split.json"
    write_manifest([replace(entry, split=split) for entry, split in zip(entries, ("train", "test"), strict=True)], path)
    assert [one.name for one in volumes_of(path, "test")] == ["mr_1"]
    with pytest.raises(VolumeError, match="--split"):
        volumes_of(path, "validation")


def test_volumes_of_one_file_name_are_named_by_their_folders(entries: list[Entry], tmp_path: Path):
    path = tmp_path / "named.json"
    write_manifest([replace(entry, source=f"{entry.modality}/T1.nii.gz") for entry in entries], path)
    assert [one.name for one in volumes_of(path, "train")] == ["ct_T1", "mr_T1"]


def test_volumes_of_one_name_in_two_formats_keep_their_suffixes(a_dataset: Path):
    sitk.WriteImage(sitk.ReadImage(str(a_dataset / "ct_1.nii.gz")), str(a_dataset / "ct_1.nrrd"))
    assert [one.name for one in volumes_of(a_dataset, "")] == ["ct_1.nii.gz", "ct_1.nrrd", "mr_1.nii.gz"]


def test_the_middle_of_a_volume_lies_where_it_lay(a_dataset: Path):
    whole, middle = (volumes_of(a_dataset, "", crop)[0].read() for crop in (None, (10, 100, 12)))
    assert middle.array.shape == (10, 36, 12)
    np.testing.assert_array_equal(middle.array, whole.array[15:25, :, 11:23])
    np.testing.assert_allclose(middle.grid.ijk_to_ras[:3, 3], (whole.grid.ijk_to_ras @ (11, 0, 15, 1))[:3])


def a_score(subject: str, method: str, psnr: float, modality: str = "ct") -> Score:
    return Score(subject, modality, "k:2", method, {"psnr": psnr})


def test_differences_are_paired_by_subject():
    scores = [
        *(a_score("a", "cubic B-spline", 30), a_score("b", "cubic B-spline", 20, "mr")),
        *(a_score("a", "net", 33), a_score("b", "net", 21, "mr"), a_score("a", "other", 32)),
    ]
    group = next(one for one in groups(scores) if one.modality == "all")
    over = group.over_baseline("net", "psnr")
    assert (over.mean, over.lowest, over.highest, over.count) == (2, 1, 3, 2)
    assert over.deviation == pytest.approx(math.sqrt(2))
    assert group.paired("net", "other", "psnr").mean == 1
    assert [(one.modality, len(one.scores)) for one in groups(scores)] == [("ct", 3), ("mr", 2), ("all", 5)]


def test_values_that_are_not_finite_do_not_count():
    assert statistics([1.0, math.nan, 3.0]).mean == 2
    assert statistics([math.nan]).count == 0
    assert math.isnan(Group("k:2", "ct", ()).of("net", "psnr").mean)


@pytest.fixture
def adversarial_run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    (run / "curve.csv").write_text("step,loss,accuracy\n50,0.1,\n100,0.09,\n150,0.08,0.5\n200,0.07,0.75\n")
    return run


def test_accuracies_of_discriminators_are_drawn_and_written(tmp_path: Path, adversarial_run: Path):
    out, file = tmp_path / "out", adversarial_run / "curve.csv"
    assert main(["evaluate", "--out", str(out), "--curves", str(file), f"again={adversarial_run}"]) == 0
    assert (out / "discriminator.png").read_bytes().startswith(b"\x89PNG")
    assert [tuple(row.values()) for row in rows(out / "discriminator.csv")] == [
        (name, step, since, value)
        for name in ("run", "again")
        for step, since, value in (("150", "50", "0.5"), ("200", "100", "0.75"))
    ]


def test_accuracies_are_drawn_beside_a_measurement(
    an_mr_alone: Path, tmp_path: Path, a_slice_encoder: Path, adversarial_run: Path
):
    out = tmp_path / "out"
    run(an_mr_alone, out, a_slice_encoder, "--case", "k:2", "--show", "--curves", adversarial_run)
    assert {"table.md", "discriminator.csv", "discriminator.png"} <= {path.name for path in out.iterdir()}


def test_what_cannot_be_drawn_gets_one_sentence(tmp_path: Path, adversarial_run: Path, capsys: pytest.CaptureFixture):
    flat, other = tmp_path / "flat.csv", tmp_path / "other.csv"
    flat.write_text("step,loss\n50,0.1\n")
    other.write_text("accuracy\nhigh\n")
    for runs, reason in [
        ([], "--curves"),
        ([tmp_path / "none"], "cannot be read"),
        ([flat], "name adversarial runs"),
        ([other], "is not the curve.csv of a run"),
        ([adversarial_run, adversarial_run], "NAME=RUN"),
        ([adversarial_run, "--models", "general"], "--models is for volumes; name them by --data or --pair"),
        ([adversarial_run, "--case", "k:2"], "--case is for volumes"),
        ([adversarial_run, "--threads", "1"], "--threads is for volumes"),
    ]:
        assert main(["evaluate", "--out", str(tmp_path / "out"), "--curves", *map(str, runs)]) == 1
        printed = capsys.readouterr()
        assert reason in printed.err
        assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes of any encoding there")
def test_a_name_in_the_encoding_of_an_old_archive_is_told_by_escapes(
    an_mr_alone: Path, tmp_path: Path, a_slice_encoder: Path
):
    (an_mr_alone / "mr_1.nii.gz").rename(an_mr_alone / os.fsdecode(b"mr_M\xfcller.nii.gz"))
    run(an_mr_alone, tmp_path / "out", a_slice_encoder, "--case", "k:2", "--lesions", "--show")
    assert {row["subject"] for row in rows(tmp_path / "out" / "scores.csv")} == {r"mr_M\udcfcller"}


def test_what_cannot_be_measured_gets_one_sentence(a_dataset: Path, tmp_path: Path, a_slice_encoder: Path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    base = [
        "evaluate",
        "--out",
        str(tmp_path / "out"),
        "--encoder",
        str(a_slice_encoder),
        "--crop",
        "16x30x30",
        "--show",
    ]
    for data, more, reason in [
        (empty, [], "no volumes in the folder"),
        (tmp_path / "none.json", [], "no manifest"),
        (a_dataset, ["--case", "k"], "AXES:FACTOR"),
        (a_dataset, ["--crop", "16x30"], "crop"),
        (a_dataset, ["--results", "theirs"], "NAME=FOLDER"),
        (a_dataset, ["--results", f"theirs={empty}"], "holds volumes"),
        (a_dataset, ["--models", "none"], "there is no model"),
        (a_dataset, ["--results", f"theirs={a_dataset}"], "theirs has nothing for the cases k:2, k:4, ij:2; choose"),
        (a_dataset, ["--show", "ct_2"], "there is no volume ct_2 to show; choose from ct_1, mr_1"),
    ]:
        status = main([*base, "--data", str(data), *more])
        printed = capsys.readouterr()
        assert status == 1, more
        assert reason in printed.err
        assert printed.err.count("\n") == 1


def test_volumes_that_are_all_too_small_are_refused(an_mr_alone: Path, tmp_path: Path, a_slice_encoder: Path, capsys):
    base = ["evaluate", "--data", str(an_mr_alone), "--encoder", str(a_slice_encoder), "--crop", "4x4x4"]
    assert main([*base, "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("left out, it is too small") == 3
    assert "error: all volumes are too small for the cases" in printed.err


def test_a_result_in_another_place_is_refused_by_name(an_mr_alone: Path, tmp_path: Path, a_slice_encoder: Path, capsys):
    theirs = tmp_path / "theirs"
    run(an_mr_alone, tmp_path / "first", a_slice_encoder, "--case", "k:2", "--inputs", theirs, "--show")
    assert files.read(theirs / "mr_1_k_2.nii.gz").array.shape[0] == 8  # the input itself is no result
    base = ["evaluate", "--data", str(an_mr_alone), "--encoder", str(a_slice_encoder), "--crop", "16x30x30", "--show"]
    assert main([*base, "--out", str(tmp_path / "o"), "--case", "k:2", "--results", f"theirs={theirs}"]) == 1
    assert "does not lie where the reference" in capsys.readouterr().err


def test_a_volume_without_a_body_is_left_out(an_mr_alone: Path, tmp_path: Path, a_slice_encoder: Path, capsys):
    scan = files.read(an_mr_alone / "mr_1.nii.gz")
    files.write(replace(scan, array=np.zeros_like(scan.array)), an_mr_alone / "mr_empty.nii.gz")
    base = ["evaluate", "--data", str(an_mr_alone), "--encoder", str(a_slice_encoder), "--case", "k:2"]
    assert main([*base, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "mr_empty k:2: left out, there is no body in it" in printed.out
    assert "mr_empty" not in (tmp_path / "out" / "scores.csv").read_text().partition("\n")[2]
