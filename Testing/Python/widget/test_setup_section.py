"""Setting up without a network: wheels from a folder, models from files, and their messages."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.models import store
from medical_super_resolution.system import checksum
from widget.helpers import wait


@pytest.fixture
def a_pip(slicer_python: Any, the_module: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Slicer's Python, in which torch and safetensors are missing until pip is asked for them."""
    from MedicalSuperResolutionLib.setup import torch as torch_setup

    class Pip:
        asked: list[list[str]] = []
        left: set[str] = {"torch", "safetensors"}
        brings = {"torch", "safetensors"}

        def install(self, requirements: list[str]) -> None:
            self.asked.append(requirements)
            self.left = self.left - self.brings
            if self.left:
                raise subprocess.CalledProcessError(1, "pip")

    pip = Pip()
    pip.asked = []
    monkeypatch.setattr(slicer_python.util, "pip_install", pip.install, raising=False)
    monkeypatch.setattr(torch_setup, "is_installed", lambda name: name not in pip.left)
    return pip


@pytest.fixture
def a_wheel_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my wheels"
    folder.mkdir()
    (folder / "torch-2.13.0-cp312-none-any.whl").touch()
    return folder


@pytest.fixture
def a_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def a_file(tmp_path: Path, a_user_folder: Path) -> Path:
    """The shipped model under another name."""
    return Path(shutil.copyfile(store.SHIPPED_FOLDER / "general.safetensors", tmp_path / "mine.safetensors"))


# ---- wheels


def test_missing_packages_are_named_and_installed_from_the_folder(a_pip: Any, a_panel: Any, a_wheel_folder: Path):
    assert a_panel.ui.setupLabel.text.startswith("Missing in Slicer's Python: safetensors>=0.4, torch>=2.2.")
    a_panel.ui.wheelsPathLineEdit.currentPath = str(a_wheel_folder)
    a_panel.ui.wheelsButton.click()
    (asked,) = a_pip.asked
    assert asked[:5] == ["--no-index", "--find-links", str(a_wheel_folder), "safetensors>=0.4", "torch>=2.2"]
    assert f"numpy=={np.__version__}" in asked  # Slicer's own stays
    assert a_panel.ui.setupLabel.text == "All packages that are needed are installed."


def test_nothing_is_asked_where_nothing_is_missing(a_pip: Any, a_panel: Any, a_wheel_folder: Path):
    a_pip.left = set()
    a_panel.ui.wheelsPathLineEdit.currentPath = str(a_wheel_folder)
    a_panel.ui.wheelsButton.click()
    assert a_pip.asked == []


def test_wheels_that_do_not_suffice_give_a_sentence(
    a_pip: Any, a_panel: Any, a_wheel_folder: Path, errors_shown: list[str]
):
    a_pip.brings = {"safetensors"}
    a_panel.ui.wheelsPathLineEdit.currentPath = str(a_wheel_folder)
    a_panel.ui.wheelsButton.click()
    python = ".".join(platform.python_version_tuple()[:2])
    assert errors_shown == [
        f"The wheels in {a_wheel_folder} are not all that is needed; torch could not be installed. They must be for"
        f" Python {python} on {platform.system()} {platform.machine()}; see the log."
    ]


def test_a_folder_without_wheels_is_an_error(a_pip: Any, a_panel: Any, tmp_path: Path, errors_shown: list[str]):
    a_panel.ui.wheelsButton.click()
    a_panel.ui.wheelsPathLineEdit.currentPath = str(tmp_path)
    a_panel.ui.wheelsButton.click()
    assert errors_shown == [
        "Choose the folder that holds the wheels.",
        f"The folder {tmp_path} holds no wheels (.whl files); safetensors, torch could not be installed.",
    ]
    assert a_pip.asked == []


# ---- models


