"""Small model files with random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from medical_super_resolution.models import file as models
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator

SMALL = {"channels": 8, "blocks": 1, "pairs": 1, "gate_channels": 4, "kernel_hidden": 8}


def write_model(path: Path, seed: int, card: dict, **config: int) -> Path:
    """Save a through-plane generator whose weights are all different from 0."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = ThroughPlaneGenerator(ThroughPlaneConfig(**(SMALL | config)))
        with torch.no_grad():
            for weights in generator.parameters():
                weights.add_(0.05 * torch.randn_like(weights))  # the layers that start at 0 count, too
    models.save(path, "through-plane", generator, card)
    return path
