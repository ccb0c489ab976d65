"""Measure models beside classical interpolation on volumes made coarse: tables, figures, checks against invention.

Writes table.md, scores.csv, summary.csv and pictures into a folder; lesions.csv and calibration.csv where asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "measure models: tables and figures"
_CASES = ("k:2", "k:4", "ij:2")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The data, the systems, what to do with them, and where to write."""
    add = parser.add_argument
    add("--models", nargs="*", default=[], metavar="MODEL", help="installed names or files; MODEL@0.5: its sharpness")
    case_help = "AXES:FACTOR[:PROFILE[:THICKNESS]], such as k:4 or k:5:box; repeat (default k:2, k:4 and ij:2)"
    add("--case", action="append", metavar="CASE", dest="cases", help=case_help)
    add("--lesions", action="store_true", help="insert made-up lesions and see what is left of them")
    add("--uncertainty", action="store_true", help="compare the models' uncertainty with their true error")
    add("--results", action="append", default=[], metavar="NAME=FOLDER", help="what another program made of --inputs")
    add("--inputs", type=Path, metavar="FOLDER", help="keep the coarse volumes here, for other programs")
    add("--curves", type=Path, nargs="*", default=[], metavar="FILE.csv", help="of adversarial runs, to be drawn")
    add_common_arguments(parser)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """What every measurement needs: volumes, where to write, what may be shown."""
    add = parser.add_argument
    add("--data", type=Path, required=True, help="manifest, or a folder of volumes (ct_*, mr_*: the modality)")
    add("--out", type=Path, required=True, help="folder of the tables and figures")
    add("--split", default="validation", help="of a manifest (default: validation)")
    add("--crop", metavar="KxJxI", help="measure the middle of each volume only, at most so many voxels")
    add("--show", nargs="*", metavar="NAME", help="volumes that pictures may show (default: all)")
    add("--encoder", type=Path, metavar="FILE", help="slice encoder of the perceptual distance (default: the shipped)")
    add("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"))
    add("--threads", type=int)


def run(chosen: argparse.Namespace) -> int:
    """Measure, and write after every volume what is known by then."""
    from ..evaluation.cases import parse_case
    from ..evaluation.charts import draw_discriminator
    from ..evaluation.study import Study
    from ..evaluation.subjects import parse_crop, subjects
    from ..evaluation.systems import interpolators, networks, results_of
    from ..evaluation.written import measure, slice_encoder

    found = subjects(chosen.data, chosen.split, parse_crop(chosen.crop) if chosen.crop else None)
    others = [results_of(text) for text in chosen.results]
    study = Study(
        tuple(parse_case(text) for text in chosen.cases or _CASES),
        (*interpolators(), *others, *networks(chosen.models, chosen.device, chosen.threads)),
        chosen.out,
        slice_encoder(chosen.encoder),
        lesions=chosen.lesions,
        uncertainty=chosen.uncertainty,
        shown=None if chosen.show is None else frozenset(chosen.show),
        inputs=chosen.inputs,
    )
    page = measure(study, found, lambda line: print(line, flush=True))
    if chosen.curves:
        draw_discriminator(chosen.curves, chosen.out / "discriminator.png")
    print(page)
    return 0
