"""Malicious model files: one sentence each, without allocating memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from limited_reading import all_refused_within_limits, posix_only, refusal
from medical_super_resolution.models import store
from medical_super_resolution.models.card import described, summarized


def redescribed(path: Path, **header: object) -> Path:
    description = store.read_header(path) | header
    save_file(load_file(path), path, {"medical_super_resolution": json.dumps(description)})
    return path


TINY = {"channels": 8, "blocks": 1, "pairs": 1, "gate_channels": 4, "kernel_hidden": 8}


GIANTS: tuple[dict[str, int], ...] = (
    {"channels": 10**9},
    {"channels": 50_000},
    {"blocks": 10**9},
    {"blocks": 60_000},
    {"pairs": 10**12},
    {"blocks": 60_000, "pairs": 60_000},
    {"kernel_hidden": 10**30},
)


def copies(path: Path, count: int) -> list[Path]:
    return [Path(shutil.copy(path, path.with_name(f"copy_{number}.safetensors"))) for number in range(count)]


@posix_only
def test_models_that_describe_giants_and_headers_of_absurd_length_take_no_memory(a_model_file: Path):
    lengths = (2**63, 2**64 - 1, 10**9, 0)
    files = copies(a_model_file, len(GIANTS) + len(lengths))
    giants, absurd = files[: len(GIANTS)], files[len(GIANTS) :]
    for file, change in zip(giants, GIANTS, strict=True):
        redescribed(file, config=TINY | change)
    for file, length in zip(absurd, lengths, strict=True):
        file.write_bytes(length.to_bytes(8, "little") + a_model_file.read_bytes()[8:])
    sentences = all_refused_within_limits(files)  # in one process: most of the time goes into starting it
    assert all("does not fit its own description" in sentence for sentence in sentences[: len(giants)])
    assert all("damaged" in sentence for sentence in sentences[len(giants) :])


@pytest.mark.parametrize("change", [
    {"channels": 8.0}, {"channels": None}, {"channels": [8]}, {"channels": {"a": 8}}, {"channels": float("nan")},
    {"channels": 0}, {"gate_channels": "4"}, {"unknown": 1}, {"blocks": -1},
])  # fmt: skip
def test_a_configuration_of_the_wrong_kind_is_refused(a_model_file: Path, change: dict[str, object]):
    assert "does not fit its own description" in refusal(redescribed(a_model_file, config=TINY | change))


@pytest.mark.parametrize(("generator", "config"), [
    ("srcnn", {"factor": 7}), ("srcnn", {"kernels": [1]}), ("tgan", {"heads": 0}), ("tgan", {"heads": 7}),
    ("hybrid-attention", {"squeeze": 0}), ("hybrid-attention", {"kernel": -3}), ("tgan", {"patch": 0}),
])  # fmt: skip
def test_configurations_that_no_network_has_are_refused(a_model_file: Path, generator: str, config: dict):
    assert "does not fit its own description" in refusal(redescribed(a_model_file, generator=generator, config=config))


@pytest.mark.parametrize("card", [
    {"trained_for": "ct"}, {"trained_for": {"modalities": 7}}, {"trained_for": {"modalities": [[]]}},
    {"trained_for": {"thickness": ["a", "b"]}}, {"trained_for": {"thickness": 1}},
])  # fmt: skip
def test_a_card_that_could_not_be_asked_is_refused(a_model_file: Path, card: dict[str, object]):
    assert "lacks part of its description" in refusal(redescribed(a_model_file, card=card))


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "a\n  sha256        0", "\u202e", "\ud800", "\x07"])
def test_a_card_cannot_steer_a_terminal_or_feign_lines(a_model_file: Path, text: str):
    card = {"summary": text, "license": [text], text: {text: text}, "trained_for": {"modalities": [text]}}
    redescribed(a_model_file, card=card)
    for line in [*described(a_model_file), summarized(a_model_file)]:
        assert line.isprintable()
    assert [line.startswith("  sha256 ") for line in described(a_model_file)].count(True) == 1


def test_a_card_without_modalities_is_listed(a_model_file: Path):
    redescribed(a_model_file, card={"summary": "of everything", "trained_for": {"modalities": None}})
    assert summarized(a_model_file).endswith("of everything")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"card":' * 100_000, "1" * 100_000, '{"format_version": "\\n"}'])
def test_a_description_made_to_exhaust_its_reader_is_refused(a_model_file: Path, text: str):
    save_file(load_file(a_model_file), a_model_file, {"medical_super_resolution": text})
    refusal(a_model_file)


def test_a_card_of_values_within_values_is_refused(a_model_file: Path):
    card: dict[str, object] = {}
    for _ in range(300):
        card = {"more": card}
    assert "lacks part of its description" in refusal(redescribed(a_model_file, card=card))


@pytest.mark.parametrize("metadata", [7, [1], {"medical_super_resolution": 7}, {"medical_super_resolution": None}, "x"])
def test_metadata_that_is_no_text_is_refused(a_model_file: Path, metadata: object):
    content = a_model_file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]) | {"__metadata__": metadata}).encode()
    a_model_file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    refusal(a_model_file)
