from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from command_line import Medsr, refused
from medical_super_resolution.report import check_report
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume


def bad_inputs() -> dict[str, tuple[Callable[[Path], object], str]]:
    """What is wrong with the input, how to make it (given the path of a good scan), and a part of the sentence."""

    def image(array: np.ndarray, *, vector: bool = False) -> Callable[[Path], object]:
        return lambda path: sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path))

    def with_value(value: float) -> np.ndarray:
        array = np.zeros((6, 8, 9), np.float32)
        array[3, 4, 5] = value
        return array

    return {
        "missing": (lambda path: path.unlink(), "there is no file"),
        "text": (lambda path: path.write_text("patient 7\n" * 99), "cannot be read as a volume"),
        "empty": (lambda path: path.write_bytes(b""), "cannot be read as a volume"),
        "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-500]), "cut short"),
        "RGB": (image(np.zeros((6, 8, 9, 3), np.uint8), vector=True), "3 values in each voxel"),
        "NaN": (image(with_value(np.nan)), "slice 3 of the volume holds values that are not finite"),
        "infinite": (image(with_value(-np.inf)), "slice 3 of the volume holds values that are not finite"),
        "single slice": (image(np.zeros((1, 8, 9), np.int16)), "single slice along k"),
        "folder": (lambda path: (path.unlink(), path.mkdir()), "no DICOM series"),
    }


