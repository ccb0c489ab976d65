"""The steps of CONTRIBUTING.md, carried out on a copy of the sources: a loss, a degradation, a generator, a recipe."""

from __future__ import annotations

import csv
import json
import re
import shutil
import textwrap
from pathlib import Path

import pytest
import torch

from medical_super_resolution.physics import degradation
from warm_process import result_of, run_commands

REPOSITORY = Path(__file__).parents[3]
ROOTS = ("MedicalSuperResolution", "MedicalSuperResolutionTraining")
STEP = re.compile(
    r"(At the end of|In the new file|Among the imports of|In the table `(?P<table>\w+)` of) `(?P<file>[^`]+)`"
    r".*?\n *```(?:python|toml)\n(?P<block>.*?)```",
    re.DOTALL,
)


def carried_out(text: str, root: Path) -> list[Path]:
    """Write every block of CONTRIBUTING.md into the file that its sentence names; the changed files."""
    changed = []
    for step in STEP.finditer(text):
        path, block = root / step["file"], textwrap.dedent(step["block"]).strip("\n")
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        assert bool(before) != step[1].startswith("In the new file"), path
        if step["table"]:
            start = re.search(rf"^{step['table']}\b.*{{$", before, re.MULTILINE).end()
            after = f"{before[:start]}\n    {block}{before[start:]}"
        elif step[1].startswith("Among"):
            after = before.replace(
                "from __future__ import annotations\n", f"from __future__ import annotations\n{block}\n"
            )
        else:
            after = f"{before}\n\n{block}\n" if before else f"{block}\n"
        path.write_text(after, encoding="utf-8")
        changed.append(path.relative_to(root))
    return changed


@pytest.fixture
def a_copy(tmp_path: Path) -> Path:
    for root in ROOTS:
        ignored = shutil.ignore_patterns("weights", "features", "__pycache__", "Icons", "Screenshots", "*Lib")
        shutil.copytree(REPOSITORY / root, tmp_path / "copy" / root, ignore=ignored)
    return tmp_path / "copy"


def test_every_section_has_at_most_four_steps():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    added = {title: part for title, part in sections.items() if title.startswith("Add ")}
    assert set(added) >= {"Add a loss", "Add a degradation", "Add a generator", "Add a recipe"}
    assert all(1 < len(re.findall(r"^\d\. ", part, re.MULTILINE)) <= 4 for part in added.values())


@pytest.mark.slow
def test_a_loss_a_degradation_a_generator_and_a_recipe_are_added_as_it_says(
    a_copy: Path, entries: list, tmp_path: Path
):
    changed = carried_out((REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8"), a_copy)
    assert {path.parent.name for path in changed} == {"objectives", "physics", "generators", "Recipes"}
    run, model = tmp_path / "run", tmp_path / "tiny.safetensors"
    train = ["train", "tiny", "--data", tmp_path / "data.json", "--out", run, "--device", "cpu"]
    commands = [[str(word) for word in words] for words in (train, ["export", run, "-o", model])]
    statuses, said = result_of(run_commands, [str(a_copy / root) for root in ROOTS], tmp_path, commands)
    assert statuses == [0, 0], said
    with (run / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["largest"]) > 0 for row in rows)
    assert float(rows[-1]["loss"]) == pytest.approx(float(rows[-1]["l1"]) + float(rows[-1]["largest"]), rel=1e-4)
    assert json.loads((run / "recipe.json").read_text())["degradation"] == "linear"
    assert model.stat().st_size > 0


def test_the_degradation_that_it_adds_leaves_things_where_they_are():
    steps = STEP.finditer((REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    (block,) = (step["block"] for step in steps if step["file"].endswith("degradation.py"))
    names = vars(degradation) | {"PLANE_DEGRADATIONS": {}}
    exec(textwrap.dedent(block), names)
    ((name, added),) = names["PLANE_DEGRADATIONS"].items()
    assert name not in degradation.PLANE_DEGRADATIONS
    for factor in (2, 3, 4):
        ramp = torch.arange(24.0).expand(1, 1, 1, 24, 24)
        places = (torch.arange(24 // factor) + 0.5) * factor - 0.5
        assert torch.allclose(added.function(ramp, factor)[0, 0, 0, 0], places)
