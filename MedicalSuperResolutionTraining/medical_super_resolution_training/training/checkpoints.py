"""Training state on disk: safetensors, written beside and renamed, the last two kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.system.temp_dirs import write_whole

from .state import TrainingState

KEPT = 2
CHECKPOINTS = "checkpoint-*.safetensors"
_NUMBERS = ("step", "score_zero")
_UNREPORTED = "unreported/"  # absent from checkpoints of earlier versions
_AVERAGED_WEIGHTS = "average/module."  # of the network inside `AveragedModel`


def save_checkpoint(folder: Path, state: TrainingState) -> Path:
    """Write step, weights, averaged weights and optimizer moments; older checkpoints but one are removed."""
    tensors = {f"{_UNREPORTED}{name}": values for name, values in state.unreported.items()}
    for part, network, optimizer in _parts(state):
        tensors |= {f"{part}/{name}": value for name, value in network.state_dict().items()}
        for name, parameter in network.named_parameters():
            for moment, value in optimizer.state.get(parameter, {}).items() if optimizer else ():
                tensors[f"{part}-optimizer/{name}/{moment}"] = value
    path = folder / f"checkpoint-{state.step:08d}.safetensors"
    write_tensors(path, tensors, {name: json.dumps(getattr(state, name)) for name in _NUMBERS})
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()
    return path


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file that is either whole or not there, whenever the program is stopped."""
    content = to_bytes({name: value.detach().contiguous().clone() for name, value in tensors.items()}, metadata)
    write_whole(path, content)  # safetensors itself would report a full disk as an error of its own


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, on the CPU, and its metadata.

    Raises
    ------
    SafetensorError, OSError
        The file is missing or damaged.
    """
    with safe_open(str(path), framework="pt") as opened:
        # Copies, because a tensor of safetensors keeps its file open, which Windows would not remove then:
        return {key: opened.get_tensor(key).clone() for key in opened.keys()}, opened.metadata() or {}  # noqa: SIM118


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint files of a run, newest first."""
    return sorted(folder.glob(CHECKPOINTS), reverse=True)


def restore_newest(folder: Path, state: TrainingState) -> str | None:
    """Continue from the newest checkpoint that can be read.

    Returns
    -------
    A warning where a damaged newer checkpoint was passed over, else None.

    Raises
    ------
    SuperResolutionError
        There are checkpoints, and none can be read.
    """
    numbers, warning = _newest(folder, lambda tensors: _restore(state, tensors))
    for name, value in numbers.items():
        setattr(state, name, value)
    return warning


def restore_average(folder: Path, network: nn.Module) -> int:
    """Load the averaged weights of the newest checkpoint that can be read into a network.

    Returns
    -------
    The number of steps that were trained; 0 where there is no checkpoint.

    Raises
    ------
    SuperResolutionError
        There are checkpoints, and none can be read.
    """
    numbers, _ = _newest(folder, lambda tensors: network.load_state_dict(_below(_AVERAGED_WEIGHTS, tensors)))
    return int(numbers.get("step", 0))


def _newest(folder: Path, take: Callable[[dict[str, Tensor]], object]) -> tuple[dict[str, Any], str | None]:
    """Hand over the tensors of the newest checkpoint that can be read; its numbers, and a warning of damaged ones."""
    warning = None
    for path in checkpoints(folder):
        try:
            tensors, metadata = read_tensors(path)
            numbers = {name: json.loads(metadata[name]) for name in _NUMBERS}
            take(tensors)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as problem:
            first = str(problem).strip().splitlines()[0]
            warning = f"{path.name} is damaged ({first})"
            continue
        return numbers, warning and f"{warning}; the one before it is used"
    if warning:
        raise SuperResolutionError(f"no checkpoint in {folder} can be read: {warning}; train in another folder")
    return {}, None


def _restore(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    state.unreported = _below(_UNREPORTED, tensors)
    for part, network, optimizer in _parts(state):
        network.load_state_dict(_below(f"{part}/", tensors))
        for name, parameter in network.named_parameters():
            if optimizer:
                moments = _below(f"{part}-optimizer/{name}/", tensors)
                optimizer.state[parameter] = {key: _beside(parameter, value) for key, value in moments.items()}


def _parts(state: TrainingState) -> list[tuple[str, nn.Module, torch.optim.Optimizer | None]]:
    parts: list[tuple[str, nn.Module, torch.optim.Optimizer | None]] = [
        ("generator", state.generator, state.optimizer),
        ("average", state.averaged, None),
    ]
    if state.discriminator is not None:
        parts.append(("discriminator", state.discriminator, state.discriminator_optimizer))
    return parts


def _beside(parameter: nn.Parameter, moment: Tensor) -> Tensor:
    """A moment where its parameter is; Adam's count of steps, a single number, stays on the CPU."""
    return moment.to(parameter.device) if moment.dim() else moment


def _below(start: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
