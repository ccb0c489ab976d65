"""Damages valid files in many ways and reads them: `python Testing/Python/fuzz_readers.py --seconds 60`.

Every file must be read or refused in one sentence: no other exception, no crash, no hang, no memory beyond a limit.
Files that break the rule are kept. Reading happens in a child process, so that a crash is seen and survived.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import os
import random
import re
import select
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import torch
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from dicom_files import write_series
from dicom_kinds import enhanced, image, save
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.volume import Volume

MOSAIC = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / "siemens_dwi_0.dcm.gz"
HANG_SECONDS = 20
MEMORY_MB = 400  # more than before the first file
_CASES_A_CHILD = 400
_NUMBERS = (
    b"0",
    b"-1",
    b"3.5",
    b"65535",
    b"2147483647",
    b"4294967296",
    b"1000000000000",
    b"1e308",
    b"nan",
    b"inf",
    b"",
)
_FIELDS = [struct.pack(*pair) for pair in (
    ("<h", -1), ("<h", 32767), ("<i", -1), ("<i", 2**31 - 1), ("<q", 2**62), ("<f", float("nan")),
    ("<f", float("inf")), ("<f", 1e30), ("<f", -5.0), ("<d", 1e300), ("<h", 0), ("<h", 1024), ("<i", 0),
)]  # fmt: skip


def write_seeds(folder: Path) -> list[Path]:
    """Good files of every format; a folder stands for a DICOM series."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 1000, (4, 6, 5))
    seeds = []
    for suffix in formats.SUFFIXES:
        for dtype, compress in (("int16", True), ("float32", False)):
            home = folder / f"{suffix[1:]}-{dtype}"
            home.mkdir()
            seeds.append(home / f"scan{suffix}")
            files.write(Volume(noise.astype(dtype), Grid((4, 6, 5), np.eye(4))), seeds[-1], compress=compress)
    write_series(folder / "dicom", noise.astype(np.int16))
    save(enhanced(noise.astype(np.uint16), [(0, 0, 3.0 * k) for k in range(4)]), folder / "enhanced" / "all.dcm")
    config = ThroughPlaneConfig(channels=4, blocks=1, pairs=1, gate_channels=2, kernel_hidden=4)
    torch.manual_seed(0)
    (folder / "model").mkdir()
    seeds += [folder / "dicom", folder / "enhanced", *_read_only_seeds(folder, noise.astype(np.int16))]
    seeds.append(folder / "model" / "tiny.safetensors")
    models.save(seeds[-1], "through-plane", ThroughPlaneGenerator(config), {"trained_for": {"modalities": ["ct"]}})
    return seeds


