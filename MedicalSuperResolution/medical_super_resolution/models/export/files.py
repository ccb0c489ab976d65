"""Writing a model for another runtime, with a card in Markdown."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...errors import SuperResolutionError, optional
from ...networks.contracts import SequenceGenerator
from ...system.temp_dirs import check_folder_of, put_in_place, work_folder
from ...system.texts import on_one_line
from ..file import Model
from .bundle import NOTICE, write_bundle
from .program import INPUTS, OUTPUT, program_of

BUNDLE = "monai-bundle"
_HALF = "onnx-float16"
_SMALLEST, _LARGEST = 3, 65_536  # voxels along an axis
_INPUT = ("| Input | Shape | Meaning |", "|---|---|---|")
_VALUES = "0 to 1 is -1000 to 1000 HU in CT, else percentiles"
_THROUGH_PLANE = (
    *_INPUT,
    f"| `lr` | (1, 1, K, J, I) float32 | thick slices; {_VALUES} |",
    "| `positions` | (M,) float32 | places of the fine slices, (m + 1/2) / factor - 1/2 |",
    "| `factor` | (1,) float32 | fine slices for each thick one |",
    "| `width` | (1,) float32 | full width at half maximum of the slice profile, in slice distances |",
    "",
    "The output `sr`, (1, 1, M, J, I) float32, is not yet consistent with the slices: add Aᵀ(AAᵀ)⁻¹(lr − A sr).",
)
_IN_PLANE = (
    *_INPUT,
    f"| `lr` | (1, 1, K, J, I) float32 | slices, coarse along J and I; {_VALUES} |",
    "",
    "The output `sr`, float32, finer along J and I, is not yet consistent with the slices: add Aᵀ(AAᵀ)⁻¹(lr − A sr).",
)


def export_model(model: Model, kind: str, path: Path) -> list[Path]:
    """Write a model in another format, and its card in Markdown beside it, which several formats may share.

    Parameters
    ----------
    model : Model
        A through-plane model.
    kind : {"onnx", "onnx-float16", "torch-export", "monai-bundle"}
        The format.
    path : Path
        File to write, with the suffix of the format, or the folder of a bundle; it must not exist.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    SuperResolutionError
        The path exists, has another suffix or cannot be written, or the packages for the format are missing.
    ModelError
        See `program.program_of`.
    """
    if kind != BUNDLE and path.suffix.lower() != FORMATS[kind].suffix:
        raise SuperResolutionError(
            f"a file of the format {kind} ends in {FORMATS[kind].suffix}, {path.name} does not; change name or format"
        )
    card, text = path.with_name(f"{path.stem}.md"), card_of(model)
    is_shared = card.is_file() and card.read_bytes() == text.encode()
    for one in (path,) if kind == BUNDLE or is_shared else (path, card):
        if one.exists():
            raise SuperResolutionError(f"{one} exists already; choose another name")
    check_folder_of(path)
    if kind == BUNDLE:
        return write_bundle(model, path, text)
    program, example = program_of(model, half=kind == _HALF)
    sizes = {name: torch.export.Dim(name, min=_SMALLEST, max=_LARGEST) for name in ("K", "J", "I", "M")}
    free = {"lr": {2: sizes["K"], 3: sizes["J"], 4: sizes["I"]}, "positions": {0: sizes["M"]}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporters' own insides
        exported = torch.export.export(program, example, dynamic_shapes=free | {"factor": None, "width": None})
        with work_folder(path.parent) as folder:
            FORMATS[kind].write(exported, folder / path.name)
            (folder / card.name).write_bytes(text.encode())
            put_in_place(folder / card.name, card)
            put_in_place(folder / path.name, path)
    return [path, card]


def _write_onnx(exported: torch.export.ExportedProgram, path: Path) -> None:
    optional("onnxscript", "ONNX files", extra="onnx")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # else it warns of packages that are not needed
    made = torch.onnx.export(exported, dynamo=True, input_names=list(INPUTS), output_names=[OUTPUT], verbose=False)
    assert made is not None  # so it is with dynamo
    made.save(str(path))


def _write_program(exported: torch.export.ExportedProgram, path: Path) -> None:
    content = BytesIO()  # torch would report a full disk as an internal error
    torch.export.save(exported, content)
    path.write_bytes(content.getvalue())


class _Format(NamedTuple):
    suffix: str
    write: Callable[[torch.export.ExportedProgram, Path], None]


FORMATS = {
    "onnx": _Format(".onnx", _write_onnx),
    _HALF: _Format(".onnx", _write_onnx),
    "torch-export": _Format(".pt2", _write_program),
}


def card_of(model: Model) -> str:
    """The card of a model in Markdown, with the metadata block that model hubs read."""
    card = model.card
    summary = card.get("summary")
    lines = [
        "---",
        f"license: {re.sub('[^a-z0-9.]+', '-', str(card.get('license', 'unknown')).lower())}",
        "library_name: medical-super-resolution",
        "pipeline_tag: image-to-image",
        "tags: [medical-imaging, super-resolution, ct, mri]",
        "---",
        "",
        f"# {_plain(model.name)}",
        "",
        f"{_plain(summary)}. {NOTICE}" if summary else NOTICE,
        "",
        *(_THROUGH_PLANE if isinstance(model.generator, SequenceGenerator) else _IN_PLANE),
        "",
        f"SHA-256 of the model file: `{model.sha256}`",
    ]
    for key, value in card.items():
        if key not in ("summary", "license"):
            lines += ["", f"## {_plain(key).replace('_', ' ').capitalize()}", ""]
            lines += _described(value) if isinstance(value, dict | list) else [_plain(value)]
    return "\n".join(lines) + "\n"


def _described(value: dict[str, Any] | list[Any]) -> Iterator[str]:
    """The items of a list, or the entries of a table with what they hold below them."""
    if isinstance(value, list):
        yield from (f"- {_plain(one)}" for one in value)
        return
    for key, one in value.items():
        name = _plain(key).replace("_", " ")
        if isinstance(one, list) and not any(isinstance(item, str) for item in one):
            one = ", ".join(map(str, one))
        if isinstance(one, dict | list):
            yield f"- {name}:"
            yield from (f"  {line}" for line in _described(one))
        else:
            yield f"- {name}: {_plain(one)}"


def _plain(value: object) -> str:
    """A text of a card on one line, none of which is taken for HTML."""
    return escape(on_one_line(str(value)), quote=False)
