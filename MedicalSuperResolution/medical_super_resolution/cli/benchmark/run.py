"""All figures of one run, on synthetic volumes. No other program should run at the same time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

import torch

from ...errors import SettingsError, SuperResolutionError
from ...inference.context import ExecutionContext
from ...inference.device import pick_device
from ...inference.enhance import enhance
from ...models.weight_interpolation import load_model
from ...networks.contracts import SequenceGenerator
from ...progress import ignore
from ...settings import EnhanceSettings
from ...system.identity import __version__, processor_name
from ...system.memory import keep_freed_blocks
from ..terminal import print_line
from . import roofline
from .engine import engine, seams
from .program import whole_program
from .timing import Show
from .workloads import FACTOR, corner_of, synthetic_ct

_SMALLEST = (4, 16)  # slices, and rows and columns, of a volume


def run(
    model_name: str, settings: EnhanceSettings, *, side: int, slices: int, show: Show = print_line
) -> dict[str, Any]:
    """Measure everything, and return the figures by name.

    Parameters
    ----------
    settings : EnhanceSettings
        Device, precision and threads.
    side, slices : int
        Rows and columns, and slices, of the volume.
    show : callable
        Called with the name of each measurement as it begins.

    Raises
    ------
    SuperResolutionError
        The model does not refine slice sequences, or the volume is too small.
    """
    if slices < _SMALLEST[0] or side < _SMALLEST[1]:
        raise SettingsError("the benchmark needs {} slices of {} rows and columns at least".format(*_SMALLEST))
    keep_freed_blocks()
    model = load_model(model_name)
    if model.generator.capabilities.in_one_pass:
        raise SuperResolutionError(f"the benchmark measures models that refine slice sequences; {model.name} is none")
    device = pick_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    settings = replace(settings, factor=float(FACTOR), axes="k", device=device.type, model=model.name)
    volume = synthetic_ct(side, slices)
    context = ExecutionContext(settings, device, 1, ignore)
    facts: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "version": __version__,
        "engine": f"torch {torch.__version__}",
        "processor": processor_name(),
        "model": model.name,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else str(device),
        "precision": context.precision,
        "threads": torch.get_num_threads(),
        "volume": f"{volume.grid.described()}, x{FACTOR}",
    }
    show("measuring the whole program")  # first, because outside Linux the peak memory of a child includes its parent's
    facts |= whole_program(model_name, volume, settings)
    enhance(synthetic_ct(32, 8), model, settings)  # warms up the libraries
    facts |= engine(model, volume, context, show)
    show("measuring the machine's own speed")
    generator = cast("SequenceGenerator", model.generator)
    facts |= roofline.compared(generator, context, volume.array.size, FACTOR, facts["engine_seconds"])
    return facts | seams(model, corner_of(volume), context, show)
