"""Training state on disk: safetensors, written beside and renamed, the last two kept."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .trainer import TrainingState

KEPT = 2


def save_checkpoint(folder: Path, state: TrainingState) -> Path:
    """Write step, weights, averaged weights and optimiser moments; older checkpoints but one are removed."""
    tensors = {f"generator/{name}": value for name, value in state.generator.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in state.average.state_dict().items()}
    for name, parameter in state.generator.named_parameters():
        for moment, value in state.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{name}/{moment}"] = value
    path = folder / f"checkpoint-{state.step:08d}.safetensors"
    beside = path.with_suffix(".partial")
    metadata = {"step": json.dumps(state.step)}
    save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, str(beside), metadata)
    beside.replace(path)
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint files of a run, newest first."""
    return sorted(folder.glob("checkpoint-*.safetensors"), reverse=True)


def restore_newest(folder: Path, state: TrainingState) -> str | None:
    """Continue from the newest checkpoint that can be read.

    Returns
    -------
    A warning where a damaged newer checkpoint was passed over, else None.
    """
    warning = None
    for path in checkpoints(folder):
        try:
            with safe_open(str(path), framework="pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
                step = json.loads(opened.metadata()["step"])
        except (SafetensorError, OSError, KeyError, TypeError) as problem:
            warning = f"{path.name} is damaged ({problem}); the one before it, if there is one, is used"
            continue
        state.generator.load_state_dict(_below("generator", tensors))
        state.average.load_state_dict(_below("average", tensors))
        for name, parameter in state.generator.named_parameters():
            if parameter.requires_grad:
                state.optimizer.state[parameter] = _below(f"optimizer/{name}", tensors)
        state.step = step
        return warning
    return warning


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    start = prefix + "/"
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
