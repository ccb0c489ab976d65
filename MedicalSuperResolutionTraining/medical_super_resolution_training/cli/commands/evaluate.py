"""Measure models beside classical interpolation on volumes made coarse: tables, figures, checks for hallucinations.

Writes table.md, scores.csv, summary.csv and pictures into a folder; lesions.csv and calibration.csv where asked for.
With --curves alone it needs no volumes: it draws how well the discriminators of runs distinguished real from made, into
discriminator.png, with the numbers in discriminator.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from medical_super_resolution.cli.settings import add_device
from medical_super_resolution.errors import SettingsError

HELP = "measure models: tables and figures"
DESCRIPTION = __doc__
_CASES = ("k:2", "k:4", "ij:2")
_OF_VOLUMES = (
    "models case estimate_profile lesions downstream upscalers uncertainty results inputs crop show encoder threads"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the data, the methods, the measurements and the output folder."""
    add = parser.add_argument
    add("--models", nargs="*", default=[], metavar="MODEL", help="installed names or files; MODEL@0.5: its detail")
    case_help = "AXES:FACTOR[:PROFILE[:THICKNESS]], such as k:4 or k:5:box; repeat (default k:2, k:4 and ij:2)"
    add("--case", action="append", metavar="CASE", help=case_help)
    pair_help = "one acquisition that the scanner reconstructed twice, in place of --data; its case by --case"
    add("--pair", action="append", nargs=2, default=[], type=Path, metavar=("THICK", "THIN"), help=pair_help)
    estimate_help = "models estimate the slice profile, as by default for users; otherwise they are given the true one"
    add("--estimate-profile", action="store_true", help=estimate_help)
    add("--lesions", action="store_true", help="insert synthetic lesions and measure their recovery")
    downstream_help = "measure segmentation (bone and lung of CT by thresholds) and registration, of thick slices too"
    add("--downstream", action="store_true", help=downstream_help)
    upscaler_help = "networks for photographs, by their own weights on cuts across the slices: realsr, srmd"
    add("--upscalers", nargs="*", default=[], metavar="NAME", help=upscaler_help)
    add("--uncertainty", action="store_true", help="compare the models' uncertainty with their true error")
    add("--results", action="append", default=[], metavar="NAME=FOLDER", help="what another program made of --inputs")
    add("--inputs", type=Path, metavar="FOLDER", help="keep the coarse volumes here, for other programs")
    curves_help = "adversarial runs (folders, or their curve.csv) whose discriminators' accuracy is to be drawn"
    add("--curves", nargs="*", default=[], metavar="[NAME=]RUN", help=curves_help)
    add_common_arguments(parser, needs_data=False)


def add_common_arguments(parser: argparse.ArgumentParser, *, needs_data: bool = True) -> None:
    """Add the options that every measurement needs: volumes, output folder, and volumes that may be shown."""
    add = parser.add_argument
    add("--data", type=Path, required=needs_data, help="manifest, or a folder of volumes (ct_*, mr_*: the modality)")
    add("--out", type=Path, required=True, help="folder of the tables and figures")
    add("--split", default="validation", help="of a manifest (default: validation)")
    add("--crop", metavar="KxJxI", help="measure the middle of each volume only, at most so many voxels")
    add("--show", nargs="*", metavar="NAME", help="volumes that pictures may show (default: all)")
    add("--encoder", type=Path, metavar="FILE", help="slice encoder of the perceptual distance (default: the shipped)")
    add_device(parser)
    add("--threads", type=int, help="CPU threads; default: all that are available")


def run(chosen: argparse.Namespace) -> int:
    """Measure, and write the results after every volume; draw the curves that are named."""
    has_volumes = bool(chosen.data or chosen.pair)
    if not has_volumes:
        _check_curves_alone(chosen)

    from ...evaluation.runner import typed
    from ...workflows.discriminator_accuracy import named_runs, write_accuracies

    runs = named_runs(chosen.curves)
    if has_volumes:
        print(_measured(chosen))
    if runs:
        print(write_accuracies(runs, typed(), chosen.out))
    return 0


def _check_curves_alone(chosen: argparse.Namespace) -> None:
    if not chosen.curves:
        raise SettingsError(
            "name the volumes to measure on by --data or --pair, or runs whose curves are to be drawn by --curves"
        )
    for name in _OF_VOLUMES.split():
        if getattr(chosen, name):
            option = name.replace("_", "-")
            raise SettingsError(f"--{option} is for volumes; name them by --data or --pair")


def _measured(chosen: argparse.Namespace) -> Path:
    """The page with the tables of a measurement."""
    from ...evaluation.cases import parse_case
    from ...evaluation.dataset import measured_pairs, parse_crop, volumes_of
    from ...evaluation.methods.method import interpolators, networks, results_of
    from ...evaluation.methods.upscalers import upscalers
    from ...evaluation.runner import measure, slice_encoder
    from ...evaluation.study import Study

    crop = parse_crop(chosen.crop) if chosen.crop else None
    found = measured_pairs(chosen.pair, crop)
    if chosen.data:
        found += volumes_of(chosen.data, chosen.split, crop)
    others = [results_of(text) for text in chosen.results]
    study = Study(
        tuple(parse_case(text) for text in chosen.case or _CASES),
        (
            *interpolators(thick=chosen.downstream),
            *upscalers(chosen.upscalers),
            *others,
            *networks(chosen.models, chosen.device, chosen.threads, estimate_profile=chosen.estimate_profile),
        ),
        chosen.out,
        slice_encoder(chosen.encoder),
        lesions=chosen.lesions,
        uncertainty=chosen.uncertainty,
        downstream=chosen.downstream,
        shown=None if chosen.show is None else frozenset(chosen.show),
        inputs=chosen.inputs,
    )
    return measure(study, found, lambda line: print(line, flush=True))
