"""medsr export-model."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a model for another runtime: ONNX, PyTorch's exported program, or a bundle of MONAI"
_FORMATS = ("onnx", "onnx-float16", "torch-export", "monai-bundle")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, the file and its format."""
    parser.add_argument("model", metavar="NAME|FILE", help="an installed model, or a model file")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="file or folder to write, with a card in Markdown")
    parser.add_argument("--to", choices=_FORMATS, default="onnx", help="what to write; default: %(default)s")


def run(chosen: argparse.Namespace) -> int:
    """Write the files, and print their names."""
    from ...models.export.files import export_model
    from ...models.weight_interpolation import load_model

    for path in export_model(load_model(chosen.model), chosen.to, chosen.output):
        print(path)
    return 0