def _read_only_seeds(folder: Path, values: np.ndarray) -> list[Path]:
    """Good files of the formats that are read and not written."""
    tilted, seeds = np.diag([1, 1, 2, 1.0]), []
    tilted[1, 2] = 0.5
    kinds = {"pair.hdr": nibabel.Nifti1Pair, "two.nii": nibabel.Nifti2Image, "scan.mgz": nibabel.MGHImage}
    for name, kind in kinds.items():
        made = kind(values.T, tilted)
        if kind is not nibabel.MGHImage:
            made.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a comment"))
        (folder / name.replace(".", "-")).mkdir()
        seeds.append(folder / name.replace(".", "-") / name)
        nibabel.save(made, seeds[-1])
    (folder / "bzip2").mkdir()
    seeds.append(folder / "bzip2" / "scan.seg.nrrd")
    header = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 5 6 4\nendian: little\nencoding: bzip2\nSegment0_ID:=one\n\n"
    seeds[-1].write_bytes(header + bz2.compress(values.astype("<i2").tobytes()))
    for syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        seeds.append(folder / syntax.name.replace(" ", "-"))
        for k, plane in enumerate(values):
            made = image(plane.astype(">i2" if syntax == ExplicitVRBigEndian else "<i2"), (0, 0, 5 * k))
            made.file_meta.TransferSyntaxUID = syntax
            save(made, seeds[-1] / f"{k}.dcm")
    for step in (0, 1, 3, 4):  # tilted, and one is missing
        save(image(values[step - (step > 1)], (0, 0.5 * step, 3.0 * step)), folder / "uneven" / f"{step}.dcm")
    for number in range(8):
        made = image(values[number % 4], (0, 0, 3.0 * (number % 4)), ScanOptions=f"OPTION {number // 4}")
        save(made, folder / "phases" / f"{number}.dcm")
    seeds += [folder / "uneven", folder / "phases"]
    (folder / "zip").mkdir()
    seeds.append(Path(shutil.make_archive(str(folder / "zip" / "scan"), "zip", folder / "dicom")))
    if MOSAIC.is_file():
        (folder / "mosaic").mkdir()
        (folder / "mosaic" / "0.dcm").write_bytes(gzip.decompress(MOSAIC.read_bytes()))
        seeds.append(folder / "mosaic")
    return seeds


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A few of the many ways in which a file can be wrong."""
    is_packed = content[:2] == b"\x1f\x8b" and chance.random() < 0.7
    if is_packed:
        content = gzip.decompress(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = chance.choice(_WAYS)(bytearray(content), chance)
    return gzip.compress(content, 1) if is_packed else content


def _anywhere(content: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(content)) if chance.random() < 0.3 else _in_header(content, chance)


def _in_header(content: bytearray, chance: random.Random) -> int:
    return chance.randrange(max(1, min(len(content), 400)))


def _flip(content: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 3, 16))):
        if content:
            content[_anywhere(content, chance)] ^= 1 << chance.randrange(8)
    return bytes(content)


def _cut(content: bytearray, chance: random.Random) -> bytes:
    return bytes(content[: chance.randrange(len(content) + 1)])


def _insert(content: bytearray, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) + 1)
    return bytes(content[:place] + chance.randbytes(chance.choice((1, 7, 300))) + content[place:])


def _double(content: bytearray, chance: random.Random) -> bytes:
    start, stop = sorted(chance.randrange(min(len(content), 2000) + 1) for _ in range(2))
    return bytes(content[:stop] + content[start:stop] + content[stop:])


def _renumber(content: bytearray, chance: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(content[:3000])))
    if not found:
        return bytes(content)
    one = chance.choice(found)
    return bytes(content[: one.start()] + chance.choice(_NUMBERS) + content[one.end() :])


def _refill(content: bytearray, chance: random.Random) -> bytes:
    field = chance.choice(_FIELDS)
    place = _in_header(content, chance) // 2 * 2
    content[place : place + len(field)] = field
    return bytes(content)


def _reword(content: bytearray, chance: random.Random) -> bytes:
    words = list(re.finditer(rb"[A-Za-z_]{3,}", bytes(content[:3000])))
    if not words:
        return bytes(content)
    one, other = chance.choice(words), chance.choice(words)
    return bytes(content[: one.start()] + other.group() + content[one.end() :])


def _redirect(content: bytearray, chance: random.Random) -> bytes:
    name = chance.choice((b"/dev/zero", b"LIST", b"../scan.raw", b"%03d.raw 1 4 1", b"pipe", b"LOCAL", b"~/x", b"\xff"))
    return re.sub(rb"((?:ElementDataFile =|data file:) )[^\n]*", lambda found: found[1] + name, bytes(content))


_WAYS: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    _flip, _flip, _cut, _insert, _double, _renumber, _renumber, _refill, _refill, _reword, _redirect,
)  # fmt: skip


def write_case(seed: Path, number: int, folder: Path) -> Path:
    """A damaged copy of a seed, the same one for the same number."""
    chance = random.Random(number)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(seed if seed.is_dir() else seed.parent, folder)
    if seed.is_dir():
        victims, case = sorted(folder.iterdir())[: chance.choice((1, 4))], folder
    else:
        case = folder / seed.name
        victims = [case] if chance.random() < 0.85 else [max(folder.iterdir())]
        os.mkfifo(folder / "pipe")
    for victim in victims:
        victim.write_bytes(damaged(victim.read_bytes(), chance))
    return case


def outcome(case: Path) -> str:
    """The outcome of one file: "read", "refused", or an unexpected failure."""
    try:
        if case.suffix == store.SUFFIX:
            models.load(case)
        else:
            home = case if case.is_dir() else case.parent
            files.write(files.read(case), home / "again.nii", overwrite=True, compress=False)
    except SuperResolutionError as problem:
        sentence = str(problem)
        return "refused" if "\n" not in sentence and len(sentence) < 1000 else f"odd sentence {sentence[:200]!r}"
    except Exception as problem:  # this is what is looked for
        return f"leaked {type(problem).__name__}: {str(problem)[:200]}"
    return "read"


def _work(seeds: list[Path], numbers: range, folder: Path, results: int) -> None:
    """In the child: one line of JSON for every case."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in numbers:
        case = write_case(seeds[number % len(seeds)], number, folder)
        said = outcome(case)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        said = f"took {more} MB" if more > MEMORY_MB else said
        os.write(results, json.dumps([number, said, more]).encode() + b"\n")
        if more > MEMORY_MB:
            break
    os._exit(0)


def _batch(seeds: list[Path], numbers: range, folder: Path) -> list[tuple[int, str, int]]:
    """Results of the cases that one child has read; the last one is a crash or a timeout where it failed."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _work(seeds, numbers, folder, write_end)
    os.close(write_end)
    text, hung = b"", False
    while True:
        if not select.select([read_end], [], [], HANG_SECONDS)[0]:
            hung = True
            os.kill(child, 9)
            break
        if not (part := os.read(read_end, 1 << 16)):
            break
        text += part
    os.close(read_end)
    _, status = os.waitpid(child, 0)
    results = [tuple(json.loads(line)) for line in text.splitlines()]
    if status:
        next_one = results[-1][0] + 1 if results else numbers.start
        results.append((next_one, "hung" if hung else f"crashed with signal {status & 127}", 0))
    return results


def run(*, seconds: float, count: int, first: int = 0, keep: Path | None = None) -> dict[str, object]:
    """Fuzz until the time is over or ``count`` files were read; the figures, with every failure."""
    began, number, figures, failures, memory = time.monotonic(), first, Counter(), [], 0
    with tempfile.TemporaryDirectory() as name:
        seeds, folder = write_seeds(Path(name) / "seeds"), Path(name) / "case"
        while number < first + count and time.monotonic() - began < seconds:
            results = _batch(seeds, range(number, min(number + _CASES_A_CHILD, first + count)), folder)
            for case, said, more in results:
                figures[said if said in ("read", "refused") else "failed"] += 1
                memory = max(memory, more)
                if said not in ("read", "refused"):
                    seed = seeds[case % len(seeds)]
                    failures.append(f"{case} ({seed.parent.name}/{seed.name}): {said}")
                    if keep:
                        write_case(seed, case, keep / str(case))
            number = results[-1][0] + 1
    return {"seconds": round(time.monotonic() - began, 1), **figures, "most_memory_mb": memory, "failures": failures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--first", type=int, default=0, help="number of the first file; the same number, the same file")
    parser.add_argument("--keep", type=Path, help="folder for the files that break the rule")
    found = run(**vars(parser.parse_args()))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    sys.exit(bool(found["failures"]))
