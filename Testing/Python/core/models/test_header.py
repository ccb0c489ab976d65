"""The header of a model file, read without torch, is what torch's way of reading gives."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import store as model_header


def test_it_is_the_header_that_the_engine_reads(a_model_file: Path):
    from medical_super_resolution.models import file as models

    assert model_header.read_header(a_model_file) == models.read_header(a_model_file)


@pytest.mark.parametrize(
    "content",
    [b"", b"short", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 3) + b"[]\xff"],
)
def test_what_is_no_model_is_refused_by_its_name(tmp_path: Path, content: bytes):
    path = tmp_path / "brain.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="brain.safetensors is damaged, or not a model"):
        model_header.read_header(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match="brain.safetensors cannot be read: No such file"):
        model_header.read_header(tmp_path / "brain.safetensors")
