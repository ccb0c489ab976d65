"""Between fidelity and detail: the weights of a model and of its detail model, mixed.

A detail model is the same network, trained further for sharp edges and texture. What lies between the two on a straight
line in the space of their weights goes smoothly from the one to the other: network interpolation, Wang et al. 2018
(ESRGAN), arXiv:1809.00219, section 3.4.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import ModelError
from ..settings import check_detail
from . import file as models
from .file import Model
from .store import detail_model_of


def load(path: Path, detail: float) -> Model:
    """A model whose weights are (1 - detail) times its own and detail times those of its detail model.

    With 0 they are the model's own, and the detail model is not looked at.

    Raises
    ------
    ModelError
        See `models.load`; or there is no detail model, it is missing, or it is another kind of network.
    SettingsError
        ``detail`` lies outside [0, 1].
    """
    check_detail(detail)
    model = models.load(path)
    if detail == 0:
        return model
    detail_model = _detail_model(model)
    detailed = detail_model.generator.state_dict()
    mixed = copy.deepcopy(model.generator)
    mixed.load_state_dict(
        {name: torch.lerp(weights, detailed[name], detail) for name, weights in model.generator.state_dict().items()}
    )
    return replace(model, generator=mixed, detail=detail, detail_sha256=detail_model.sha256)


def load_model(name: str | Path = "general", detail: float = 0.0) -> Model:
    """Load a model by its installed name or from a file.

    Parameters
    ----------
    name : str or Path
        An installed model, such as "general", or the path of a model file.
    detail : float
        In [0, 1]. 0 is fidelity; 1 takes the weights of the detail model, where there is one.

    Returns
    -------
    Model
        Ready for `enhance`.

    Raises
    ------
    ModelError
        There is no such model, its file is damaged, or ``detail`` is above 0 and the model has no detail model.
    SettingsError
        ``detail`` lies outside [0, 1].

    Examples
    --------
    >>> model = load_model("general")  # doctest: +SKIP
    >>> thin = [enhance(path, model, factor=4) for path in paths]  # doctest: +SKIP
    """
    return load(models.find(str(name)), detail)


def both_ends(model: Model) -> tuple[Model, Model] | None:
    """A model at detail 0 and at 1, ``model`` itself where it is one of them; None without a detail model."""
    detail_path = detail_model_of(model.path)
    if detail_path is None or not detail_path.is_file():
        return None
    fidelity, detailed = (model if model.detail == end else load(model.path, end) for end in (0.0, 1.0))
    return fidelity, detailed


def _detail_model(model: Model) -> Model:
    path = detail_model_of(model.path)
    if path is None:
        raise ModelError(f"the model {model.name} has no detail model; ask for detail 0, or choose another model")
    if not path.is_file():
        raise ModelError(
            f"the detail model {path.stem} of the model {model.name} is missing; put {path.name} beside it,"
            " or ask for detail 0"
        )
    detail_model = models.load(path)
    if detail_model.generator_name != model.generator_name or detail_model.generator.config != model.generator.config:
        raise ModelError(
            f"{path.stem}, named as the detail model of the model {model.name}, is another kind of network;"
            " get both files again, or ask for detail 0"
        )
    return detail_model
