"""Curves for TensorBoard, Weights & Biases and MLflow, and the line before the first step."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.training.monitoring.loggers import LOGGERS, chosen_loggers, started
from medical_super_resolution_training.workflows.run import run_recipe
from training_runs import plane_recipe

CLIENTS = {
    "wandb": "calls = []\nclass Run:\n    id = 'first'\n    def log(self, values, step): calls.append((step, values))\n"
    "    def finish(self): calls.append('end')\ndef init(**how): calls.append(how); return Run()\n",
    "mlflow": "from types import SimpleNamespace\ncalls = []\n"
    "def start_run(run_name=None, run_id=None):\n    calls.append(run_name or {'id': run_id})\n"
    "    return SimpleNamespace(info=SimpleNamespace(run_id='first'))\n"
    "def log_params(values): calls.append(values)\n"
    "def log_metrics(values, step): calls.append((step, values))\ndef end_run(): calls.append('end')\n",
}


@pytest.fixture(params=CLIENTS)
def a_client(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a client that writes down its calls."""
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / f"{request.param}.py").write_text(CLIENTS[request.param])
    monkeypatch.syspath_prepend(str(tmp_path / "clients"))
    monkeypatch.delitem(sys.modules, request.param, raising=False)
    return request.param


def test_a_client_gets_the_settings_the_rows_and_the_end(a_client: str, tmp_path: Path):
    (tmp_path / "run").mkdir()
    logger = LOGGERS[a_client](tmp_path / "run", {"steps": 5}, 0)
    logger.add(2, {"loss": 0.5})
    logger.close()
    first, *settings, row, end = sys.modules[a_client].calls
    assert "run" in (first, *(first.values() if isinstance(first, dict) else ()))
    assert (row, end) == ((2, {"loss": 0.5}), "end")
    assert settings in ([], [{"steps": "5"}])


def test_a_resumed_training_continues_the_run_of_the_client(a_client: str, tmp_path: Path):
    for step in (0, 5):
        LOGGERS[a_client](tmp_path, {"steps": 5 + step}, step)
    calls = sys.modules[a_client].calls
    assert calls[-1]["id"] == "first"  # and no parameters, which MLflow does not change
    if a_client == "wandb":
        assert [(one["id"], one["resume"], one["allow_val_change"]) for one in calls] == [
            (None, None, False),
            ("first", "allow", True),
        ]


def test_a_client_that_refuses_to_start_is_named_with_its_reason(
    a_client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(**how: object) -> None:
        raise RuntimeError("no server at home:5000.\nAsk the administrator.")

    monkeypatch.setattr(import_module(a_client), {"wandb": "init", "mlflow": "start_run"}[a_client], refuse)
    expected = (
        f"^{a_client} could not be started: no server at home:5000; set it up, or train without --log {a_client}$"
    )
    with pytest.raises(SettingsError, match=expected):
        started(a_client, tmp_path / "run", {}, 0)


def test_a_logger_that_is_not_installed_is_named():
    for name in LOGGERS:
        if find_spec(name) is None:
            with pytest.raises(SettingsError, match=f"{name} is not installed; pip install {name}"):
                chosen_loggers([name])
    with pytest.raises(SettingsError, match="no logger 'visdom'; choose from tensorboard, wandb, mlflow"):
        chosen_loggers(["visdom"])


@pytest.mark.skipif(not find_spec("tensorboard"), reason="tensorboard is not installed")
def test_a_resumed_run_goes_to_tensorboard_without_gaps(entries: list[Entry], tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    lines: list[str] = []
    for steps in (2, 5):
        recipe = plane_recipe(steps=steps, sample_every=0)
        run_recipe(recipe, tmp_path / "data.json", tmp_path / "run", resume=True, device="cpu", log=lines.append)
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert sorted(event.step for event in events.Scalars("loss")) == [1, 2, 5]  # files of one second come in any order
    assert {"total", "l1", "mse", "accuracy", "learning_rate"} <= set(events.Tags()["scalars"])
    headers = [line for line in lines if line.startswith("srresnet with ")]
    assert len(headers) == 2
    assert "discriminator sequence-lstm with" in headers[0]
    assert "volumes: 2 train, 0 validation; 2 steps on " in headers[0]
    assert "steps 2 to 5 on " in headers[1]
    assert [line.split()[1] for line in lines if line.startswith("step ")] == ["1", "2", "5"]


@pytest.mark.skipif(not find_spec("tensorboard"), reason="tensorboard is not installed")
def test_a_run_that_begins_anew_replaces_what_it_sent_to_tensorboard(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step in (2, 1):  # stopped before the first checkpoint, then begun anew
        logger = started("tensorboard", tmp_path, {}, 0)
        logger.add(step, {"loss": 1.0})
        logger.close()
        time.sleep(1.1)  # files are read in the order of the seconds in their names
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1]
