"""The header of a model file is read without torch."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from unittest import mock

import pytest

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import store


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 3) + b"[]\xff",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}" + b"behind",
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "brain.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="brain.safetensors is damaged or not a safetensors file"):
        store.read_header(path)


def test_weights_without_a_description_are_no_model(tmp_path: Path):
    path = tmp_path / "brain.safetensors"
    path.write_bytes(struct.pack("<Q", 2) + b"{}")
    with pytest.raises(ModelError, match="brain.safetensors is not a model"):
        store.read_header(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match="there is no model file .*brain.safetensors"):
        store.read_header(tmp_path / "brain.safetensors")


def test_a_file_is_read_once_for_as_long_as_it_stays_the_same(tmp_path: Path):
    def written(value: int) -> Path:
        header = json.dumps({"__metadata__": {store.HEADER_KEY: json.dumps({"value": value})}}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        return path

    path = tmp_path / "brain.safetensors"
    store.read_description(written(1)).clear()  # the reader's own copy
    with mock.patch.object(Path, "open", side_effect=AssertionError("read again")):
        assert store.read_description(path) == {"value": 1}
    time.sleep(0.02)  # a file system may count the time of a change in steps
    assert store.read_description(written(2)) == {"value": 2}
