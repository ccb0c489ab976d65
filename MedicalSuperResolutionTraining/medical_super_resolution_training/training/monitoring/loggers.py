"""Curves for TensorBoard, Weights & Biases and MLflow, in addition to the CSV."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from medical_super_resolution.errors import SettingsError


class Logger(Protocol):
    """Receives the rows of the curves. Created with the folder of the run, its settings, and its first step."""

    def add(self, step: int, values: dict[str, float]) -> None:
        """Log the values of one report."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoardLogger:
    """Event files in the folder of the run; earlier values of steps after ``first`` are replaced, as in the CSV."""

    def __init__(self, run: Path, settings: dict[str, Any], first: int) -> None:
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(str(run), purge_step=first + 1)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Log the values of one report."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WandbLogger:
    """A run of Weights & Biases, named as the folder; its client decides where it is kept.

    A training that is resumed continues its run, whose identifier lies in the folder.
    """

    def __init__(self, run: Path, settings: dict[str, Any], first: int) -> None:
        wandb = import_module("wandb")
        self._run = wandb.init(
            project="medical-super-resolution",
            name=run.name,
            dir=str(run),
            config=settings,
            id=_known_id(run, "wandb") if first else None,
            resume="allow" if first else None,
            allow_val_change=bool(first),  # the number of steps
        )
        _keep_id(run, "wandb", self._run.id)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Log the values of one report."""
        self._run.log(values, step=step)

    def close(self) -> None:
        """Write what is left."""
        self._run.finish()


class MlflowLogger:
    """A run of MLflow, named as the folder; its client decides where it is kept. Resumed as in `WandbLogger`."""

    def __init__(self, run: Path, settings: dict[str, Any], first: int) -> None:
        self._mlflow = import_module("mlflow")
        if known := _known_id(run, "mlflow") if first else None:
            self._mlflow.start_run(run_id=known)
            return
        _keep_id(run, "mlflow", self._mlflow.start_run(run_name=run.name).info.run_id)
        self._mlflow.log_params({name: str(value) for name, value in settings.items()})  # which cannot be changed

    def add(self, step: int, values: dict[str, float]) -> None:
        """Log the values of one report."""
        self._mlflow.log_metrics(values, step=step)

    def close(self) -> None:
        """Write what is left."""
        self._mlflow.end_run()


def _known_id(run: Path, client: str) -> str | None:
    """The identifier that a client gave to the run in a folder; None where it has none."""
    kept = run / f"{client}-id.txt"
    return kept.read_text(encoding="utf-8").strip() if kept.is_file() else None


def _keep_id(run: Path, client: str, identifier: str) -> None:
    (run / f"{client}-id.txt").write_text(f"{identifier}\n", encoding="utf-8")


LOGGERS: dict[str, Callable[[Path, dict[str, Any], int], Logger]] = {
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
    "mlflow": MlflowLogger,
}


def started(name: str, run: Path, settings: dict[str, Any], first: int) -> Logger:
    """Start one of `LOGGERS`.

    Raises
    ------
    SettingsError
        Its client refuses to start, as without an account or a server.
    """
    try:
        return LOGGERS[name](run, settings, first)
    except Exception as problem:  # clients have errors of their own
        raise SettingsError(
            f"{name} could not be started: {_first_line(problem)}; set it up, or train without --log {name}"
        ) from problem


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0].rstrip(".")


def chosen_loggers(names: list[str] | None) -> list[str]:
    """The requested loggers; None means TensorBoard if it is installed.

    Raises
    ------
    SettingsError
        There is no such logger, or its package is not installed.
    """
    if names is None:
        return ["tensorboard"] if find_spec("tensorboard") else []
    for name in names:
        if name not in LOGGERS:
            raise SettingsError(f"there is no logger {name!r}; choose from {', '.join(LOGGERS)}")
        if not find_spec(name):
            raise SettingsError(f"{name} is not installed; pip install {name}, or leave out --log {name}")
    return names
