from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.cli import demo as demonstration
from medical_super_resolution.cli.main import main
from medical_super_resolution.cli.terminal import Display
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.objectives.metrics import psnr, ssim
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume


@pytest.fixture(scope="module")
def a_head() -> Volume:
    """A small stand-in for the real template."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in (32, 30, 28)), indexing="ij")
    radius = np.sqrt(k**2 + j**2 + i**2)
    array = np.where(radius < 0.9, 2000 + 1500 * np.sin(8 * k + 4 * j), 0)
    return Volume(array.astype(np.int16), Grid((32, 30, 28), np.diag([-1.0, 1.0, 1.0, 1.0])), modality="mr")


@pytest.fixture(scope="module")
def shown(a_head: Volume, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str]]:
    """The folder of one demonstration with the stand-in, and the lines on standard output and on standard error."""
    folder, printed, progress = tmp_path_factory.mktemp("demonstration") / "shown", io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(progress):
        patch.setattr(demonstration, "template", lambda: a_head)
        assert main(["demo", str(folder)]) == 0
    return folder, printed.getvalue().splitlines(), progress.getvalue().splitlines()


def test_the_demonstration_writes_its_files_and_prints_where_they_are(shown: tuple[Path, list[str], list[str]]):
    folder, printed, _ = shown
    for name in ("thick.nii.gz", "enhanced.nii.gz", "compare.png"):
        assert (folder / name).is_file()
        assert str(folder / name) in printed
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_is_there_already_is_kept(tmp_path: Path):
    mine = tmp_path / "thick.nii.gz"
    mine.write_bytes(b"mine")
    with pytest.raises(SuperResolutionError, match=r"thick.nii.gz exists already; add --overwrite"):
        demonstration.main(tmp_path, Display())
    assert (list(tmp_path.iterdir()), mine.read_bytes()) == ([mine], b"mine")


def test_the_stages_are_shown_from_the_start(shown: tuple[Path, list[str], list[str]]):
    stages = [line.partition(" ... ")[0] for line in shown[2] if " ... " in line]
    assert stages == ["starting", "interpolating", "interpolating", "refining", "comparing"]


def test_without_the_template_no_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nilearn.datasets", None)
    with pytest.raises(SuperResolutionError, match="nilearn"):
        demonstration.main(tmp_path / "shown", Display())
    assert list(tmp_path.iterdir()) == []


def test_the_enhanced_volume_lies_on_the_grid_of_the_truth(a_head: Volume, shown: tuple[Path, list[str], list[str]]):
    folder, _, _ = shown
    enhanced, thick = files.read(folder / "enhanced.nii.gz"), files.read(folder / "thick.nii.gz")
    assert enhanced.grid.shape_kji == a_head.grid.shape_kji
    np.testing.assert_allclose(enhanced.grid.ijk_to_ras, a_head.grid.ijk_to_ras, atol=1e-4)
    assert thick.grid.spacing_ijk_mm == pytest.approx((1, 1, 4))
    assert thick.array.shape == (8, 30, 28)


def test_the_table_compares_linear_b_spline_and_ours(shown: tuple[Path, list[str], list[str]]):
    _, printed, _ = shown
    header = next(number for number, line in enumerate(printed) if "PSNR" in line)
    assert "SSIM" in printed[header]
    assert "seconds" in printed[header]
    rows = {
        line[:16].strip(): [float(value) for value in line[16:].split()] for line in printed[header + 1 : header + 4]
    }
    assert list(rows) == ["linear", "cubic B-spline", "ours"]
    assert rows["linear"][0] < rows["cubic B-spline"][0] < rows["ours"][0]
    assert all(0 < values[1] < 1 for values in rows.values())
    assert all(values[2] >= 0 for values in rows.values())


def test_the_table_counts_the_head_and_not_the_air(a_head: Volume):
    """Errors outside the head do not count."""
    wrong_in_air = a_head.array.copy()
    wrong_in_air[a_head.array == 0] = 60
    noisy = a_head.array + np.random.default_rng(0).integers(-50, 50, a_head.array.shape).astype(np.int16)
    results = {"air": Volume(wrong_in_air, a_head.grid), "head": Volume(noisy, a_head.grid)}
    air, head = demonstration.table(results, a_head, {"air": 1.0, "head": 2.0})[1:]
    assert float(air.split()[1]) > 200
    reference = torch.from_numpy(a_head.array.astype(np.float32))
    peak = float(np.percentile(a_head.array[a_head.array > 0], 99.5))
    inside = reference > 0.03 * peak
    clipped = torch.from_numpy(noisy.astype(np.float32)).clamp(0, peak)
    assert float(head.split()[1]) == pytest.approx(psnr(clipped, reference.clamp(0, peak), peak, inside), abs=0.01)
    assert float(head.split()[2]) == pytest.approx(ssim(clipped, reference.clamp(0, peak), peak, inside), abs=1e-4)


def test_a_thickened_volume_has_thick_slices_in_the_same_place(a_head: Volume):
    thick = demonstration.thickened(a_head, 4)
    for before, after in zip(a_head.grid.bounds_ras_mm, thick.grid.bounds_ras_mm, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-9)
    assert thick.array.dtype == a_head.array.dtype
    assert thick.array.mean() == pytest.approx(a_head.array.mean(), rel=0.02)
