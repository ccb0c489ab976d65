"""medsr: enhance, compare and describe medical volumes. For research. Not for diagnosis."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from .errors import Cancelled, SuperResolutionError
from .leftovers import work_folder
from .process_memory import peak_mb
from .settings import DEVICES, PROFILES, EnhanceSettings
from .terminal import progress_of_kind

_CANCELLED_EXIT = 130
_OUTPUT_HELP = ".nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, or for a DICOM series a folder, new or empty"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 known failure, 2 usage, 130 interrupted."""
    chosen = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        chosen.run(chosen)
    except SuperResolutionError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: the computer ran out of memory; crop the volume or ask for a smaller factor", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Cancelled):
        print("stopped; nothing was written", file=sys.stderr)
        return _CANCELLED_EXIT
    return 0


def _interrupt(signal_number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medsr", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

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
        help="also write how far mirror images of the scan differ; 8x the time",
    )
    enhance.add_argument("--report", type=Path, metavar="FILE.json", help="write down what was done")
    enhance.add_argument("--overwrite", action="store_true", help="replace OUTPUT and the report where they exist")
    enhance.add_argument("--progress", choices=("auto", "json", "none"), default="auto", help="how to show progress")
    enhance.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)
    enhance.set_defaults(run=_enhance)

    compare = verbs.add_parser("compare", help="draw before, after and their difference")
    compare.add_argument("before", type=Path, metavar="BEFORE")
    compare.add_argument("after", type=Path, metavar="AFTER")
    compare.add_argument("reference", type=Path, nargs="?", metavar="REFERENCE", help="the true fine volume, if known")
    compare.add_argument("-o", "--output", type=Path, required=True, metavar="PICTURE.png")
    compare.set_defaults(run=_compare)

    info = verbs.add_parser("info", help="describe a volume, and what enhance would do with it")
    info.add_argument("volume", type=Path, metavar="VOLUME")
    info.set_defaults(run=_info)

    benchmark = verbs.add_parser("benchmark", help="measure speed and memory on this machine")
    benchmark.add_argument("--device", choices=DEVICES, default="auto")
    benchmark.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: all")
    benchmark.add_argument("--model", default=EnhanceSettings().model, metavar="NAME|FILE")
    benchmark.add_argument("--side", type=int, default=256, help="rows and columns of the volume; default: %(default)s")
    benchmark.add_argument("--slices", type=int, default=32, help="measured slices; default: %(default)s")
    benchmark.add_argument("--json", action="store_true", help="print JSON")
    benchmark.set_defaults(run=_benchmark)

    models = verbs.add_parser("models", help="list the installed models with their cards")
    models.set_defaults(run=_models)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    standard = EnhanceSettings()
    parser.add_argument("--factor", type=float, metavar="F", help="how many times finer, above 1 and at most 8")
    parser.add_argument(
        "--axes", default=standard.axes, help="through-plane (default), in-plane, or letters of ijk such as k or ij"
    )
    parser.add_argument("--spacing", type=float, nargs=3, metavar=("I", "J", "K"), help="target spacing in mm instead")
    parser.add_argument("--model", default=standard.model, metavar="NAME|FILE", help="default: %(default)s")
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
        "--max-memory", type=float, default=standard.memory_gb, metavar="GB",
        help="working memory beside input and output; default: %(default)s",
    )  # fmt: skip


def _settings(chosen: argparse.Namespace) -> EnhanceSettings:
    return EnhanceSettings(
        factor=chosen.factor,
        axes=chosen.axes,
        spacing_ijk_mm=tuple(chosen.spacing) if chosen.spacing else None,
        slice_thickness_mm=chosen.slice_thickness,
        slice_profile=chosen.slice_profile,
        model=chosen.model,
        consistency=not chosen.no_consistency,
        device=chosen.device,
        threads=chosen.threads,
        memory_gb=chosen.max_memory,
    )