@pytest.mark.parametrize("fault", bad_inputs())
def test_a_bad_input_gets_one_sentence(
    medsr: Medsr, tmp_path: Path, scan: Path, folder: Path, a_model_file: Path, fault: str
):
    make, sentence = bad_inputs()[fault]
    make(scan)
    results = tmp_path / "results"
    results.mkdir()
    arguments = ("enhance", scan, results / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    assert sentence in refused(medsr, results, *arguments)


def test_a_missing_folder_is_named_and_not_the_folder_for_the_results(medsr: Medsr, folder: Path):
    refusal = refused(medsr, folder, "enhance", folder / "studies", folder / "results")
    assert refusal == f"error: there is no file {folder / 'studies'}\n"


def test_a_text_file_of_no_volumes_name_gets_one_sentence(medsr: Medsr, folder: Path):
    (folder / "IM0001").write_text("patient 7")
    assert "cannot be read" in refused(medsr, folder, "enhance", folder / "IM0001", folder / "fine.nii.gz")


def test_a_tilted_volume_is_straightened_and_the_angle_printed(medsr: Medsr, folder: Path, a_model_file: Path):
    image = sitk.GetImageFromArray(np.zeros((6, 8, 9), np.int16))
    image.SetDirection([1, 0, 0, 0, 0.98, 0.2, 0, 0, 0.98])
    sitk.WriteImage(image, str(folder / "tilted.mha"))
    arguments = ("enhance", folder / "tilted.mha", folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    status, _, said = medsr(*arguments)
    assert status == 0
    assert "warning: the slices were tilted by 11.5 degrees and were straightened" in said
    assert not files.read(folder / "fine.nii.gz").grid.is_sheared


@pytest.mark.parametrize("factor", ["0", "-1", "0.5", "1", "9", "nan", "inf"])
def test_a_factor_without_meaning_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path, factor: str):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", factor)
    assert f"above 1 and at most 8, got {factor}" in refused(medsr, folder, *arguments)


@pytest.mark.parametrize(("options", "sentence"), [
    (("--spacing", 0, 1, 1), "above 0 mm"),
    (("--spacing", 5, 5, 5), "nothing to refine"),
    (("--exact-spacing",), "needs the three spacings"),
    (("--exact-spacing", 1, 1), "three numbers in mm"),
    (("--spacing", 0.8, 0.8, 0.1), "factor along k must be above 1 and at most 8, got 30"),
    (("--spacing", 0.8, 0.8, 0.8, "--factor", 2), "not both"),
    (("--factor", 2, "--axes", "x"), "unknown axes 'x'"),
    (("--factor", 2, "--threads", 0), "threads must be at least 1"),
    (("--factor", 2, "--slice-thickness", -1), "slice thickness must be above 0 mm"),
    (("--factor", 2, "--max-memory", 0), "at least 0.1 GB"),
    (("--factor", 2, "--model", "nonesuch"), "no model 'nonesuch'; installed: "),
    (("--factor", 2, "--report", "no-such-folder/report.json"), "does not exist; make it first"),
])  # fmt: skip
def test_options_without_meaning_get_one_sentence(
    medsr: Medsr, scan: Path, folder: Path, options: tuple, sentence: str
):
    assert sentence in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz", *options)


def test_a_model_cut_in_half_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    a_model_file.write_bytes(a_model_file.read_bytes()[: a_model_file.stat().st_size // 2])
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    assert "damaged" in refused(medsr, folder, *arguments)


def test_cuda_without_cuda_gets_one_sentence(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--device", "cuda")
    assert "no CUDA device" in refused(medsr, folder, *arguments)


def test_an_output_folder_that_does_not_exist_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path):
    assert "does not exist; make it first" in refused(
        medsr, folder, "enhance", scan, folder / "nowhere" / "fine.nii.gz"
    )


def test_an_output_folder_that_may_not_be_written_gets_one_sentence(
    medsr: Medsr, scan: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def forbidden(*arguments: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")  # chmod would not stop a test that runs as root

    monkeypatch.setattr(Path, "mkdir", forbidden)
    assert "cannot write in the folder" in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc")
def test_a_folder_of_the_system_as_output_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path):
    assert "cannot write in the folder /proc/self" in refused(medsr, folder, "enhance", scan, "/proc/self/fine.nii.gz")
    options = ("--factor", 2, "--report", "/proc/self/report.json")
    said = refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz", *options)
    assert "the report /proc/self/report.json could not be written" in said


def test_an_output_that_exists_gets_one_sentence_and_is_kept(medsr: Medsr, scan: Path, folder: Path):
    (folder / "fine.nii.gz").write_text("precious")
    assert "exists already; add --overwrite" in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz")


def test_a_stack_that_stands_in_the_place_of_the_output_of_fuse_is_called_the_output(
    medsr: Medsr, scan: Path, folder: Path, a_volume: Volume
):
    for name in ("second.nii.gz", "third.nii.gz"):
        files.write(a_volume, folder / name)
    said = refused(medsr, folder, "fuse", scan, folder / "second.nii.gz", folder / "third.nii.gz")
    assert "third.nii.gz, the last path, is the output, and exists already; name the output after all stacks" in said


@pytest.mark.parametrize(
    "arguments",
    [
        "enhance scan.nii.gz scan.nii.gz",
        "enhance scan.nii.gz fine.nii.gz --uncertainty scan.nii.gz",
        "enhance scan.nii.gz fine.nii.gz --report scan.nii.gz",
        "enhance scan.nii.gz fine.nii.gz --labels other.nii.gz scan.nii.gz",
        "enhance scan.nii.gz fine.nii.gz --labels other.nii.gz other.nii.gz",
        "enhance detached.nhdr detached.mhd",  # which share detached.raw
        "labels other.nii.gz other.nii.gz --like scan.nii.gz",
        "labels other.nii.gz scan.nii.gz --like scan.nii.gz",
        "fuse scan.nii.gz other.nii.gz other.nii.gz",
        "fuse scan.nii.gz other.nii.gz fine.nii.gz --uncertainty scan.nii.gz",
        "fuse scan.nii.gz other.nii.gz fine.nii.gz --like detached.nhdr --report detached.raw",
    ],
)
def test_an_input_is_never_replaced(
    medsr: Medsr, scan: Path, folder: Path, a_volume: Volume, monkeypatch: pytest.MonkeyPatch, arguments: str
):
    (folder / "other.nii.gz").write_bytes(scan.read_bytes())
    files.write(a_volume, folder / "detached.nhdr", compress=False)
    monkeypatch.chdir(folder)
    assert "would replace the input" in refused(medsr, folder, *arguments.split(), "--overwrite")


@pytest.mark.parametrize(
    "arguments",
    [
        "enhance scan.nii.gz fine.nii.gz --uncertainty fine.nii.gz",
        "enhance scan.nii.gz fine.nii.gz --report ../scans/fine.nii.gz",
        "enhance scan.nii.gz fine.nii.gz --labels other.nii.gz fine.nii.gz",
        "enhance scan.nii.gz fine.nhdr --uncertainty fine.mhd",  # which share fine.raw
        "fuse scan.nii.gz other.nii.gz fine.nii.gz --uncertainty fine.nii.gz",
    ],
)
def test_two_results_in_one_file_get_one_sentence(
    medsr: Medsr, scan: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: str
):
    (folder / "other.nii.gz").write_bytes(scan.read_bytes())
    monkeypatch.chdir(folder)
    assert "cannot hold two results" in refused(medsr, folder, *arguments.split(), "--overwrite")


def test_a_report_that_exists_gets_one_sentence_and_is_kept(medsr: Medsr, scan: Path, folder: Path):
    (folder / "report.json").write_text("precious")
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--report", folder / "report.json")
    assert "exists already; add --overwrite" in refused(medsr, folder, *arguments)


def test_a_report_replaces_no_file_that_is_none(medsr: Medsr, scan: Path, folder: Path):
    (folder / "IM0001").write_bytes(bytes(128) + b"DICM")
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--report", folder / "IM0001", "--overwrite")
    assert "is not a report, and would be lost" in refused(medsr, folder, *arguments)
    (folder / "IM0001").write_bytes(b"")  # of which nothing would be lost
    check_report(folder / "IM0001", overwrite=True)


def test_a_report_that_is_a_folder_gets_one_sentence_before_any_work(
    medsr: Medsr, scan: Path, folder: Path, tmp_path: Path
):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--report", tmp_path, "--overwrite")
    assert "is a folder; name a file" in refused(medsr, folder, *arguments)


def test_an_output_of_no_known_format_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path):
    assert "no volume can be written as" in refused(medsr, folder, "enhance", scan, folder / "fine.jpg")


def test_a_failing_write_gets_one_sentence_and_leaves_nothing(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(arrays: object, grid: object, part: Path, **options: object) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "encode", full)
    options = (
        "--factor",
        2,
        "--model",
        a_model_file,
        "--progress",
        "none",
        "--no-consistency",
        "--report",
        folder / "r",
    )
    assert "could not be written" in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz", *options)


def test_running_out_of_memory_gets_one_sentence(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    from medical_super_resolution.inference import enhance as inference

    def too_much(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inference.np, "empty", too_much)
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--progress", "none")
    assert "out of memory" in refused(medsr, folder, *arguments)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sha256", "0" * 64), "--sha256 is compared with a file that is imported"),
        (("--sha256", "0" * 64, "--card", "general"), "--sha256 is compared with a file that is imported"),
        (("--import", "mine.safetensors", "--card", "general"), "--import shows the card of what it imports"),
        (("--import", "mine.safetensors", "--markdown"), "--import shows the card of what it imports"),
    ],
)
def test_options_of_models_that_have_no_effect_together_are_refused(medsr: Medsr, options: tuple[str, ...], said: str):
    status, out, err = medsr("models", *options)
    assert (status, out) == (1, "")
    assert said in err
