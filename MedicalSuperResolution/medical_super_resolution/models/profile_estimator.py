"""The file of a slice-profile estimator: its weights, and in its header its range and calibration."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError
from ..networks.profile_head import ProfileHead, ProfileHeadConfig
from ..physics.slice_profile import ProfileCalibration
from .file import weights_of, write_weights
from .profile_calibration import SHIPPED, calibration_from

FORMAT_VERSION = 2
_INSTEAD = "state the slice profile, Gaussian or box, and its width as the slice thickness"


@dataclass(frozen=True)
class ProfileEstimator:
    """A frozen network that estimates the width of slice profiles, with its calibration."""

    head: ProfileHead
    calibration: ProfileCalibration


def save(path: Path, head: ProfileHead, calibration: ProfileCalibration | None, card: dict[str, Any]) -> None:
    """Write an estimator as one safetensors file; one without calibration was not trained, and will be refused."""
    header = {
        "format_version": FORMAT_VERSION,
        "profile_head": dataclasses.asdict(head.config),
        "calibration": None if calibration is None else dataclasses.asdict(calibration),
        "card": card,
    }
    write_weights(path, head, header)


def load(path: Path = SHIPPED) -> ProfileEstimator:
    """Read an estimator.

    Raises
    ------
    ModelError
        The file is missing, damaged, no estimator, newer than this software, or was never trained; the message names
        what to do instead.
    """
    if not path.is_file():
        raise ModelError(f"the slice profile cannot be estimated: there is no file {path}; {_INSTEAD}")
    with weights_of(path, "a slice-profile estimator") as (header, weights):
        config, version, numbers = header["profile_head"], header["format_version"], header["calibration"]
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{path} has format {version}, this software reads format {FORMAT_VERSION};"
                f" update {'this software' if version > FORMAT_VERSION else 'the file'}"
            )
        if numbers is None:
            raise ModelError(f"the slice-profile estimator {path.name} was never trained; {_INSTEAD}")
        with torch.device("meta"):  # draws no random numbers
            head = ProfileHead(ProfileHeadConfig(**config))
        head.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
        calibration = calibration_from(numbers)
    return ProfileEstimator(head.eval().requires_grad_(False), calibration)
