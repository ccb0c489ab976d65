"""medsr-train prepare."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make a manifest from a dataset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The dataset, the manifest, and how the one becomes the other."""
    parser.add_argument("dataset", type=Path, help="folder")
    parser.add_argument("manifest", type=Path, help="file to write, .json; arrays go into a folder beside it")
    parser.add_argument(
        "--layout", default="volumes", help="volumes, luna16, brats2021 or lidc-idri (default: volumes)"
    )
    parser.add_argument(
        "--modality",
        default="",
        help="ct, mr, pet or us, where the files do not name it; of brats2021 flair, t1, t1ce or t2",
    )
    parser.add_argument("--split", default="70/20/10", help="shares of patients: train/validation/test")
    parser.add_argument(
        "--patient-pattern", default="", metavar="REGEX", help="what it finds in the path of a scan is the patient"
    )
    parser.add_argument("--thickest", type=float, metavar="MM", help="refuse scans whose slices lie farther apart")
    parser.add_argument("--n4", action="store_true", help="MR: correct the shading by the coils (minutes a scan)")
    parser.add_argument("--suppress-background", action="store_true", help="MR: set the air around the body to 0")


def run(chosen: argparse.Namespace) -> int:
    """Check and convert the scans, and write the manifest."""
    from medical_super_resolution.cli.terminal import progress_of_kind

    from ...data.preparation.cleaning import Cleaning
    from ...data.preparation.prepare import Preparation, prepare
    from ...data.preparation.splitting import SPLITS

    settings = Preparation(
        layout=chosen.layout,
        modality=chosen.modality,
        split=chosen.split,
        patient_pattern=chosen.patient_pattern,
        thickest_mm=chosen.thickest,
        cleaning=Cleaning(chosen.n4, chosen.suppress_background),
    )
    progress = progress_of_kind("auto")
    progress.stage("preparing")
    entries = prepare(chosen.dataset, chosen.manifest, settings, log=print, progress=progress)
    patients = {split: {entry.patient for entry in entries if entry.split == split} for split in SPLITS}
    parts = ", ".join(f"{len(labels)} {split}" for split, labels in patients.items())
    count = f"{len(entries)} volume{'' if len(entries) == 1 else 's'}"
    print(f"{count} in {chosen.manifest}; patients: {parts}")
    return 0
