"""Different code of one version is other software, line ends are ignored; and the processor is named."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from medical_super_resolution import __version__
from medical_super_resolution.system.identity import amd_family, processor_name, software

LINUX = """processor	: 0
vendor_id	: {vendor}
cpu family	: 26
model name	: Some CPU @ 2.50GHz

processor	: 1
model name	: another
"""


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


@pytest.mark.parametrize(("vendor", "family"), [("AuthenticAMD", 26), ("GenuineIntel", 0)])
def test_the_processor_is_the_one_that_linux_knows(tmp_path: Path, vendor: str, family: int):
    known = tmp_path / "cpuinfo"
    known.write_text(LINUX.format(vendor=vendor))
    assert (processor_name(known), amd_family(known)) == ("Some CPU @ 2.50GHz", family)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD", 26),
        ("Intel64 Family 6 Model 143 Stepping 8, GenuineIntel", 0),
        ("arm", 0),
    ],
)
def test_without_that_file_it_is_the_one_that_python_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, family: int
):
    monkeypatch.setattr(platform, "processor", lambda: name)
    missing = tmp_path / "cpuinfo"
    assert (processor_name(missing), amd_family(missing)) == (name, family)
