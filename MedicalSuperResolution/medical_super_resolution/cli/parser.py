"""What can be typed after `medsr`, and what it means."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..settings import DEVICES, PRECISIONS, PROFILES, EnhanceSettings

_OUTPUT_HELP = ".nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, or for a DICOM series a folder, new or empty"


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line; what it gives has the name of the chosen command as ``verb``."""
    made = argparse.ArgumentParser(prog="medsr", description=description)
    verbs = made.add_subparsers(required=True, metavar="COMMAND")

    _add_enhance(verbs)

    compare = verbs.add_parser("compare", help="draw before, after and their difference")
    compare.add_argument("before", type=Path, metavar="BEFORE")
    compare.add_argument("after", type=Path, metavar="AFTER")
    compare.add_argument("reference", type=Path, nargs="?", metavar="REFERENCE", help="the true fine volume, if known")
    compare.add_argument("-o", "--output", type=Path, required=True, metavar="PICTURE.png")
    compare.set_defaults(verb="compare")

    info = verbs.add_parser("info", help="describe a volume, and what enhance would do with it")
    info.add_argument("volume", type=Path, metavar="VOLUME")
    info.set_defaults(verb="info")

    benchmark = verbs.add_parser("benchmark", help="measure speed and memory on this machine, for about a minute")
    benchmark.add_argument("--device", choices=DEVICES, default="auto")
    benchmark.add_argument("--precision", choices=PRECISIONS, default="auto")
    benchmark.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: all")
    benchmark.add_argument("--model", default=EnhanceSettings().model, metavar="NAME|FILE")
    benchmark.add_argument("--side", type=int, default=256, help="rows and columns of the volume; default: %(default)s")
    benchmark.add_argument("--slices", type=int, default=32, help="measured slices; default: %(default)s")
    benchmark.add_argument("--json", action="store_true", help="print JSON")
    benchmark.set_defaults(verb="benchmark")

    models = verbs.add_parser("models", help="list the installed models with their cards, or import one")
    models.add_argument(
        "--import", dest="file", type=Path, metavar="FILE.safetensors", help="check a model file and keep a copy of it"
    )
    models.add_argument(
        "--sha256", metavar="HEX", help="what its checksum must be; default: as FILE.safetensors.sha256 says, if there"
    )
    models.set_defaults(verb="models")
    return made


def _add_enhance(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    enhance = verbs.add_parser("enhance", help="refine a volume", formatter_class=argparse.RawDescriptionHelpFormatter)
    enhance.description = (
        "Refine a volume: NIfTI, NRRD, MetaImage, or a DICOM series given by its folder or any of its files.\n"
        "i, j, k are the index axes of the file, fastest first; through-plane is the axis of the largest spacing.\n"
        "With neither --factor nor --spacing the through-plane axis is refined to the in-plane spacing, at most 8x."
    )
    enhance.add_argument("input", type=Path, metavar="INPUT")
    enhance.add_argument("output", type=Path, metavar="OUTPUT", help=_OUTPUT_HELP)
    _add_settings(enhance)
    enhance.add_argument(
        "--uncertainty",
        type=Path,
        metavar="FILE",
        help="also write a standard deviation of each voxel, over mirror images of the scan and the sharp twin if there"
        " is one; 8 to 10 times the time",
    )
    enhance.add_argument("--report", type=Path, metavar="FILE.json", help="write down what was done")
    enhance.add_argument("--overwrite", action="store_true", help="replace OUTPUT and the report where they exist")
    enhance.add_argument("--progress", choices=("auto", "json", "none"), default="auto", help="how to show progress")
    enhance.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)
    enhance.set_defaults(verb="enhance")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    standard = EnhanceSettings()
    parser.add_argument("--factor", type=float, metavar="F", help="how many times finer, above 1 and at most 8")
    parser.add_argument(
        "--axes", default=standard.axes, help="through-plane (default), in-plane, or letters of ijk such as k or ij"
    )
    parser.add_argument("--spacing", type=float, nargs=3, metavar=("I", "J", "K"), help="target spacing in mm instead")
    parser.add_argument("--model", default=standard.model, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument(
        "--sharpness", type=float, default=standard.sharpness, metavar="S",
        help="0: fidelity (default), 1: the model's sharp twin, or between; see `medsr models`",
    )  # fmt: skip
    parser.add_argument(
        "--slice-thickness", type=float, metavar="MM", help="tissue in one slice; default: as the file says, or no gap"
    )
    parser.add_argument(
        "--slice-profile", choices=PROFILES, default=standard.slice_profile, help="default: as the slices look"
    )
    parser.add_argument("--modality", choices=("ct", "mr", "pet", "us"), help="default: as the file or its values say")
    parser.add_argument(
        "--no-consistency", action="store_true", help="do not make the result reproduce the measured slices"
    )
    parser.add_argument("--device", choices=DEVICES, default=standard.device)
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: all")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=standard.precision,
        help="of the network; default: auto, which is mixed on CUDA and float32 elsewhere",
    )  # fmt: skip
    parser.add_argument(
        "--max-memory", type=float, metavar="GB",
        help="of the whole program; a volume that does not fit waits on the disk, in the folder of OUTPUT",
    )  # fmt: skip


def settings(chosen: argparse.Namespace) -> EnhanceSettings:
    """What the flags of `enhance` ask for.

    Raises
    ------
    SettingsError : they make no sense.
    """
    return EnhanceSettings(
        factor=chosen.factor,
        axes=chosen.axes,
        spacing_ijk_mm=tuple(chosen.spacing) if chosen.spacing else None,
        slice_thickness_mm=chosen.slice_thickness,
        slice_profile=chosen.slice_profile,
        model=chosen.model,
        sharpness=chosen.sharpness,
        consistency=not chosen.no_consistency,
        uncertainty=chosen.uncertainty is not None,
        device=chosen.device,
        threads=chosen.threads,
        precision=chosen.precision,
        memory_gb=chosen.max_memory,
    )
