"""Paths that nobody may follow name nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import store
from medical_super_resolution.system.paths import exists, is_file, is_folder

TOO_LONG = "x" * 300


def test_what_is_there_is_found(tmp_path: Path):
    file = tmp_path / "here"
    file.write_text("")
    assert (is_file(file), is_folder(file), exists(file)) == (True, False, True)
    assert (is_file(tmp_path), is_folder(tmp_path), exists(tmp_path)) == (False, True, True)
    assert not exists(tmp_path / "not here")


def test_a_name_that_is_too_long_is_not_there(tmp_path: Path):
    path = tmp_path / TOO_LONG
    assert (is_file(path), is_folder(path), exists(path)) == (False, False, False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is open to this account")
def test_what_is_in_a_closed_folder_is_not_there(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_text("")
    closed.chmod(0)
    try:
        assert (is_file(closed / "file"), exists(closed / "file")) == (False, False)
    finally:
        closed.chmod(0o700)


def test_a_model_file_that_cannot_be_reached_is_refused_with_the_reason(tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be read: File name too long"):
        store.read_header(store.find(str(tmp_path / (TOO_LONG + ".safetensors"))))


def test_a_model_that_is_named_by_such_a_path_is_not_there(tmp_path: Path):
    with pytest.raises(ModelError, match="there is no model"):
        store.find(str(tmp_path / TOO_LONG))
