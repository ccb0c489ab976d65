from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution_training.data.arrays import stored_array


def test_a_patch_is_a_copy_of_its_part(tmp_path: Path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    np.save(tmp_path / "a.npy", array)
    stored = stored_array(str(tmp_path / "a.npy"))
    assert (stored.shape, stored.dtype) == ((3, 4, 5), np.int16)
    patch = stored.patch((slice(1, 3), slice(0, 4), slice(2, 5)))
    np.testing.assert_array_equal(patch, array[1:3, :, 2:])
    assert type(patch) is np.ndarray
    assert patch.base is None


def test_no_file_stays_open(tmp_path: Path):
    """A dataset of a thousand scans is more files than a process may have open."""
    resource = pytest.importorskip("resource")
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5)))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        stored = [stored_array(str(tmp_path / "a.npy")) for _ in range(300)]
        patches = [one.patch((slice(1),)) for one in stored]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(patches) == 300


def test_an_array_that_is_damaged_or_gone_after_it_was_opened_is_refused(tmp_path: Path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 4, 5)))
    stored = stored_array(str(path))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(VolumeError, match="is damaged; run medsr-train prepare again"):
        stored.patch((slice(1),))
    path.unlink()
    with pytest.raises(VolumeError, match="there is no array file"):
        stored.patch((slice(1),))


def test_a_missing_array_is_refused(tmp_path: Path):
    with pytest.raises(VolumeError, match="no array file .*; if it was moved, name the manifest that moved with it"):
        stored_array(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("content", ["empty", "text", "cut", "flat", "objects", "columns"])
def test_other_files_are_refused(tmp_path: Path, content: str):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 4, 5)))
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif content == "flat":
        np.save(path, np.zeros(5))
    elif content == "columns":
        np.save(path, np.asfortranarray(np.zeros((3, 4, 5))))
    elif content == "objects":
        np.save(path, np.array([[[{}]]]), allow_pickle=True)
    else:
        path.write_bytes({"empty": b"", "text": b"no array"}[content])
    with pytest.raises(VolumeError, match="run medsr-train prepare again"):
        stored_array(str(path))
