"""Missing packages are installed when they are needed, with consent; without a user to ask, an error explains how."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest

from medical_super_resolution.errors import Cancelled

NUMPY, SAFETENSORS = (types.SimpleNamespace(name=name) for name in ("numpy", "safetensors"))


@pytest.fixture
def a_setup(a_slicer: Any, slicer_python: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file under test, in an application with a main window, where all packages but torch are there."""
    from MedicalSuperResolutionLib.setup import torch as torch_setup

    monkeypatch.setattr(slicer_python.util, "mainWindow", lambda: "a window")
    monkeypatch.setattr(torch_setup, "is_installed", lambda name: name != "torch")
    return torch_setup


@pytest.fixture
def the_pytorch_extension(monkeypatch: pytest.MonkeyPatch) -> Any:
    """PyTorchUtils as its module offers it. It installs what it is asked to, or nothing where the user declines."""
    extension = types.ModuleType("PyTorchUtils")
    extension.asked, extension.outcome = [], "torch"

    class PyTorchUtilsLogic:
        def installTorch(self, **options: Any) -> Any:
            extension.asked.append(options)
            if isinstance(extension.outcome, Exception):
                raise extension.outcome
            return extension.outcome

    extension.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    return extension


def test_nothing_is_asked_where_everything_is_there(a_setup: Any, the_pytorch_extension: Any, monkeypatch: Any):
    monkeypatch.setattr(a_setup, "is_installed", lambda name: True)
    a_setup.ensure_engine()
    assert the_pytorch_extension.asked == []


def test_torch_comes_from_the_pytorch_extension_with_consent(a_setup: Any, the_pytorch_extension: Any):
    a_setup.ensure_engine()
    assert the_pytorch_extension.asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.2"}]


def test_declining_torch_is_no_failure(a_setup: Any, the_pytorch_extension: Any):
    the_pytorch_extension.outcome = None
    with pytest.raises(Cancelled):
        a_setup.ensure_engine()


def test_torch_that_cannot_be_installed_gives_a_sentence(a_setup: Any, the_pytorch_extension: Any):
    the_pytorch_extension.outcome = subprocess.CalledProcessError(1, "pip")
    with pytest.raises(a_setup.RequirementsMissing, match="could not be installed"):
        a_setup.ensure_engine()


@pytest.mark.parametrize(("testing", "window"), [(True, "a window"), (False, None)])
def test_nothing_is_installed_where_nobody_can_be_asked(
    a_setup: Any,
    the_pytorch_extension: Any,
    a_slicer: Any,
    slicer_python: Any,
    monkeypatch: Any,
    testing: Any,
    window: Any,
):
    monkeypatch.setattr(a_slicer, "testingEnabled", lambda: testing)
    monkeypatch.setattr(slicer_python.util, "mainWindow", lambda: window)
    with pytest.raises(a_setup.RequirementsMissing, match="PyTorch is not installed; open the PyTorch Utils module"):
        a_setup.ensure_engine()
    assert the_pytorch_extension.asked == []


@pytest.mark.parametrize(
    ("installed", "sentence"), [(True, "restart Slicer, then"), (False, "get it in the Extensions")]
)
def test_the_pytorch_extension_is_offered(
    a_setup: Any, a_slicer: Any, monkeypatch: pytest.MonkeyPatch, installed: bool, sentence: str
):
    asked = []
    offer = types.SimpleNamespace(installExtensionFromServer=lambda name: asked.append(name) or installed)
    monkeypatch.setattr(a_slicer, "extensionsManagerModel", lambda: offer, raising=False)
    monkeypatch.setattr(a_setup, "is_installed", lambda name: False)
    with pytest.raises(a_setup.RequirementsMissing, match=sentence):
        a_setup.ensure_engine()
    assert asked == ["PyTorch"]


def test_a_slicer_without_an_extensions_manager_names_the_wheels(a_setup: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(a_setup, "is_installed", lambda name: False)
    with pytest.raises(a_setup.RequirementsMissing, match="from a folder of wheels"):
        a_setup.ensure_engine()


def test_what_is_missing_is_installed_with_consent_and_nothing_else(a_setup: Any, monkeypatch: pytest.MonkeyPatch):
    from slicer import packaging

    asked = []
    monkeypatch.setattr(packaging, "load_requirements", lambda path: [NUMPY, SAFETENSORS])
    monkeypatch.setattr(packaging, "pip_ensure", lambda missing, requester: asked.append((missing, requester)))
    monkeypatch.setattr(a_setup, "is_installed", lambda name: name != "safetensors")
    a_setup.ensure_engine()
    assert asked == [([SAFETENSORS], "Medical Super-Resolution")]


def test_missing_packages_are_named(a_setup: Any, a_slicer: Any, monkeypatch: pytest.MonkeyPatch):
    from slicer import packaging

    monkeypatch.setattr(packaging, "load_requirements", lambda path: [NUMPY, SAFETENSORS])
    monkeypatch.setattr(a_setup, "is_installed", lambda name: name == "numpy")
    monkeypatch.setattr(a_slicer, "testingEnabled", lambda: True)
    with pytest.raises(a_setup.RequirementsMissing, match="packages safetensors are not installed"):
        a_setup.ensure_engine()


@pytest.mark.parametrize(
    ("outcome", "raised"),
    [(RuntimeError("declined"), "Cancelled"), (subprocess.CalledProcessError(1, "pip"), "RequirementsMissing")],
)
def test_packages_that_are_not_installed_in_the_end(a_setup: Any, monkeypatch: Any, outcome: Any, raised: str):
    from slicer import packaging

    def install(missing: Any, requester: str) -> None:
        raise outcome

    monkeypatch.setattr(packaging, "load_requirements", lambda path: [SAFETENSORS])
    monkeypatch.setattr(packaging, "pip_ensure", install)
    monkeypatch.setattr(a_setup, "is_installed", lambda name: False)
    with pytest.raises((Cancelled, a_setup.RequirementsMissing)) as caught:
        a_setup.ensure_engine()
    assert type(caught.value).__name__ == raised


def test_whether_torch_is_there_is_found_out_without_importing_it(a_slicer: Any, tmp_path: Any, monkeypatch: Any):
    from MedicalSuperResolutionLib.setup import torch as torch_setup

    (tmp_path / "heavy_package.py").write_text("raise AssertionError('imported')")
    assert not torch_setup.is_installed("heavy_package")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert torch_setup.is_installed("heavy_package")
