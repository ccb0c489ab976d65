"""A small data set and a recipe that trains on it within a second."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.preparation.prepare import prepare

if TYPE_CHECKING:
    from medical_super_resolution_training.training.state import TrainingState


def a_phantom(seed: int, offset: float) -> np.ndarray:
    """Smooth random structure, 40 x 36 x 34, int16."""
    noise = np.fft.rfftn(np.random.default_rng(seed).normal(size=(40, 36, 34)))
    k, j, i = np.meshgrid(np.fft.fftfreq(40), np.fft.fftfreq(36), np.fft.rfftfreq(34), indexing="ij")
    smooth = np.fft.irfftn(noise * np.exp(-60 * (k**2 + j**2 + i**2)), s=(40, 36, 34), axes=(0, 1, 2))
    return (300 * smooth / smooth.std() + offset).astype(np.int16)


@pytest.fixture(scope="session")
def prepared_dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry]]:
    """A folder of which each test has a copy: the volumes, and what `prepare` makes of them."""
    made = tmp_path_factory.mktemp("prepared")
    folder = made / "dataset"
    folder.mkdir()
    ct = a_phantom(0, 0)
    ct[:5] = -1000
    for name, array in (("ct_1", ct), ("mr_1", np.abs(a_phantom(1, 900)))):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.7, 0.8, 1.5))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return made, prepare(folder, made / "data.json")


@pytest.fixture
def a_dataset(prepared_dataset: tuple[Path, list[Entry]], tmp_path: Path) -> Path:
    """A folder with a CT (air is there) and an MR volume."""
    return Path(shutil.copytree(prepared_dataset[0] / "dataset", tmp_path / "dataset"))


@pytest.fixture
def entries(prepared_dataset: tuple[Path, list[Entry]], a_dataset: Path, tmp_path: Path) -> list[Entry]:
    """The manifest data.json of that folder, with its arrays beside it."""
    made, prepared = prepared_dataset
    shutil.copy(made / "data.json", tmp_path)
    shutil.copytree(made / "data", tmp_path / "data")
    return [replace(entry, array=str(tmp_path / Path(entry.array).relative_to(made))) for entry in prepared]


@pytest.fixture
def data(entries: list[Entry], tmp_path: Path) -> Path:
    """The manifest of the prepared entries."""
    return tmp_path / "data.json"


@pytest.fixture
def a_recipe() -> Recipe:
    """A few weights, a few steps, small patches; everything that is drawn at random is in it."""
    return Recipe(
        generator_config={"channels": 4, "blocks": 1, "pairs": 1, "gate_channels": 2, "kernel_hidden": 4},
        steps=6,
        warm_up_steps=2,
        batch_size=2,
        patch_slices=4,
        patch_in_plane=16,
        factors=(2.0, 4.0),
        factor_weights=(0.5, 0.5),
        any_factor_weight=0.0,
        thick_in_plane_fraction=0.0,
        seed=7,
    )


@pytest.fixture
def a_state() -> TrainingState:
    """Before the first step of an in-plane recipe without a critic."""
    from medical_super_resolution_training.config.losses import LossWeights
    from medical_super_resolution_training.training.state import new_state
    from training_runs import plane_recipe

    return new_state(plane_recipe(loss=LossWeights()), "cpu")


@pytest.fixture
def a_slice_encoder(tmp_path: Path) -> Path:
    """A slice encoder of a few seeded weights."""
    import torch

    from medical_super_resolution.models.perceptual_weights import save_encoder
    from medical_super_resolution.objectives.perceptual import SliceEncoder, SliceEncoderConfig

    path = tmp_path / "encoder.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_encoder(path, SliceEncoder(SliceEncoderConfig(widths=(2, 2, 2))), {})
    return path


@pytest.fixture
def quick_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional network of `realism`, with rough pictures and one motion: they take most of the time."""
    from matplotlib.figure import Figure

    from medical_super_resolution_training.evaluation.checks import registration_error
    from medical_super_resolution_training.evaluation.measures import realism

    def save_roughly(figure: Figure, output: Path, dpi: int) -> None:
        figure.set_layout_engine("none")
        save(figure, output, dpi=dpi / 5)

    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", save_roughly)
    monkeypatch.setattr(realism, "_PACKAGES", ("no_such_package",))
    monkeypatch.setattr(registration_error, "MOTIONS", 1)
