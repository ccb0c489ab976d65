from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution import models
from medical_super_resolution.cli import main
from medical_super_resolution.volumes import files
from medical_super_resolution.volumes.volume import Volume

PACKAGE_ROOT = Path(files.__file__).parents[2]
Medsr = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def terminate_as_before() -> Iterator[None]:
    """`main` listens to SIGTERM; the next test should not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, for what a run leaves behind to be seen."""
    path = tmp_path / "scans"
    path.mkdir()
    return path


@pytest.fixture
def scan(folder: Path, a_volume: Volume) -> Path:
    path = folder / "scan.nii.gz"
    files.write(a_volume, path)
    return path


@pytest.fixture
def medsr(capfd: pytest.CaptureFixture[str]) -> Medsr:
    """Runs the command line in this process: exit status, what it said on stdout and on stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
        return status, *capfd.readouterr()

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# What it does


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


def test_without_wishes_the_result_is_isotropic(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
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
    shipped = (models.SHIPPED_FOLDER / "general.safetensors").read_bytes()
    assert report["model_sha256"] == hashlib.sha256(shipped).hexdigest()


def test_the_report_tells_what_was_done(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, a_volume: Volume):
    report = folder / "report.json"
    wishes = ("--factor", 4, "--slice-thickness", 2.7, "--slice-profile", "box", "--model", a_model_file)
    assert medsr("enhance", scan, folder / "fine.nii.gz", *wishes, "--report", report)[0] == 0
    told = json.loads(report.read_text())
    assert told["input_sha256"] == hashlib.sha256(a_volume.array.tobytes()).hexdigest()
    assert told["size_before_ijk"] == [20, 18, 9]
    assert told["size_after_ijk"] == [20, 18, 36]
    assert told["spacing_after_ijk_mm"] == pytest.approx([0.8, 0.8, 0.75], rel=1e-5)
    assert told["factor_ijk"] == [1, 1, 4]
    assert told["slice_thickness_mm"] == 2.7
    assert told["settings"]["factor"] == 4
    assert told["settings"]["slice_profile"] == "box"
    assert told["model"] == "tiny"
    assert told["model_sha256"] == hashlib.sha256(a_model_file.read_bytes()).hexdigest()
    assert 0 <= told["residual_rms"] < 1000
    assert told["seconds"] > 0
    assert told["peak_memory_mb"] > 50
    assert told["device"] == "cpu" or "cuda" in told["device"] or told["device"] == "mps"
    assert "research" in told["notice"]


def test_json_progress_is_one_step_a_line_up_to_the_total(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--progress", "json")
    status, out, _ = medsr(*arguments)
    steps = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert all(set(step) == {"done", "total"} for step in steps)
    assert steps[0]["done"] == 0
    assert steps[-1]["done"] == steps[-1]["total"]


def test_without_a_terminal_progress_is_plain_lines(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    *_, err = medsr("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    assert "\r" not in err
    assert err.splitlines()[0].startswith("0%")
    assert any(line.startswith("100%") for line in err.splitlines())


def test_asked_to_be_quiet_it_says_nothing(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--progress", "none")
    assert medsr(*arguments) == (0, "", "")


def test_a_dicom_series_is_enhanced(medsr: Medsr, folder: Path, a_model_file: Path):
    from dicom_files import write_series

    stored = np.random.default_rng(0).integers(0, 4096, (6, 12, 10)).astype(np.uint16)
    write_series(folder / "series", stored)
    arguments = ("enhance", folder / "series", folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    assert medsr(*arguments)[0] == 0
    assert files.read(folder / "fine.nii.gz").array.shape == (12, 12, 10)


# What it refuses: one sentence, status 1, and nothing left behind


def refused(medsr: Medsr, folder: Path, *arguments: object) -> str:
    """The sentence of a refusal, after checking that there is nothing but it."""
    before = contents(folder)
    status, out, err = medsr(*arguments)
    assert status == 1
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert contents(folder) == before
    return err


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
        "4-D": (image(np.zeros((2, 6, 8, 9), np.int16)), "4 dimensions"),
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


def test_a_text_file_of_no_volumes_name_gets_one_sentence(medsr: Medsr, folder: Path):
    (folder / "IM0001").write_text("patient 7")
    assert "cannot be read" in refused(medsr, folder, "enhance", folder / "IM0001", folder / "fine.nii.gz")


def test_a_sheared_volume_gets_one_sentence(medsr: Medsr, folder: Path):
    image = sitk.GetImageFromArray(np.zeros((6, 8, 9), np.int16))
    image.SetDirection([1, 0, 0, 0, 0.98, 0.2, 0, 0, 0.98])
    sitk.WriteImage(image, str(folder / "tilted.mha"))
    arguments = ("enhance", folder / "tilted.mha", folder / "fine.nii.gz", "--factor", 2)
    assert "not at right angles" in refused(medsr, folder, *arguments)


@pytest.mark.parametrize("factor", ["0", "-1", "0.5", "1", "9", "nan", "inf"])
def test_a_factor_without_meaning_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path, factor: str):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", factor)
    assert f"above 1 and at most 8, got {factor}" in refused(medsr, folder, *arguments)


@pytest.mark.parametrize(("wishes", "sentence"), [
    (("--spacing", 0, 1, 1), "above 0 mm"),
    (("--spacing", 5, 5, 5), "coarser than the volume"),
    (("--spacing", 0.8, 0.8, 0.1), "factor along k must be above 1 and at most 8, got 30"),
    (("--spacing", 0.8, 0.8, 0.8, "--factor", 2), "not both"),
    (("--factor", 2, "--axes", "x"), "unknown axes 'x'"),
    (("--factor", 2, "--threads", 0), "threads must be at least 1"),
    (("--factor", 2, "--slice-thickness", -1), "slice thickness must be above 0 mm"),
    (("--factor", 2, "--max-memory", 0), "at least 0.1 GB"),
    (("--factor", 2, "--model", "nonesuch"), "no model 'nonesuch'; installed: "),
    (("--factor", 2, "--report", "no-such-folder/report.json"), "does not exist; make it first"),
])  # fmt: skip
def test_wishes_without_meaning_get_one_sentence(medsr: Medsr, scan: Path, folder: Path, wishes: tuple, sentence: str):
    assert sentence in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz", *wishes)


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

    monkeypatch.setattr(files.tempfile, "mkdtemp", forbidden)
    assert "cannot write in the folder" in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc")
def test_a_folder_of_the_system_as_output_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path):
    assert "cannot write in the folder /proc/self" in refused(medsr, folder, "enhance", scan, "/proc/self/fine.nii.gz")


def test_an_output_that_exists_gets_one_sentence_and_is_kept(medsr: Medsr, scan: Path, folder: Path):
    (folder / "fine.nii.gz").write_text("precious")
    assert "exists already; add --overwrite" in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz")


def test_a_report_that_exists_gets_one_sentence_and_is_kept(medsr: Medsr, scan: Path, folder: Path):
    (folder / "report.json").write_text("precious")
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--report", folder / "report.json")
    assert "exists already; add --overwrite" in refused(medsr, folder, *arguments)


def test_a_report_that_is_a_folder_gets_one_sentence_before_any_work(
    medsr: Medsr, scan: Path, folder: Path, tmp_path: Path
):
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--report", tmp_path, "--overwrite")
    assert "is a folder; name a file" in refused(medsr, folder, *arguments)


def test_an_output_of_no_known_format_gets_one_sentence(medsr: Medsr, scan: Path, folder: Path):
    assert "cannot tell the format" in refused(medsr, folder, "enhance", scan, folder / "fine.jpg")


def test_a_failing_write_gets_one_sentence_and_leaves_nothing(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(image: object, name: str, **options: object) -> None:
        Path(name).write_bytes(b"half")
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(sitk, "WriteImage", full)
    wishes = ("--factor", 2, "--model", a_model_file, "--progress", "none", "--report", folder / "report.json")
    assert "could not be written" in refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz", *wishes)


def test_running_out_of_memory_gets_one_sentence(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    from medical_super_resolution import inference

    def too_much(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inference.np, "empty", too_much)
    arguments = ("enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file, "--progress", "none")
    assert "out of memory" in refused(medsr, folder, *arguments)


@pytest.mark.parametrize("arguments", [(), ("enhance",), ("enhance", "in.nii"), ("sharpen",), ("enhance", "a", "b", "--factor", "x"),
                                       ("enhance", "a", "b", "--spacing", "1"), ("enhance", "a", "b", "--device", "gpu")])  # fmt: skip
def test_wrong_usage_exits_with_2(medsr: Medsr, arguments: tuple[str, ...]):
    status, out, err = medsr(*arguments)
    assert (status, out) == (2, "")
    assert "usage: medsr" in err


# Other verbs


def test_info_describes_the_volume_and_what_would_be_done(medsr: Medsr, scan: Path):
    status, out, err = medsr("info", scan)
    assert (status, err) == (0, "")
    assert "20x18x9 at 0.80x0.80x3.00 mm" in out
    assert "int16" in out
    assert "CT (guessed from the values)" in out
    assert "through-plane axis  k" in out
    assert "20x18x34 at 0.80x0.80x0.80 mm (3.75 times finer)" in out
    assert "GB of memory" in out
    assert "CPU threads" in out


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
    shipped = models.SHIPPED_FOLDER / "general.safetensors"
    assert status == 0
    assert out.splitlines()[0] == models.installed()[0].stem
    assert hashlib.sha256(shipped.read_bytes()).hexdigest() in out


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


# In a process of its own


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "medical_super_resolution", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.fixture
def a_long_run(folder: Path, a_model_file: Path) -> tuple[object, ...]:
    """The arguments of a run that takes many seconds if nobody stops it; the model is wide for that."""
    array = np.random.default_rng(0).integers(0, 1000, (60, 256, 256)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / "large.nii"))
    wishes = ("--factor", 8, "--axes", "ijk", "--progress", "json", "--max-memory", 0.1)
    return ("enhance", folder / "large.nii", folder / "fine.nii.gz", "--model", a_model_file, *wishes)


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopping_exits_with_130_and_leaves_nothing(folder: Path, a_long_run: tuple[object, ...], sent: signal.Signals):
    before = set(folder.iterdir())
    with start(*a_long_run) as process:
        steps = [json.loads(process.stdout.readline()) for _ in range(2)]  # it is at work
        process.send_signal(sent)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert steps[0]["done"] == 0 < steps[1]["done"]
    assert process.returncode == 130
    assert err == "stopped; nothing was written\n"
    assert set(folder.iterdir()) == before
    assert time.monotonic() - began < 20


@pytest.mark.skipif(os.name == "nt", reason="limits of Unix")
def test_a_full_disk_gets_one_sentence_and_leaves_nothing(scan: Path, folder: Path, a_model_file: Path):
    def nearly_full() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    before = set(folder.iterdir())
    arguments = ("enhance", scan, folder / "fine.nii", "--factor", 4, "--model", a_model_file, "--progress", "none")
    with start(*arguments, preexec_fn=nearly_full) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith("error: ")
    assert "could not be written" in err
    assert err.count("\n") == 1
    assert set(folder.iterdir()) == before


def test_an_error_sets_the_exit_status_of_the_process(folder: Path):
    with start("enhance", folder / "no.nii.gz", folder / "fine.nii.gz") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (out, err) == ("", f"error: there is no file {folder / 'no.nii.gz'}\n")


@pytest.mark.parametrize("verb", [(), ("enhance",), ("info",), ("compare",), ("models",)])
def test_help_is_shown_without_torch(verb: tuple[str, ...]):
    code = (
        "import sys\nfrom medical_super_resolution.cli import main\n"
        f"try:\n    main([*{verb!r}, '--help'])\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'numpy', 'SimpleITK', 'matplotlib'} & sys.modules.keys()\n"
        "    sys.exit(f'imported {heavy}' if heavy else end.code)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: medsr" in done.stdout
