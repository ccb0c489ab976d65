from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.models.card import described
from medical_super_resolution.system import checksum


def rewritten(
    path: Path, *, header: dict | None = None, weights: dict | None = None, key="medical_super_resolution"
) -> Path:
    """The model file with parts of its header or weights replaced."""
    described = store.read_header(path) | (header or {})
    tensors = load_file(path) | (weights or {})
    save_file(tensors, path, {key: json.dumps(described)})
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        models.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_reading_models_loads_nothing_of_the_compiler_of_pytorch():
    """Its symbolic shapes and SymPy take a quarter of a second and 35 MB."""
    code = (
        "import sys; from medical_super_resolution.models import profile_estimator, weight_interpolation as models;"
        "models.load_model('general', 0.5); profile_estimator.load(); print(sorted({'sympy'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout == "[]\n"


def test_a_saved_model_is_read_with_the_same_weights(a_model_file: Path, a_tiny_generator):
    again = models.load(a_model_file).generator.state_dict()
    for name, tensor in a_tiny_generator.state_dict().items():
        np.testing.assert_array_equal(again[name], tensor)


def test_a_saved_model_gives_the_same_result(a_model_file: Path, a_tiny_generator):
    lr, positions = torch.rand(1, 1, 4, 6, 5), torch.linspace(-0.25, 3.25, 8)
    again = models.load(a_model_file).generator
    np.testing.assert_array_equal(again(lr, positions, 2.0), a_tiny_generator(lr, positions, 2.0))


def test_a_model_has_a_description(a_model_file: Path):
    model = models.load(a_model_file)
    assert model.name == "tiny"
    assert model.generator_name == "through-plane"
    assert model.card == {"summary": "A few random weights, for tests"}
    assert model.sha256 == hashlib.sha256(a_model_file.read_bytes()).hexdigest()


def test_a_model_that_cannot_be_written_leaves_the_former_one(a_model_file: Path, a_tiny_generator, monkeypatch):
    def cut_short(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    before = a_model_file.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", cut_short)
    with pytest.raises(OSError, match="No space left"):
        models.save(a_model_file, "through-plane", a_tiny_generator, {})
    assert a_model_file.read_bytes() == before
    assert list(a_model_file.parent.iterdir()) == [a_model_file]


def test_weights_of_a_former_gauge_are_left_out(a_model_file: Path, a_tiny_generator):
    path = rewritten(a_model_file, weights={"gauge.weight.weight": torch.ones(1, 4, 1, 1, 1)})
    assert models.load(path).generator.state_dict().keys() == a_tiny_generator.state_dict().keys()


def test_a_model_is_ready_to_use(a_model_file: Path):
    generator = models.load(a_model_file).generator
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_several_threads_load_a_model_at_a_time(a_model_file: Path):
    start = threading.Barrier(4)

    def load(number: int) -> None:
        start.wait()
        for _ in range(10):
            models.load(a_model_file)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(load, range(4)))


def test_networks_that_another_thread_builds_meanwhile_count_for_nothing(
    a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    name = store.read_header(a_model_file)["generator"]
    config_class, generator_class = models.GENERATORS[name]

    class Interrupted(generator_class):
        def __init__(self, config: object) -> None:
            with ThreadPoolExecutor(1) as other:
                other.submit(lambda: [torch.nn.Linear(2, 2) for _ in range(200)]).result()
            super().__init__(config)

    monkeypatch.setitem(models.GENERATORS, name, (config_class, Interrupted))
    models.load(a_model_file)


def test_half_precision_weights_are_saved_in_single(a_model_file: Path, a_tiny_generator, tmp_path: Path):
    path = tmp_path / "half.safetensors"
    models.save(path, "through-plane", a_tiny_generator.half(), {})
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float32}


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_model_file_cut_short_is_refused(a_model_file: Path, part: float):
    whole = a_model_file.read_bytes()
    a_model_file.write_bytes(whole[: int(part * len(whole))])
    assert "damaged" in refusal(a_model_file)


@pytest.mark.parametrize("content", [b"these are no weights", b"\0" * 4096, b"\xff" * 4096, b"PK\x03\x04" + bytes(500)])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "damaged or not a safetensors file" in refusal(path)


def test_a_file_with_a_pickle_in_it_is_refused_and_not_run(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "model.safetensors"
    torch.save(Trap(), path)
    refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_program_are_refused(tmp_path: Path):
    path = tmp_path / "foreign.safetensors"
    save_file({"conv.weight": torch.zeros(3)}, path, {"format": "pt"})
    assert "not a model of MedicalSuperResolution" in refusal(path)


def test_weights_without_any_header_are_refused(tmp_path: Path):
    path = tmp_path / "foreign.safetensors"
    save_file({"conv.weight": torch.zeros(3)}, path)
    assert "not a model of MedicalSuperResolution" in refusal(path)


@pytest.mark.parametrize("version", [store.FORMAT_VERSION - 1, store.FORMAT_VERSION + 1])
def test_another_format_is_refused_with_both_versions(a_model_file: Path, version: int):
    rewritten(a_model_file, header={"format_version": version})
    assert f"has format {version}, this software reads format {store.FORMAT_VERSION}" in refusal(a_model_file)


def test_a_generator_that_this_version_lacks_is_refused_by_name(a_model_file: Path):
    rewritten(a_model_file, header={"generator": "diffusion"})
    assert "needs the generator 'diffusion'" in refusal(a_model_file)


@pytest.mark.parametrize("config", [
    {"channels": 16, "blocks": 1, "pairs": 1, "gate_channels": 4, "kernel_hidden": 8},
    {"channels": 8, "blocks": 2, "pairs": 1, "gate_channels": 4, "kernel_hidden": 8},
    {"color": True},
    {"channels": -8},
    {"channels": "8"},
    ["channels", 8],
    None,
])  # fmt: skip
def test_a_configuration_that_does_not_fit_the_weights_is_refused(a_model_file: Path, config: object):
    rewritten(a_model_file, header={"config": config})
    assert "does not fit its own description" in refusal(a_model_file)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_a_tensor_too_many_is_refused(a_model_file: Path, kind: torch.dtype):
    rewritten(a_model_file, weights={"stem.extra": torch.zeros(2, dtype=kind)})
    assert "does not fit its own description" in refusal(a_model_file)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(a_model_file: Path, value: float):
    tensors = load_file(a_model_file)
    name, tensor = next(iter(tensors.items()))
    tensor.view(-1)[-1] = value
    rewritten(a_model_file, weights={name: tensor})
    assert "not finite" in refusal(a_model_file)


@pytest.mark.parametrize("header", ["not json", "[]", '"text"', "7", "{}", '{"format_version": 1}'])
def test_a_damaged_description_is_refused(a_model_file: Path, header: str):
    save_file(load_file(a_model_file), a_model_file, {"medical_super_resolution": header})
    refusal(a_model_file)


@pytest.mark.parametrize(
    ("key", "value"), [("generator", ["through-plane"]), ("generator", None), ("card", "a card"), ("card", None)]
)
def test_a_description_of_the_wrong_kind_is_refused(a_model_file: Path, key: str, value: object):
    rewritten(a_model_file, header={key: value})
    refusal(a_model_file)


def test_a_missing_file_is_refused(tmp_path: Path):
    assert "there is no model file" in refusal(tmp_path / "model.safetensors")


def test_a_folder_is_no_model(tmp_path: Path):
    refusal(tmp_path)


def test_an_unknown_name_is_refused_with_those_that_are_installed():
    with pytest.raises(ModelError, match="no model 'generul'; installed: .*general.*path of a model file"):
        store.find("generul")


def test_a_model_is_found_by_its_name_or_its_path(a_model_file: Path):
    assert store.find("general") == store.SHIPPED_FOLDER / "general.safetensors"
    assert store.find(str(a_model_file)) == a_model_file


def test_every_shipped_model_can_be_read_and_is_below_7_mb():
    assert store.SHIPPED_FOLDER / "general.safetensors" in store.installed()
    for path in store.installed():
        assert models.load(path).card
        assert path.stat().st_size < 7e6


def test_every_shipped_model_has_its_checksum_beside_it():
    for path in store.SHIPPED_FOLDER.glob("*.safetensors"):
        _, was_compared = checksum.check(path)
        assert was_compared, f"write it by: sha256sum {path.name} > {path.name}.sha256"


def test_a_model_that_was_replaced_beside_its_old_checksum_is_refused_with_what_to_do(a_model_file: Path):
    note = checksum.note_of(a_model_file)
    note.write_text(f"{'0' * 64}  {a_model_file.name}\n")
    with pytest.raises(ModelError, match=f"or remove {note.name} if you have replaced the model yourself"):
        models.load(a_model_file)


def test_a_card_is_shown_with_the_digest_of_the_file(a_model_file: Path):
    text = "\n".join(described(a_model_file))
    assert hashlib.sha256(a_model_file.read_bytes()).hexdigest() in text
    assert "A few random weights, for tests" in text


def test_a_damaged_model_is_listed_with_what_is_wrong(a_model_file: Path):
    a_model_file.write_bytes(a_model_file.read_bytes()[:200])
    assert "cannot be used: " in "\n".join(described(a_model_file))
