"""The demonstration of `make enhance`: a real brain made thick, enhanced, and compared with the truth.

The truth is the 1 mm MNI ICBM152 T1 template that the nilearn package carries (Fonov et al. 2011,
DOI 10.1016/j.neuroimage.2010.07.033): nothing is downloaded.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from ..errors import optional
from ..inference.enhance import enhance
from ..models.weight_interpolation import load_model
from ..objectives.metrics import psnr, ssim
from ..physics.acquisition import acquisition_matrix
from ..physics.projection import acquired
from ..settings import EnhanceSettings
from ..system.temp_dirs import check_replaceable
from ..volumes.grid import Grid
from ..volumes.io import files
from ..volumes.resampling import INTERPOLATORS, resampled
from ..volumes.volume import Volume
from .figures import compare
from .terminal import Display

FACTOR = 4
OURS = "ours"
_FOREGROUND = 0.03  # of the 99.5th percentile: below lies what is outside the head


def main(folder: Path, progress: Display, *, overwrite: bool = False) -> None:
    """Write the thick and the enhanced volume and a picture into ``folder``; print a table.

    Raises
    ------
    SuperResolutionError
        One of them is there already, and ``overwrite`` is false.
    """
    made = [folder / name for name in ("thick.nii.gz", "enhanced.nii.gz", "compare.png")]
    for path in made:
        check_replaceable(path, overwrite=overwrite)
    truth = template()
    folder.mkdir(parents=True, exist_ok=True)
    thick = thickened(truth, FACTOR)
    print(f"{truth.grid.described()} made {FACTOR} mm thick: {thick.grid.described()}")

    model = load_model("general")
    settings = EnhanceSettings(factor=FACTOR, axes="k")
    results: dict[str, Volume] = {}
    seconds: dict[str, float] = {}
    for name in (*INTERPOLATORS, OURS):
        progress.stage("refining" if name == OURS else "interpolating")
        started = time.monotonic()
        if name == OURS:
            results[name] = enhance(thick, model, settings, progress).volume
        else:
            results[name] = Volume(resampled(thick, truth.grid, name), truth.grid)
        seconds[name] = time.monotonic() - started
    progress.stage("comparing")
    for line in table(results, truth, seconds):
        print(line)
    files.write(thick, made[0], overwrite=overwrite)
    files.write(results[OURS], made[1], overwrite=overwrite)
    compare(thick, results[OURS], truth, output=made[2])
    for path in made:
        print(path)


def template() -> Volume:
    """The MNI T1 template at 1 mm, in the range of a 12-bit scanner."""
    image = optional("nilearn.datasets", "demonstrations", extra="demo").load_mni152_template(resolution=1)
    values = np.asarray(image.dataobj, dtype=np.float64).transpose(2, 1, 0)
    values = np.rint(values / values.max() * 4095).astype(np.int16)
    count = values.shape[0] // FACTOR * FACTOR
    return Volume(np.ascontiguousarray(values[:count]), Grid((count, *values.shape[1:]), image.affine), modality="mr")


def thickened(volume: Volume, factor: int) -> Volume:
    """The volume as a scanner with ``factor`` times thicker slices along k would measure it."""
    grid = volume.grid.refined("k", 1 / factor)
    matrix = acquisition_matrix(grid.count("k"), volume.grid.count("k"), factor)
    array = np.rint(acquired(volume.array, matrix, 0)).astype(volume.array.dtype)
    return Volume(array, grid, modality=volume.modality)


def table(results: dict[str, Volume], truth: Volume, seconds: dict[str, float]) -> list[str]:
    """Lines with PSNR and SSIM inside the head, and time."""
    reference = torch.from_numpy(truth.array.astype(np.float32))
    peak = float(np.percentile(truth.array[truth.array > truth.array.min()], 99.5))
    head, reference = reference > _FOREGROUND * peak, reference.clamp(0, peak)
    lines = [f"{'':16s} {'PSNR dB':>8s} {'SSIM':>8s} {'seconds':>8s}"]
    for name, volume in results.items():
        result = torch.from_numpy(volume.array.astype(np.float32)).clamp(0, peak)
        scores = f"{psnr(result, reference, peak, head):8.2f} {ssim(result, reference, peak, head):8.4f}"
        lines.append(f"{name:16s} {scores} {seconds[name]:8.1f}")
    return lines
