from __future__ import annotations

from pathlib import Path

from medical_super_resolution.system.processor import processor_name


def test_the_processor_has_the_name_that_linux_knows(tmp_path: Path):
    known = tmp_path / "cpuinfo"
    known.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2.50GHz\nmodel name\t: another\n")
    assert processor_name(known) == "Some CPU @ 2.50GHz"


def test_without_that_file_it_has_the_name_that_python_knows(tmp_path: Path):
    assert processor_name(tmp_path / "missing")