def _enhance(chosen: argparse.Namespace) -> None:
    if chosen.end_with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    settings = _settings(chosen)

    from .volumes import destinations, files

    destination = destinations.destination_of(chosen.input, chosen.output, overwrite=chosen.overwrite)
    _check_report(chosen.report, chosen.output, chosen.overwrite)
    if chosen.uncertainty:
        files.check_output(chosen.uncertainty, overwrite=chosen.overwrite)
    volume = files.read(chosen.input)
    if chosen.modality:
        volume = replace(volume, modality=chosen.modality)

    from . import models
    from .inference import enhance

    model = models.load(models.find(settings.model))
    progress = progress_of_kind(chosen.progress)
    enhanced = enhance(volume, model, settings, progress, uncertainty=chosen.uncertainty is not None)
    done = destination.write(enhanced.volume, enhanced.report)
    if enhanced.uncertainty:
        files.write(enhanced.uncertainty, chosen.uncertainty, overwrite=chosen.overwrite)
    report = done.as_dict()
    report["peak_memory_mb"] = peak_mb()
    report["input_sha256"] = _voxels_sha256(volume.array)
    if chosen.report:
        _write_report(chosen.report, report)
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if chosen.progress != "none":
        kept = f"measured slices reproduced to {report['residual_rms']:.3g} RMS" if settings.consistency else "done"
        print(
            f"{enhanced.volume.grid.described()}, {report['seconds']:.1f} s, {kept}: {chosen.output}", file=sys.stderr
        )


def _compare(chosen: argparse.Namespace) -> None:
    from .pictures import compare
    from .volumes import files

    volumes = [files.read(path) for path in (chosen.before, chosen.after, chosen.reference) if path]
    for line in compare(*volumes, output=chosen.output):
        print(line)
    print(chosen.output)


def _info(chosen: argparse.Namespace) -> None:
    from .planning import estimate, plan
    from .volumes import files
    from .volumes.intensity import guess_modality

    volume = files.read(chosen.volume)
    grid = volume.grid
    said = "" if volume.modality else " (guessed from the values)"
    print(f"size and spacing    {grid.described()}")
    print(f"values              {volume.array.dtype}, {volume.array.min():g} to {volume.array.max():g}")
    print(f"modality            {(volume.modality or guess_modality(volume.array)).upper()}{said}")
    thickness = f"{volume.slice_thickness_mm:g} mm" if volume.slice_thickness_mm else "not stated; taken as no gap"
    print(f"through-plane axis  {grid.through_plane_axis}, slice thickness {thickness}")
    try:
        planned = plan(grid, EnhanceSettings())
    except SuperResolutionError as problem:
        print(f"medsr enhance       {problem}")
        return
    cost = estimate(planned, volume.array.dtype.itemsize, EnhanceSettings())
    print(f"medsr enhance       {planned.target.described()} ({planned.passes[0].factor:.3g} times finer)")
    print(f"output              {cost.output_mb:.0f} MB uncompressed, {cost.memory_gb:.1f} GB of memory")
    print(f"time                about {cost.cpu_seconds:.0f} s on {cost.threads} CPU threads")


def _benchmark(chosen: argparse.Namespace) -> None:
    from .benchmark import described, run

    facts = run(chosen.model, chosen.device, side=chosen.side, slices=chosen.slices, threads=chosen.threads)
    print(json.dumps(facts, indent=1) if chosen.json else "\n".join(described(facts)))


def _models(chosen: argparse.Namespace) -> None:
    from . import models
    from .cards import described

    for path in models.installed():
        print("\n".join(described(path)))


def _check_report(path: Path | None, output: Path, overwrite: bool) -> None:
    if path is None:
        return
    if path.resolve() == output.resolve():
        raise SuperResolutionError(
            f"{path} cannot hold both the volume and the report; name another file for the report"
        )
    if path.is_dir():
        raise SuperResolutionError(f"{path} is a folder; name a file")
    if path.exists() and not overwrite:
        raise SuperResolutionError(f"{path} exists already; add --overwrite to replace it, or choose another name")
    if not path.parent.is_dir():
        raise SuperResolutionError(f"the folder {path.parent} does not exist; make it first")


def _write_report(path: Path, report: dict[str, Any]) -> None:
    try:
        with work_folder(path.parent) as folder:
            (folder / path.name).write_text(json.dumps(report, indent=1) + "\n")
            (folder / path.name).replace(path)
    except OSError as problem:
        raise SuperResolutionError(f"the report {path} could not be written: {problem.strerror}") from problem


def _end_with_parent() -> None:
    """Wait for the end of standard input, which comes when the parent process is gone, then end at once."""
    while os.read(0, 1):  # not sys.stdin, whose lock would be held when Python ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _voxels_sha256(array: Any) -> str:  # noqa: ANN401 - numpy is not imported at the start of the program
    import hashlib

    digest = hashlib.sha256()
    for plane in array:
        digest.update(plane.tobytes())
    return digest.hexdigest()
