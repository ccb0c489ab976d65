"""Files of learned degradation: the weights of a `DownSampler` with its configuration and card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models.file import weights_of, write_weights
from medical_super_resolution.networks.down_sampler import DownSampler, DownSamplerConfig

FORMAT_VERSION = 1


def save_down_sampler(path: Path, down_sampler: DownSampler, card: dict[str, Any]) -> None:
    """Write a down-sampler as one safetensors file."""
    header = {
        "format_version": FORMAT_VERSION,
        "down_sampler": "frequency-separated",
        "config": dataclasses.asdict(down_sampler.config),
        "card": card,
    }
    write_weights(path, down_sampler, header)


def load_down_sampler(path: Path) -> DownSampler:
    """Read a down-sampler, frozen.

    Raises
    ------
    ModelError
        The file is missing, damaged, no down-sampler, or newer than this software.
    """
    if not path.is_file():
        raise ModelError(
            f"there is no learned down-sampler {path}; train one with the recipe learned-degradation, export it, and"
            " name its file as degradation_model"
        )
    with weights_of(path, "a learned down-sampler") as (header, weights):
        config, version, _ = header["config"], header["format_version"], header["down_sampler"]
        if version != FORMAT_VERSION:
            raise ModelError(f"{path} has format {version}, this software reads format {FORMAT_VERSION}; update it")
        down_sampler = DownSampler(DownSamplerConfig(**config))
        down_sampler.load_state_dict(weights)
    return down_sampler.eval().requires_grad_(False)
