"""Train and measure the four models of the LSTMAGAN ablation: neither part, the memory, the attention gate, both.

A model that is trained already by the same settings is not trained again; a run that was stopped is continued.
"""

from __future__ import annotations

import argparse

from . import evaluate
from .train import add_overrides, add_workers

HELP = "train and measure the four models of the LSTMAGAN ablation"
DESCRIPTION = __doc__
RECIPES = ("lstmagan-1", "lstmagan-2", "lstmagan-3", "lstmagan-4")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a measurement, and the settings of the trainings."""
    evaluate.add_common_arguments(parser)
    add_overrides(parser, "all four recipes")
    add_workers(parser)
    parser.add_argument("--measure-on", metavar="DATA", help="folder or manifest to measure on instead of --data")


def run(chosen: argparse.Namespace) -> int:
    """Train the models that are missing, then write tables, signed differences and curves of the discriminators."""
    from pathlib import Path

    from ...evaluation.cases import Case
    from ...evaluation.dataset import parse_crop, volumes_of
    from ...evaluation.methods.method import interpolators, networks
    from ...evaluation.runner import measure, slice_encoder, typed
    from ...evaluation.study import Study
    from ...training.monitoring.curves import CURVES
    from ...workflows.discriminator_accuracy import read_accuracy, write_accuracies
    from ...workflows.export import trained

    data = Path(chosen.measure_on or chosen.data)
    found = volumes_of(data, chosen.split, parse_crop(chosen.crop) if chosen.crop else None)

    def log(line: str) -> None:
        print(line, flush=True)

    files = [
        trained(name, chosen.overrides, chosen.data, chosen.out, device=chosen.device, workers=chosen.workers, log=log)
        for name in RECIPES
    ]
    models = networks([str(file) for file in files], chosen.device, chosen.threads)
    study = Study(
        tuple({Case("ij", float(model.factor)) for model in models if model.factor}),
        (*interpolators(), *models),
        chosen.out,
        slice_encoder(chosen.encoder),
        shown=None if chosen.show is None else frozenset(chosen.show),
    )
    print(measure(study, found, log))
    accuracies = [read_accuracy(chosen.out / name / CURVES, name) for name in RECIPES]
    if all(one.points for one in accuracies):
        write_accuracies(accuracies, typed(), chosen.out)
    return 0
