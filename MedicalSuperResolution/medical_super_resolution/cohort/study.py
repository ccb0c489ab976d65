"""One study of a cohort as a worker processes it, with a record by which a later run verifies the result.

The result is written first, whole or not at all, then its record. If a worker is killed before it writes the record,
the study is processed again. Only workers import torch: the process that schedules studies starts without it.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import shutil
import socket
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, VolumeError
from ..system.checksum import digest_of
from ..system.identity import __version__
from ..system.temp_dirs import write_whole
from ..volumes.io.formats import stem_of
from .discovery import STATE, Item
from .preview import Preview
from .table import Row
from .task import Batch

if TYPE_CHECKING:
    from ..models.file import Model

# Settings without influence on a result: how it is computed, and the name of the model (its SHA-256 counts).
_LEFT_OUT = ("model", "device", "threads", "memory_gb")
_one_at_a_time = threading.Lock()  # a worker may have several threads, and the engine uses all of them for one study


def run_study(batch: Batch, item: Item) -> Row:
    """Enhance one study on a worker, or verify an earlier result (status "kept"); a failure also gives a row.

    Parameters
    ----------
    batch : Batch
        The settings. The output folder belongs to the cohort, so results without a record are replaced.
    item : Item
        The study.

    Raises
    ------
    VolumeError
        This computer does not see the folders of the cohort.
    ModelError
        The model cannot be loaded here.
    """
    from .batch import enhance_item

    _check_folders(batch)
    with _one_at_a_time:
        model = _model(batch.settings.model, batch.settings.detail)
        asked = _asked(batch, item, model)
        path = record_of(batch.output, item.name)
        if known := _verified(path, asked, batch.output):
            return replace(known, status="kept")
        begun = _attempts(batch.output, item.name)
        begun.parent.mkdir(parents=True, exist_ok=True)
        with begun.open("ab") as marks:
            marks.write(b".")
        path.unlink(missing_ok=True)
        output = batch.output / item.name
        if item.selection is not None and item.name != "." and output.is_dir():
            shutil.rmtree(output)
        preview = Preview(thumbnail_of(batch.output, item.name))
        row = enhance_item(replace(batch, overwrite=True, skip_existing=False), item, model, inspect=preview)
        row = replace(row, uncertainty=preview.uncertainty)
        if row.status == "done":
            path.parent.mkdir(parents=True, exist_ok=True)
            record = {"row": asdict(row), "asked": asked, "files": _digests(output, batch.output)}
            write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
        begun.unlink(missing_ok=True)  # a cohort that was killed and resumed at once forgot it
        return row


def _check_folders(batch: Batch) -> None:
    """Refuse a computer with folders of its own under the names of the cohort's, which would keep its results."""
    for folder, seen in ((batch.folder, _holds_any(batch.folder)), (batch.output, (batch.output / STATE).is_dir())):
        if not seen:
            raise VolumeError(
                f"the worker on {socket.gethostname()} does not see what is in the folder {folder}; mount it there, or"
                " choose folders that all computers share, and continue with --resume"
            )


def _holds_any(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def attempts_of(batch: Batch, item: Item) -> int:
    """Number of workers that died while processing a study since the output folder was opened."""
    try:
        return _attempts(batch.output, item.name).stat().st_size
    except OSError:  # there is none
        return 0


def forget_attempts(output: Path) -> None:
    """Reset `attempts_of`: workers that an interrupted cohort ended did not die of their study."""
    shutil.rmtree(output / STATE / "attempts", ignore_errors=True)


def _attempts(output: Path, name: str) -> Path:
    return output / STATE / "attempts" / _label(name)


def record_of(output: Path, name: str) -> Path:
    """The file that marks a study as done; ``name`` is that of its result in the folder ``output``."""
    return output / STATE / "records" / f"{_label(name)}.json"


def thumbnail_of(output: Path, name: str) -> Path:
    """The picture of a study before and after; see `record_of`."""
    return output / STATE / "thumbnails" / f"{_label(name)}.png"


def _label(name: str) -> str:
    return hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:20]


@functools.lru_cache(maxsize=1)
def _model(name: str, detail: float) -> Model:
    from ..models.weight_interpolation import load_model

    return load_model(name, detail)


def _asked(batch: Batch, item: Item, model: Model) -> dict[str, Any]:
    """Everything that a result depends on; the input is represented by sizes and times of its files."""
    stats = [path.stat() for path in item.files or _files_of(item.source)]
    settings = {name: value for name, value in asdict(batch.settings).items() if name not in _LEFT_OUT}
    asked = {
        "software": __version__,
        "model": [model.sha256, model.detail_sha256],
        "settings": settings,
        "options": [batch.modality, batch.keep_tilt, batch.compress],
        "selection": _label(str(item.selection)),  # the name of a result may come to be that of another series
        "input": [len(stats), sum(one.st_size for one in stats), max((one.st_mtime_ns for one in stats), default=0)],
    }
    return dict(json.loads(json.dumps(asked)))  # lists in place of tuples, as in JSON


def _digests(output: Path, folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a result, by name relative to a folder."""
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in _files_of(output)}


def _files_of(path: Path) -> list[Path]:
    """The files in and below a folder, or a file with those beside it under its name."""
    found = path.rglob("*") if path.is_dir() else path.parent.glob(f"{glob.escape(stem_of(path).name)}.*")
    return sorted(one for one in found if one.is_file())


def _verified(path: Path, asked: dict[str, Any], folder: Path) -> Row | None:
    """The row of a record whose result has the same inputs and is unchanged; None if there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        row, files = Row(**record["row"]), record["files"]
        is_same = record["asked"] == asked and bool(files)
        if is_same and all(digest_of(folder / name) == digest for name, digest in files.items()):
            return row
    except (OSError, ValueError, KeyError, TypeError, ModelError):  # none, one of an older version, or a missing file
        pass
    return None
