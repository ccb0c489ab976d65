"""Options that several commands share: settings of an enhancement, output, selection of a volume."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..settings import DEVICES, MODALITIES, OPTIONS, PRECISIONS, PROFILES, QUALITIES, EnhanceSettings
from .parsing import whole_number

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ..volumes.dicom.reader import Selection

_STANDARD = EnhanceSettings()


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that make an `EnhanceSettings`."""
    what = parser.add_argument_group("what to refine")
    what.add_argument("--factor", type=float, metavar="F", help="refinement factor, above 1 and at most 8")
    what.add_argument(
        "--axes", default=_STANDARD.axes,
        help="axes of --factor: through-plane (default), in-plane, or letters of ijk such as k or ij",
    )  # fmt: skip
    what.add_argument(
        "--spacing", type=float, nargs=3, metavar=("I", "J", "K"),
        help="target spacing in mm, instead of a factor; axes that are finer already are kept",
    )  # fmt: skip
    what.add_argument(
        "--exact-spacing", type=float, nargs="*", metavar="MM",
        help="also average axes that are finer to the target spacing; alone or with its own I J K",
    )  # fmt: skip
    _add_model(parser)
    scan = parser.add_argument_group("the scan")
    scan.add_argument(
        "--slice-thickness",
        type=float,
        metavar="MM",
        help="slice thickness in mm; default: that of the file, or no gap",
    )
    scan.add_argument(
        "--slice-profile", choices=PROFILES, default=_STANDARD.slice_profile,
        help="gaussian or box, as wide as --slice-thickness; default: estimated from the slices",
    )  # fmt: skip
    add_modality(scan)
    computer = add_computer(parser)
    add_precision(computer)
    computer.add_argument(
        "--max-memory", type=float, metavar="GB",
        help="memory of the whole program; a volume file that does not fit is kept on disk, beside the output;"
        " DICOM series stay in memory",
    )  # fmt: skip


def _add_model(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("model")
    add_model(how)
    how.add_argument(
        "--detail", type=float, default=_STANDARD.detail, metavar="D",
        help="0: fidelity (default), 1: the model's detail model, or between; see `medsr models`",
    )  # fmt: skip
    how.add_argument(
        "--quality", choices=QUALITIES, default=_STANDARD.quality,
        help="best: the mean over mirror images of the scan, up to eight times the work; default: %(default)s",
    )  # fmt: skip
    how.add_argument("--no-consistency", action="store_true", help="do not project the result onto the measured slices")


def add_model(parser: argparse._ActionsContainer) -> None:
    """Add ``--model``, which the Tab key completes with the installed models and with files."""
    model = parser.add_argument(
        "--model",
        default=_STANDARD.model,
        metavar="NAME|FILE",
        help="an installed model, or a file; default: %(default)s",
    )
    vars(model)["completer"] = _models_beginning  # an attribute that argcomplete reads


def _models_beginning(prefix: str, **_: object) -> list[str]:
    from argcomplete.completers import FilesCompleter

    from ..models.store import SUFFIX, installed

    names = [path.stem for path in installed() if path.stem.startswith(prefix)]
    return [*names, *FilesCompleter((SUFFIX,))(prefix)]


def add_modality(parser: argparse._ActionsContainer) -> None:
    """Add ``--modality``."""
    parser.add_argument("--modality", choices=MODALITIES, help="kind of scan; default: from the file or its values")


def add_computer(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add a group with ``--device`` and ``--threads``, to which more can be added."""
    computer = parser.add_argument_group("computer")
    add_device(computer)
    computer.add_argument(
        "--threads", type=_threads, metavar="N|auto", help="CPU threads; auto (default): all that are available"
    )
    return computer


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device", choices=DEVICES, default=_STANDARD.device, help="where to compute; default: %(default)s"
    )


def add_precision(parser: argparse._ActionsContainer) -> None:
    """Add ``--precision``."""
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=_STANDARD.precision,
        help="precision of the network; int8: faster on CPUs with VNNI; default: auto (mixed on CUDA, else float32)",
    )  # fmt: skip


def _threads(text: str) -> int | None:
    return None if text == "auto" else whole_number(text)


def settings_of(chosen: argparse.Namespace) -> EnhanceSettings:
    """The settings given by the options of `add_settings`.

    Raises
    ------
    SettingsError
        They contradict each other, or a value is invalid.
    """
    exact = chosen.exact_spacing
    if exact and (chosen.spacing or len(exact) != 3):
        raise SettingsError("give the spacing once, as three numbers in mm: --exact-spacing I J K")
    spacing = exact or chosen.spacing
    given = {name: getattr(chosen, option[2:].replace("-", "_")) for name, option in OPTIONS.items()}
    return EnhanceSettings(
        **given,
        spacing_ijk_mm=(spacing[0], spacing[1], spacing[2]) if spacing else None,
        exact_spacing=exact is not None,
        consistency=not chosen.no_consistency,
        uncertainty=chosen.uncertainty is not None,
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options for the report, overwriting, compression and progress."""
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write a report as JSON")
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT and the report where they exist")
    parser.add_argument(
        "--no-compression", action="store_true", help="write volume files uncompressed: larger, but faster"
    )
    add_progress(parser)


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add ``--progress``."""
    parser.add_argument("--progress", choices=("auto", "json", "none"), default="auto", help="how to show progress")


def add_selection(parser: argparse.ArgumentParser, *, takes_all: bool = False) -> None:
    """Add the options that make a `Selection`; with ``takes_all`` also one of all volumes of a series."""
    parser.add_argument(
        "--series", metavar="N|UID", help="number or UID of the series, for a DICOM folder with several"
    )
    parser.add_argument(
        "--phase", type=_phase if takes_all else whole_number, metavar="N|all" if takes_all else "N",
        help=f"volume N from 1{', or all into one file,' if takes_all else ','} for a DICOM series with several images"
        " at each place (echoes, phases, b-values)",
    )  # fmt: skip


def _phase(text: str) -> int | str:
    return text if text == "all" else whole_number(text)


def selection_of(chosen: argparse.Namespace, source: Path) -> Selection:
    """The options as a selection from ``source``.

    Raises
    ------
    SettingsError
        A series or phase is asked of a volume file.
    """
    from ..volumes.dicom.reader import Selection
    from ..volumes.io import formats

    selection = Selection(chosen.series, chosen.phase)
    if selection != Selection() and source.is_file() and formats.is_volume_file(source):
        raise SettingsError(
            f"--series and --phase are for DICOM, and {source} is a volume file; of one that holds several volumes,"
            " `medsr enhance --volume N` refines one"
        )
    return selection
