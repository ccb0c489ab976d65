"""The software of a worker: different code of one version is distinguished, line ends are ignored."""

from __future__ import annotations

from pathlib import Path

from medical_super_resolution import __version__
from medical_super_resolution.system.software import software


def package(folder: Path, code: bytes, name: str = "one.py") -> str:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / name).write_bytes(code)
    return software(folder)


def test_other_code_is_other_software_also_in_the_same_version(tmp_path: Path):
    ours = package(tmp_path / "a", b"x = 1\n")
    assert ours.startswith(f"{__version__} (code ")
    assert package(tmp_path / "b", b"x = 2\n") != ours
    assert package(tmp_path / "c", b"x = 1\n", "two.py") != ours
    assert package(tmp_path / "d", b"x = 1\r\n") == ours
