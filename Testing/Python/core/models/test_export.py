"""Models in other runtimes give what ours gives, at any size and factor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import ModelError, SuperResolutionError
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.models.export.files import BUNDLE, FORMATS, card_of, export_model
from medical_super_resolution.models.export.program import INPUTS, program_of
from medical_super_resolution.models.file import Model
from medical_super_resolution.networks.generators import GENERATORS

TRACED: list[torch.export.ExportedProgram] = []  # that of `a_model`


def inputs(shape: tuple[int, int, int], factor: float, width: float) -> dict[str, torch.Tensor]:
    lr = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(1))
    positions = (torch.arange(int(shape[0] * factor)) + 0.5) / factor - 0.5
    return dict(zip(INPUTS, (lr, positions, torch.tensor([factor]), torch.tensor([width])), strict=True))


def ours(model: Model, given: dict[str, torch.Tensor]) -> np.ndarray:
    lr, positions, factor, width = given.values()
    with torch.no_grad():
        return model.generator(lr, positions.double(), float(factor), float(width)).numpy()


@pytest.mark.parametrize(("factor", "width"), [(4.0, 1.0), (2.5, 0.8), (1.3, 1.2)])
def test_the_program_gives_what_the_generator_gives(a_model: Model, factor: float, width: float):
    program, _ = program_of(a_model)
    given = inputs((6, 12, 9), factor, width)
    assert np.abs(program(*given.values()).detach().numpy() - ours(a_model, given)).max() < 1e-5


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Following the network's operations takes seconds; they are the same for every format."""
    follow = torch.export.export

    def followed(*arguments: object, **options: object) -> torch.export.ExportedProgram:
        if not TRACED:
            TRACED.append(follow(*arguments, **options))
        return TRACED[0]

    monkeypatch.setattr(torch.export, "export", followed)


@pytest.mark.slow
def test_onnx_gives_what_the_generator_gives_at_other_sizes_and_factors(
    a_model: Model, tmp_path: Path, traced_once: None
):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path, card = export_model(a_model, "onnx", tmp_path / "tiny.onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for shape, factor in (((7, 15, 11), 4.0), ((4, 20, 30), 2.5)):
        given = inputs(shape, factor, 0.9)
        (made,) = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        assert np.abs(made - ours(a_model, given)).max() < 1e-4
    assert a_model.sha256 in card.read_text(encoding="utf-8")


def test_an_exported_program_gives_what_the_generator_gives(a_model: Model, tmp_path: Path, traced_once: None):
    path, _ = export_model(a_model, "torch-export", tmp_path / "tiny.pt2")
    given = inputs((7, 15, 11), 3.0, 1.1)
    made = torch.export.load(path).module()(*given.values()).detach().numpy()
    assert np.abs(made - ours(a_model, given)).max() < 1e-4


def test_in_half_precision_the_program_differs_by_less_than_a_two_hundredth_of_the_range(a_model: Model):
    program, _ = program_of(a_model, half=True)
    given = inputs((6, 12, 9), 2.5, 0.9)
    with torch.no_grad():
        made = program(*given.values())
    assert made.dtype == torch.float32
    assert 0 < np.abs(made.numpy() - ours(a_model, given)).max() < 5e-3


def test_nothing_is_overwritten(a_model: Model, tmp_path: Path):
    path = tmp_path / "tiny.onnx"
    path.write_text("mine")
    with pytest.raises(SuperResolutionError, match="exists already"):
        export_model(a_model, "onnx", path)
    assert path.read_text() == "mine"


def test_files_of_one_model_share_a_card(
    a_model: Model, tmp_path: Path, traced_once: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(
        FORMATS, "torch-export", FORMATS["torch-export"]._replace(write=lambda exported, path: path.touch())
    )
    card = tmp_path / "tiny.md"
    card.write_bytes(card_of(a_model).encode())
    assert export_model(a_model, "torch-export", tmp_path / "tiny.pt2")[1] == card
    card.write_text("mine")
    with pytest.raises(SuperResolutionError, match=r"tiny\.md exists already"):
        export_model(a_model, "onnx", tmp_path / "tiny.onnx")


@pytest.mark.parametrize(("kind", "name"), [("onnx", "tiny.pt2"), ("onnx-float16", "tiny"), ("torch-export", "a.onnx")])
def test_a_file_that_is_named_like_another_format_is_refused(a_model: Model, tmp_path: Path, kind: str, name: str):
    with pytest.raises(SuperResolutionError, match=f"{kind} ends in .*, {name} does not"):
        export_model(a_model, kind, tmp_path / "new" / name)


def test_an_in_plane_model_is_refused(a_model: Model):
    config, network = GENERATORS["srcnn"]
    in_plane = Model("plane", Path(), "", "srcnn", {}, network(config()))
    with pytest.raises(ModelError, match="only through-plane models"):
        program_of(in_plane)


def test_a_model_with_random_texture_is_refused(a_model: Model):
    a_model.generator.texture.fill_(0.1)
    with pytest.raises(ModelError, match="random texture"):
        program_of(a_model)


@pytest.mark.parametrize("name", ["general", "general-large"])
def test_shipped_models_add_no_texture_and_compute_in_8_bits(name: str):
    generator = models.load(store.find(name)).generator
    assert not generator.texture.any()
    assert "int8" in generator.capabilities.precisions


def test_the_card_of_a_model_without_a_summary_begins_with_a_whole_sentence(a_model: Model):
    text = card_of(replace(a_model, card={"license": "CC0"}))
    assert "\n\nFor research. Not for diagnosis.\n" in text


def test_the_card_names_license_and_summary(a_model: Model):
    text = card_of(a_model)
    assert text.startswith("---\nlicense: ")
    assert "A few random weights" in text


def test_the_card_of_an_in_plane_model_states_its_own_input():
    config, network = GENERATORS["srcnn"]
    text = card_of(Model("plane", Path(), "", "srcnn", {}, network(config())))
    assert "`lr`" in text
    assert "`positions`" not in text


def test_the_card_writes_tables_and_lists_as_markdown(a_model: Model):
    training = {"factor": [1.25, 8], "loss": {"mse": 0.5}, "volumes": ["a: CC0"]}
    text = card_of(replace(a_model, card={"training": training}))
    assert "\n- factor: 1.25, 8\n- loss:\n  - mse: 0.5\n- volumes:\n  - a: CC0\n" in text


def test_texts_of_a_card_cannot_feign_html_or_metadata(a_model: Model):
    hostile = {"license": "CC BY 4.0\nlibrary_name: other", "summary": "<img src=x>", "notes": ["one\n# two"]}
    text = card_of(replace(a_model, card=hostile))
    assert "\nlicense: cc-by-4.0-library-name-other\n" in text
    assert "&lt;img src=x&gt;. " in text
    assert "\n- one # two\n" in text


def test_the_formats_of_the_command_line_are_those_there_are():
    from medical_super_resolution.cli.commands import export_model as command

    assert set(command._FORMATS) == {*FORMATS, BUNDLE}
