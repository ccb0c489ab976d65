"""Options that several commands share, and the settings that they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..settings import DEVICES, PRECISIONS, PROFILES, QUALITIES, EnhanceSettings

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ..volumes.dicom.reader import Selection


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that make an `EnhanceSettings`."""
    standard = EnhanceSettings()
    what = parser.add_argument_group("what to refine")
    what.add_argument("--factor", type=float, metavar="F", help="how many times finer, above 1 and at most 8")
    what.add_argument(
        "--axes", default=standard.axes, help="through-plane (default), in-plane, or letters of ijk such as k or ij"
    )
    what.add_argument(
        "--spacing", type=float, nargs=3, metavar=("I", "J", "K"),
        help="spacing in mm to reach instead; axes that are finer already stay as they are",
    )  # fmt: skip
    what.add_argument(
        "--exact-spacing", type=float, nargs="*", metavar="MM",
        help="bring axes that are finer to the spacing too, by averaging; alone or with its own I J K",
    )  # fmt: skip
    how = parser.add_argument_group("model")
    how.add_argument("--model", default=standard.model, metavar="NAME|FILE", help="default: %(default)s")
    how.add_argument(
        "--detail", type=float, default=standard.detail, metavar="S",
        help="0: fidelity (default), 1: the model's detail model, or between; see `medsr models`",
    )  # fmt: skip
    how.add_argument(
        "--quality", choices=QUALITIES, default=standard.quality,
        help="best: the mean over mirror images of the scan, about eight times the work; default: %(default)s",
    )  # fmt: skip
    scan = parser.add_argument_group("what is known of the scan")
    scan.add_argument(
        "--slice-thickness", type=float, metavar="MM", help="tissue in one slice; default: as the file says, or no gap"
    )
    scan.add_argument(
        "--slice-profile",
        choices=PROFILES,
        default=standard.slice_profile,
        help="gaussian or box, as wide as --slice-thickness; default: a Gaussian whose width is estimated",
    )
    scan.add_argument("--modality", choices=("ct", "mr", "pet", "us"), help="default: from the file or its values")
    how.add_argument(
        "--no-consistency", action="store_true", help="do not make the result reproduce the measured slices"
    )
    computer = parser.add_argument_group("computer")
    computer.add_argument("--device", choices=DEVICES, default=standard.device)
    computer.add_argument(
        "--threads", type=threads_of, metavar="N|auto", help="CPU threads; auto (default): all that are available"
    )
    computer.add_argument(
        "--precision", choices=PRECISIONS, default=standard.precision,
        help="of the network; default: auto, which is mixed on CUDA and float32 elsewhere",
    )  # fmt: skip
    computer.add_argument(
        "--max-memory", type=float, metavar="GB",
        help="of the whole program; a volume that does not fit waits on the disk, in the folder of OUTPUT",
    )  # fmt: skip


def threads_of(text: str) -> int | None:
    """Read a number of threads; "auto" is None."""
    return None if text == "auto" else int(text)


def settings_of(chosen: argparse.Namespace) -> EnhanceSettings:
    """What the flags of `enhance` ask for.

    Raises
    ------
    SettingsError
        They make no sense.
    """
    exact = chosen.exact_spacing
    if exact and (chosen.spacing or len(exact) != 3):
        raise SettingsError("give the spacing once, as three numbers in mm: --exact-spacing I J K")
    spacing = exact or chosen.spacing
    return EnhanceSettings(
        factor=chosen.factor,
        axes=chosen.axes,
        spacing_ijk_mm=(spacing[0], spacing[1], spacing[2]) if spacing else None,
        exact_spacing=exact is not None,
        slice_thickness_mm=chosen.slice_thickness,
        slice_profile=chosen.slice_profile,
        model=chosen.model,
        detail=chosen.detail,
        quality=chosen.quality,
        consistency=not chosen.no_consistency,
        uncertainty=chosen.uncertainty is not None,
        device=chosen.device,
        threads=chosen.threads,
        precision=chosen.precision,
        memory_gb=chosen.max_memory,
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that make a `Selection`."""
    parser.add_argument(
        "--series", metavar="N|UID", help="of a DICOM folder with several series, the one with this number or UID"
    )
    parser.add_argument(
        "--phase",
        type=_phase,
        metavar="N|all",
        help="of a DICOM series with several images at each place (echoes, phases, b-values), volume N from 1, or all"
        " into one file",
    )


def _phase(text: str) -> int | str:
    return text if text == "all" else int(text)


def selection_of(chosen: argparse.Namespace) -> Selection:
    """The options as a selection."""
    from ..volumes.dicom.reader import Selection

    return Selection(chosen.series, chosen.phase)
