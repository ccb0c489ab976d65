"""medsr: enhance, compare and describe medical volumes. For research. Not for diagnosis."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import Cancelled, SuperResolutionError
from ..settings import EnhanceSettings
from ..system.memory import keep_freed_blocks, peak_mb, return_freed_blocks
from ..system.parent_watchdog import end_with_parent
from ..system.temp_dirs import work_folder
from . import parser as arguments
from .terminal import progress_of_kind, quiet_when_unread

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ..volumes.io.writers import Destination
    from ..volumes.memmap import Allocator

_CANCELLED_EXIT = 130


@quiet_when_unread
def main(typed: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 known failure, 2 usage, 130 interrupted, 141 unread."""
    chosen = arguments.parser(__doc__).parse_args(typed)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _VERBS[chosen.verb](chosen)
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


def _enhance(chosen: argparse.Namespace) -> None:
    if chosen.end_with_parent:
        end_with_parent()
    settings = arguments.settings(chosen)

    from ..volumes.io import files
    from ..volumes.io import writers as destinations

    destination = destinations.destination_of(chosen.input, chosen.output, overwrite=chosen.overwrite)
    _check_report(chosen.report, chosen.output, chosen.overwrite)
    if chosen.uncertainty:
        files.check_output(chosen.uncertainty, overwrite=chosen.overwrite)
        if chosen.uncertainty.resolve() == chosen.output.resolve():
            raise SuperResolutionError(
                f"{chosen.output} cannot hold both the volume and its uncertainty; name two files"
            )
    keep_freed_blocks()
    with _allocator(chosen, settings) as allocator:
        _enhance_in(allocator, chosen, settings, destination)


@contextmanager
def _allocator(chosen: argparse.Namespace, settings: EnhanceSettings) -> Iterator[Allocator | None]:
    """Allocator on the disk for a volume and its result, where they do not fit into memory."""
    from ..inference.planning import fits_memory, plan
    from ..volumes.io import files
    from ..volumes.memmap import disk_allocator

    known = files.header(chosen.input) if files.suffix_of(chosen.output) else None
    try:
        fits = known is None or fits_memory(plan(known[0], settings), known[1].itemsize, settings)
    except SuperResolutionError:
        fits = True  # the engine will say what is wrong
    if fits:
        yield None
        return
    if settings.uncertainty:
        raise SuperResolutionError(
            "the uncertainty of a volume that does not fit into memory cannot be computed; crop the volume,"
            " or allow more by --max-memory"
        )
    with disk_allocator(chosen.output.parent) as allocator:
        yield allocator


def _enhance_in(
    allocator: Allocator | None, chosen: argparse.Namespace, settings: EnhanceSettings, destination: Destination
) -> None:
    from ..volumes.io import files

    started = time.monotonic()
    volume = files.read_large(chosen.input, allocator) if allocator else files.read(chosen.input)
    read_seconds = time.monotonic() - started
    if chosen.modality:
        volume = replace(volume, modality=chosen.modality)

    from ..inference.enhance import enhance
    from ..models import file as models
    from ..models import weight_interpolation as sharpness

    model = sharpness.load(models.find(settings.model), settings.sharpness)
    progress = progress_of_kind(chosen.progress)
    enhanced = enhance(volume, model, settings, progress, allocator=allocator)
    return_freed_blocks()
    started = time.monotonic()
    done = destination.write(enhanced.volume, enhanced.report)
    write_seconds = time.monotonic() - started
    if enhanced.uncertainty:
        files.write(enhanced.uncertainty, chosen.uncertainty, overwrite=chosen.overwrite)
    report = done.as_dict()
    report["stages"] = {"read": round(read_seconds, 3), **report["stages"], "write": round(write_seconds, 3)}
    report["peak_memory_mb"] = peak_mb()
    report["input_sha256"] = _voxels_sha256(volume.array)
    if chosen.report:
        _write_report(chosen.report, report)
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if chosen.progress != "none":
        kept = (
            f"measured slices reproduced to {report['consistency_error_rms']:.3g} RMS"
            if settings.consistency
            else "done"
        )
        print(
            f"{enhanced.volume.grid.described()}, {report['seconds']:.1f} s, {kept}: {chosen.output}", file=sys.stderr
        )


def _compare(chosen: argparse.Namespace) -> None:
    from ..volumes.io import files
    from .figures import compare

    volumes = [files.read(path) for path in (chosen.before, chosen.after, chosen.reference) if path]
    for line in compare(*volumes, output=chosen.output):
        print(line)
    print(chosen.output)


def _info(chosen: argparse.Namespace) -> None:
    from ..inference.planning import estimate, plan
    from ..volumes.intensity import guess_modality
    from ..volumes.io import files

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

    settings = EnhanceSettings(device=chosen.device, precision=chosen.precision, threads=chosen.threads)
    facts = run(chosen.model, settings, side=chosen.side, slices=chosen.slices)
    print(json.dumps(facts, indent=1) if chosen.json else "\n".join(described(facts)))


def _models(chosen: argparse.Namespace) -> None:
    if chosen.file:
        _import(chosen.file, chosen.sha256)
        return

    from ..models import file as models
    from ..models.card import described

    for path in models.installed():
        print("\n".join(described(path)))


def _import(file: Path, sha256: str | None) -> None:
    from ..models.importing import import_model

    imported = import_model(file, sha256)

    from ..models.card import described

    print("\n".join(described(imported.path)))
    if not imported.was_compared:
        print(
            "warning: there was no checksum to compare with; compare the sha256 above with the published one",
            file=sys.stderr,
        )


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


def _voxels_sha256(array: Any) -> str:  # noqa: ANN401 - numpy is not imported at the start of the program
    import hashlib

    from ..volumes.memmap import slabs

    digest = hashlib.sha256()
    for part in slabs(array):
        digest.update(part.tobytes())
    return digest.hexdigest()


_VERBS = {"enhance": _enhance, "compare": _compare, "info": _info, "benchmark": _benchmark, "models": _models}