def test_the_checksum_of_a_chosen_file_is_shown_and_compared(a_panel: Any, a_file: Path):
    ui, digest = a_panel.ui, checksum.digest_of(a_file)
    ui.weightsPathLineEdit.currentPath = str(a_file)
    groups = " ".join(digest[first : first + 16] for first in (0, 16, 32, 48))  # in one piece, it would be cut
    assert ui.weightsLabel.text == f"SHA-256 {groups}: compare it with the published one."
    ui.checksumLineEdit.text = digest
    assert ui.weightsLabel.text == f"SHA-256 {groups}: as it should be."
    ui.checksumLineEdit.text = "0" * 64
    assert "is damaged or another file" in ui.weightsLabel.text
    ui.checksumLineEdit.text = ""
    a_file.with_name("mine.safetensors.sha256").write_text(f"{digest}  mine.safetensors\n")
    ui.weightsPathLineEdit.currentPath = ""
    ui.weightsPathLineEdit.currentPath = str(a_file)
    assert ui.weightsLabel.text == f"SHA-256 {groups}: as it should be."


def test_an_imported_model_is_installed_and_chosen(
    a_panel: Any, a_file: Path, a_user_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib.setup import models as installed

    names = lambda: [path.stem for path in store.installed()]  # noqa: E731
    monkeypatch.setattr(installed, "installed_models", names)
    a_panel.ui.weightsPathLineEdit.currentPath = str(a_file)
    a_panel.ui.weightsButton.click()
    assert (a_panel.ui.weightsButton.enabled, a_panel.ui.weightsButton.text) == (False, "Importing...")
    wait(lambda: a_panel.ui.weightsButton.enabled, 90)
    assert a_panel.ui.weightsLabel.text == "The model mine is installed."
    assert a_panel._parameterNode.model == "mine"
    assert a_panel.ui.modelComboBox.currentText == "mine"
    assert {path.name for path in a_user_folder.iterdir()} == {"mine.safetensors", "mine.safetensors.sha256"}


def test_a_detail_model_is_installed_and_not_chosen(a_panel: Any, a_user_folder: Path):
    a_panel._onModelImported("general-detail")  # is not listed by itself
    assert a_panel._parameterNode.model == "general"


def test_leaving_slicer_does_not_tell_of_an_import_that_failed(a_panel: Any, a_file: Path, errors_shown: list[str]):
    a_panel.ui.weightsPathLineEdit.currentPath = str(a_file)
    a_panel.ui.checksumLineEdit.text = "0" * 64
    a_panel.ui.weightsButton.click()
    a_panel._setup._import._process.wait()
    a_panel._setup.abandon()
    assert errors_shown == []


def test_a_wrong_checksum_is_refused_with_a_sentence(
    a_panel: Any, a_file: Path, a_user_folder: Path, errors_shown: list[str]
):
    a_panel.ui.weightsPathLineEdit.currentPath = str(a_file)
    a_panel.ui.checksumLineEdit.text = "0" * 64
    a_panel.ui.weightsButton.click()
    wait(lambda: a_panel.ui.weightsButton.enabled, 90)
    assert len(errors_shown) == 1
    assert errors_shown[0].startswith("Mine.safetensors has the SHA-256")
    assert not a_user_folder.exists() or list(a_user_folder.iterdir()) == []
    assert a_panel._parameterNode.model == "general"


def test_a_missing_file_is_an_error(a_panel: Any, errors_shown: list[str]):
    a_panel.ui.weightsButton.click()
    assert errors_shown == ["Choose the model file, whose name ends in .safetensors."]


def test_without_torch_a_model_cannot_be_proven(a_pip: Any, a_panel: Any, a_file: Path, errors_shown: list[str]):
    a_panel.ui.weightsPathLineEdit.currentPath = str(a_file)
    a_panel.ui.weightsButton.click()
    assert errors_shown == ["A model is loaded once to prove it, which needs PyTorch; install PyTorch first."]


def test_leaving_slicer_ends_an_import(the_module: Any, a_file: Path, a_user_folder: Path):
    from MedicalSuperResolutionLib.setup import offline_wheels

    running = offline_wheels.ModelImport(a_file)
    folder = running._folder
    running.end()
    assert running._process.poll() is not None
    assert not folder.exists()
    assert not a_user_folder.exists() or not (a_user_folder / "mine.safetensors").exists()


def test_an_import_that_was_killed_gives_a_sentence(the_module: Any, a_file: Path):
    from MedicalSuperResolutionLib.setup import offline_wheels

    running = offline_wheels.ModelImport(a_file)
    running._process.kill()
    running._process.wait()
    with pytest.raises(SuperResolutionError, match="the import was stopped from outside"):
        running.end()
