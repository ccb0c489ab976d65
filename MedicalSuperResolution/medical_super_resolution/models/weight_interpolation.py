"""Interpolation between the weights of a model and of its detail model.

A detail model is the same network, trained further for sharp edges and texture. What lies between the two on a straight
line in the space of their weights goes smoothly from the one to the other: network interpolation, Wang et al. 2018
(ESRGAN), arXiv:1809.00219, section 3.4. A larger model borrows the detail of a smaller one: see `AddedDetail`.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from ..errors import ModelError
from ..networks.added_detail import AddedDetail
from ..networks.contracts import Generator, SequenceGenerator
from ..settings import check_detail
from . import file as models
from .file import Model
from .store import detail_files_of, find, has_detail


def load(path: Path, detail: float) -> Model:
    """A model whose weights are (1 - detail) times its own and detail times those of its detail model.

    Where the detail model is that of another model, what it adds to the result of that one is added to this one's. With
    detail 0 a model is as in its file, and the detail model is not read.

    Raises
    ------
    ModelError
        See `models.load`; or there is no detail model, it is missing, or it is another kind of network and belongs to
        no other model.
    SettingsError
        ``detail`` lies outside [0, 1].
    """
    check_detail(detail)
    model = models.load(path)
    if detail == 0:
        return model
    detail_model, *others = [models.load(file) for file in _detail_files(model)]
    plain = others[0] if others else model
    _check_kind(detail_model, plain)
    generator = _mixed(plain, detail_model, detail)
    if plain is not model:
        generator = _added(model, plain, generator)
    return replace(model, generator=generator, detail=detail, detail_sha256=detail_model.sha256)


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
    return load(find(str(name)), detail)


def both_ends(model: Model) -> tuple[Model, Model] | None:
    """The model at detail 0 and at detail 1, either of which may be ``model`` itself; None without a detail model."""
    if not has_detail(model.path):
        return None
    fidelity, detailed = (model if model.detail == end else load(model.path, end) for end in (0.0, 1.0))
    return fidelity, detailed


def _mixed(model: Model, detail_model: Model, detail: float) -> Generator:
    detailed = detail_model.generator.state_dict()
    mixed = copy.deepcopy(model.generator)
    mixed.load_state_dict(
        {name: torch.lerp(weights, detailed[name], detail) for name, weights in model.generator.state_dict().items()}
    )
    return mixed


def _added(model: Model, plain: Model, detailed: Generator) -> Generator:
    parts = (model.generator, plain.generator, detailed)
    if not all(isinstance(part, SequenceGenerator) for part in parts):
        raise ModelError(
            f"the model {model.name} cannot take the detail of the model {plain.name}: both must refine one axis at a"
            " time; ask for detail 0"
        )
    return AddedDetail(*cast(tuple[SequenceGenerator, ...], parts)).eval()


def _detail_files(model: Model) -> list[Path]:
    files = detail_files_of(model.path)
    if not files:
        raise ModelError(f"the model {model.name} has no detail model; ask for detail 0, or choose another model")
    for path in files:
        if not path.is_file():
            raise ModelError(
                f"{path.name}, which the detail of the model {model.name} needs, is missing; put it beside"
                f" {model.path.name}, or ask for detail 0"
            )
    return files


def _check_kind(detail_model: Model, model: Model) -> None:
    if detail_model.generator_name != model.generator_name or detail_model.generator.config != model.generator.config:
        raise ModelError(
            f"{detail_model.name}, named as the detail model of the model {model.name}, is another kind of network;"
            " get both files again, or ask for detail 0"
        )
