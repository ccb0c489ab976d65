"""The engine beside its bare network, and beside MONAI's sliding window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...inference.context import ExecutionContext
from ...inference.enhance import enhance
from ...models.file import Model
from ...volumes.volume import Volume
from .timing import Show, quickest
from .workloads import NetworkAlone, synthetic_ct

_OVERLAP = 0.25  # of MONAI's windows, its default
_WINDOW = (32, 96, 96)


def engine(model: Model, volume: Volume, context: ExecutionContext, show: Show) -> dict[str, Any]:
    """Time of the engine on a volume and on half of its slices, with and without air, and of the network alone.

    Returns
    -------
    dict
        Seconds, and three ratios: "overhead_ratio", engine over network alone; "air_ratio", half of the voxels air over
        no air; "growth_ratio", time for twice the slices.
    """
    slices, side, _ = volume.array.shape
    half, half_air = synthetic_ct(side, slices // 2), synthetic_ct(side, slices // 2, air=0.5)
    network = NetworkAlone(model, half, context)
    found = quickest(
        {
            "the engine": lambda: enhance(volume, model, context.settings),
            "the engine, half of the slices": lambda: enhance(half, model, context.settings),
            "the bare network, half of the slices": network.whole,
            "the engine, half of the slices, half air": lambda: enhance(half_air, model, context.settings),
        },
        show,
    )
    (seconds, enhanced), (half_seconds, _), (network_seconds, _), (half_air_seconds, _) = found
    return {
        "engine_seconds": seconds,
        "microseconds_per_measured_voxel": 1e6 * seconds / volume.array.size,
        "stages_seconds": enhanced.report.stages,
        "half_engine_seconds": half_seconds,
        "half_bare_forward_seconds": network_seconds,
        "overhead_ratio": half_seconds / network_seconds,
        "air_ratio": half_air_seconds / half_seconds,
        "growth_ratio": 2 * (seconds / slices) / (half_seconds / (slices // 2)),
    }


@torch.inference_mode()
def seams(model: Model, volume: Volume, context: ExecutionContext, show: Show) -> dict[str, Any]:
    """The engine in small tiles and MONAI's sliding window, compared with the untiled network.

    A seam is the largest difference, as a fraction of the intensity range. The engine is timed on the same voxels as
    MONAI, and without estimating the slice profile, which costs the same for every volume.
    """
    show("measuring seams between tiles")
    network = NetworkAlone(model, volume, context)
    without_estimation = replace(context.settings, slice_profile="gaussian")
    untiled = network.whole()[0, 0].cpu().numpy()
    facts: dict[str, Any] = {"engine_seam": float(np.abs(network.tiled(volume.grid) - untiled).max())}
    try:  # the extra `benchmark`
        from monai.inferers import sliding_window_inference
    except ImportError:
        return facts | {"monai": 'not installed; pip install "medical-super-resolution[benchmark]" to compare with it'}

    def sliding_window() -> Any:  # noqa: ANN401 - MONAI returns one tensor or several
        window = tuple(min(size, count) for size, count in zip(_WINDOW, network.lr.shape[2:], strict=True))
        return sliding_window_inference(network.lr, window, 1, network.forward, overlap=_OVERLAP, mode="gaussian")

    workloads = {
        "the engine beside MONAI": lambda: enhance(volume, model, without_estimation),
        "MONAI's sliding window": sliding_window,
    }
    (engine_seconds, _), (monai_seconds, result) = quickest(workloads, show)
    return facts | {
        "monai_volume": volume.grid.described(),
        "monai_seconds": monai_seconds,
        "engine_seconds_there": engine_seconds,
        "monai_ratio": monai_seconds / engine_seconds,
        "monai_seam": float(np.abs(result[0, 0].cpu().numpy() - untiled).max()),
    }
