"""The same tests again, on Slicer's own ScriptedLoadableModule and parameterNodeWrapper."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(os.environ.get("MEDSR_SLICER_MODULES") == "own", reason="this is that run")
def test_the_panel_works_on_slicers_own_modules_too():
    if "SLICER_PYTHON_SRC" not in os.environ:
        pytest.skip("SLICER_PYTHON_SRC does not name Slicer's folder Base/Python")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    done = subprocess.run(
        command, env={**os.environ, "MEDSR_SLICER_MODULES": "own"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
