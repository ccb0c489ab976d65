"""Between fidelity and sharpness: the weights of a model and of its sharp twin, mixed.

A sharp twin is the same network, trained further for sharp edges and texture. What lies between the two on a straight
line in the space of their weights goes smoothly from the one to the other: network interpolation, Wang et al. 2018
(ESRGAN), arXiv:1809.00219, section 3.4.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import ModelError
from ..settings import check_sharpness
from . import file as models
from .file import Model
from .header import twin_of


def load(path: Path, sharpness: float) -> Model:
    """A model whose weights are (1 - sharpness) times its own and sharpness times those of its sharp twin.

    With 0 they are the model's own, and the twin is not looked at.

    Raises
    ------
    ModelError : see `models.load`; or there is no sharp twin, it is missing, or it is another kind of network.
    SettingsError : ``sharpness`` lies outside [0, 1].
    """
    check_sharpness(sharpness)
    model = models.load(path)
    if sharpness == 0:
        return model
    twin = _twin(model)
    sharp = twin.generator.state_dict()
    mixed = copy.deepcopy(model.generator)
    mixed.load_state_dict(
        {name: torch.lerp(weights, sharp[name], sharpness) for name, weights in model.generator.state_dict().items()}
    )
    return replace(model, generator=mixed, sharpness=sharpness, twin_sha256=twin.sha256)


def load_model(name: str | Path = "general", sharpness: float = 0.0) -> Model:
    """Load a model by its installed name or from a file.

    Parameters
    ----------
    name : str or Path
        An installed model, such as "general", or the path of a model file.
    sharpness : float
        In [0, 1]. 0 is fidelity; 1 takes the weights of the detail model, where there is one.

    Returns
    -------
    Model
        Ready for `enhance`.

    Raises
    ------
    ModelError
        There is no such model, or its file is damaged.
    SettingsError
        ``sharpness`` lies outside [0, 1], or the model has no other end.
    """
    return load(models.find(str(name)), sharpness)


def both_ends(model: Model) -> tuple[Model, Model] | None:
    """A model at sharpness 0 and at 1, ``model`` itself where it is one of them; None where it has no twin here."""
    twin_path = twin_of(model.path)
    if twin_path is None or not twin_path.is_file():
        return None
    fidelity, sharp = (model if model.sharpness == end else load(model.path, end) for end in (0.0, 1.0))
    return fidelity, sharp


def _twin(model: Model) -> Model:
    path = twin_of(model.path)
    if path is None:
        raise ModelError(f"the model {model.name} has no sharp twin; ask for sharpness 0, or choose another model")
    if not path.is_file():
        raise ModelError(
            f"the sharp twin {path.stem} of the model {model.name} is missing; put {path.name} beside it,"
            " or ask for sharpness 0"
        )
    twin = models.load(path)
    if twin.generator_name != model.generator_name or twin.generator.config != model.generator.config:
        raise ModelError(
            f"{path.stem}, named as the sharp twin of the model {model.name}, is another kind of network;"
            " get both files again, or ask for sharpness 0"
        )
    return twin
