"""The numbers of one result against its reference, inside the body."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from medical_super_resolution.objectives import metrics
from medical_super_resolution.objectives.perceptual import SliceEncoder, perceptual_distance
from medical_super_resolution.volumes.volume import Volume

from ..cases import Case, acquired_again
from .foreground import Foreground
from .phases import error_of_last, pulse
from .realism import features_distance, octaves

_SLICES_LOOKED_AT = 16  # by the slice encoder, evenly spaced


@dataclass(frozen=True)
class Measure:
    """A column of the tables: its title, whether higher is better, and how its values are written."""

    title: str
    higher_is_better: bool
    written: str


MEASURES = {
    "psnr": Measure("PSNR dB", True, ".2f"),
    "psnr_luma": Measure("PSNR dB on the Y channel", True, ".2f"),
    "ssim": Measure("SSIM", True, ".4f"),
    "mse": Measure("MSE (range 0 to 1)", False, ".2e"),
    "gradient": Measure("gradient error (units per voxel)", False, ".2f"),
    "hfen": Measure("HFEN", False, ".3f"),
    "perceptual": Measure("learned perceptual distance", False, ".4f"),
    "octave1": Measure("power in the first octave beyond the coarse samples, over the true one", True, ".2f"),
    "octave2": Measure("in the second octave", True, ".2f"),
    "features": Measure("distance of ImageNet features of standing cuts", False, ".3f"),
    "pulse": Measure("slice-to-slice change, over the true one: largest phase over smallest", False, ".2f"),
    "last": Measure("error in the last two thick slices, over that between them", False, ".2f"),
    "slices": Measure("slice consistency error (units)", False, ".2f"),
    "residual": Measure("data-consistency error (units)", False, ".2f"),
}


def measured(
    result: np.ndarray, reference: Volume, body: Foreground, lr: Volume, case: Case, encoder: SliceEncoder | None = None
) -> dict[str, float]:
    """Every one of `MEASURES` for one result.

    Parameters
    ----------
    result
        (K, J, I), on the grid of the reference, in its units.
    lr
        What the result was made from.
    encoder
        Without it the perceptual distance is not a number.
    """
    made, true = (torch.from_numpy(body.clipped(array)) for array in (result, reference.array))
    inside = torch.from_numpy(body.inside)
    octave1, octave2 = octaves(made.numpy(), true.numpy(), case)
    return {
        "psnr": metrics.psnr(made, true, body.peak, inside),
        "psnr_luma": metrics.psnr_of_luma(made, true, body.peak, inside),
        "ssim": metrics.ssim(made, true, body.peak, inside),
        "mse": float(metrics.mean_squared_error(made, true, inside)) / body.peak**2,
        "gradient": metrics.gradient_error(made, true, inside),
        "hfen": metrics.hfen(made, true, inside),
        "perceptual": _perceptual(result, reference.array, body, encoder),
        "octave1": octave1,
        "octave2": octave2,
        "features": features_distance(result, reference.array, body),
        "pulse": pulse(made.numpy(), true.numpy(), body.inside, case),
        "last": error_of_last(made.numpy(), true.numpy(), body.inside, case),
        "slices": metrics.slice_consistency_error(made, true, inside),
        "residual": consistency_error(result, body, lr, case),
    }


def consistency_error(result: np.ndarray, body: Foreground, lr: Volume, case: Case) -> float:
    """Root mean square of (acquisition of the result) - (what was measured), inside the measured body, in its units."""
    measured_values = lr.array.astype(np.float64)
    missed = acquired_again(result, case) - measured_values
    return float(np.sqrt(np.mean(np.square(missed[measured_values > body.above]))))


@torch.inference_mode()
def _perceptual(made: np.ndarray, true: np.ndarray, body: Foreground, encoder: SliceEncoder | None) -> float:
    if encoder is None:
        return math.nan
    chosen = np.unique(np.linspace(0, len(true) - 1, _SLICES_LOOKED_AT).round().astype(int))
    distances = []
    for number in chosen:
        pair = (torch.from_numpy(body.scaled(array[number]))[None, None, None] for array in (made, true))
        distances.append(float(perceptual_distance(encoder, *pair)))
    return float(np.mean(distances))
