"""The cards of the shipped models say what was measured, and the model files hold these cards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medical_super_resolution.models.store import SHIPPED_FOLDER, read_description
from medical_super_resolution_training.config.recipes import RESOURCES, read_toml

MODELS = ("general", "general-large")
TABLE = Path(__file__).parents[3] / "Resources" / "Results" / "general.md"
ROW = re.compile(r"^\| (.+) \| (CT|MR) \| `(.+)` \| (\S+ dB) \| (\S+) dB \| (\S+) \| (\S+ %) \|$", re.MULTILINE)


def card(model: str) -> dict[str, object]:
    return read_toml(RESOURCES / "Cards" / f"{model}.toml")


@pytest.mark.parametrize("model", [*MODELS, "general-detail"])
def test_a_model_file_holds_its_card(model: str):
    held = read_description(SHIPPED_FOLDER / f"{model}.safetensors")["card"]
    assert {name: held.get(name) for name in card(model)} == card(model)


@pytest.mark.parametrize("folder", ["weights", "features"])
def test_a_model_file_states_source_and_license_of_every_training_volume(folder: str):
    known = read_toml(RESOURCES / "Cards" / "volumes.toml")
    lines = {
        name: f"{name}: {volume['source']}; {volume['license']}, stated by {volume['stated_by']}"
        for name, volume in known.items()
    }
    paths = sorted((SHIPPED_FOLDER.parent / folder).glob("*.safetensors"))
    assert paths
    for path in paths:
        for line in read_description(path)["card"]["training"]["volumes"]:
            assert line == lines[line.split(":")[0]]


@pytest.mark.parametrize("model", MODELS)
def test_a_card_holds_the_measured_gains(model: str):
    rows = [row for row in ROW.findall(TABLE.read_text(encoding="utf-8")) if row[2] == model]
    assert len(rows) == 8
    assert card(model)["validation"][1:] == [
        f"{case}, {modality}: PSNR {mean} (worst of 3 volumes {worst}), SSIM {ssim}, HFEN {hfen}"
        for case, modality, _, mean, worst, ssim, hfen in rows
    ]
