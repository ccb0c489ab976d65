"""Sessions of the viewer, one for each page in a browser, independent of each other."""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import SettingsError, SuperResolutionError, VolumeError
from ..settings import EnhanceSettings, arguments_of
from ..system import temp_dirs
from ..system.archive import unpack
from ..volumes.io import files, formats
from ..volumes.volume import Volume
from .comparison import Comparison
from .enhancement import CANCELLED, Enhancement

FOLDER_PREFIX = "medsr-view-"
_MOST_SESSIONS = 8
_CLOSED_SECONDS = 120  # browsers let a page in the background ask once a minute
_SILENT = "Ended for another page, because this one was silent for two minutes, as if it was closed. Enhance again."
_PART_OF_PAIR = re.compile(r"\.(hdr|img)(\.gz)?$", re.IGNORECASE)  # whose files both pass for a volume
_UPLOADS, _RUN = "uploads-", "run-"
_RESULT, _REPORT = "result.nii.gz", "report.json"


class SessionOver(SuperResolutionError):  # a normal end, not a failure
    """There is no session of this name, or it has been closed."""


class Session:
    """A volume, its enhancement, and the files of both.

    Parameters
    ----------
    folder : Path
        An empty folder for this session.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads = temp_dirs.private_folder(_UPLOADS, folder)
        self.comparison: Comparison | None = None
        self.run: Enhancement | None = None
        self.version = 0  # of the comparison
        self.asked = time.monotonic()  # the page's last request; while an enhancement runs, it asks again and again
        self._source: Path | None = None
        self._results: Path | None = None

    def upload_path(self, name: str) -> Path:
        """Path for an uploaded file; only the last part of its name is used, with plain characters."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", name.replace("\\", "/").rpartition("/")[2]).lstrip(".")[-100:]
        path = self.uploads / (plain or "file")
        return path if not path.exists() else self.uploads / f"{len(list(self.uploads.iterdir()))}-{path.name}"

    def begin_upload(self) -> None:
        """Begin the upload of another volume; the files of the shown one are kept until the new one is opened."""
        self.uploads = temp_dirs.private_folder(_UPLOADS, self.folder)
        self._remove_all_but(_UPLOADS, self.uploads, self._source)

    def open(self, path: Path, after: Path | None = None) -> None:
        """Show a volume, alone or with its result.

        Raises
        ------
        VolumeError
            A file cannot be read, or the two do not lie in the same place.
        """
        comparison = Comparison(files.read(path), files.read(after) if after else None)
        self.end_run()  # not before: a file that cannot be read ends nothing
        self.show(path, comparison)

    def open_uploads(self) -> None:
        """Show what was uploaded: a volume file, alone or with its data, or the files of a DICOM series; zipped or not.

        Raises
        ------
        VolumeError
            There are several volumes, or they cannot be read.
        """
        try:
            for path in [path for path in self.uploads.iterdir() if path.suffix.lower() == ".zip"]:
                unpack(path, self.uploads)
                path.unlink()
            volumes = sorted(path for path in self.uploads.iterdir() if formats.is_volume_file(path))
            if len({_PART_OF_PAIR.sub("", path.name) for path in volumes}) > 1:
                raise VolumeError(f"these are several volumes, {volumes[0].name} and others; choose one")
            self.open(volumes[0] if volumes else self.uploads)
        except VolumeError as problem:  # the user knows only the names of the files
            text = str(problem).replace(f"{self.uploads}{os.sep}", "the file ")
            for where in (f"the folder {self.uploads}", str(self.uploads)):
                text = text.replace(where, "what was uploaded")
            raise VolumeError(text) from problem
        self._remove_all_but(_UPLOADS, self.uploads)

    def show(self, path: Path, comparison: Comparison) -> None:
        """Show a comparison whose volume lies at ``path``."""
        self._source, self.comparison, self._results, self.run = path, comparison, None, None
        self.version += 1

    def enhance(self, settings: EnhanceSettings, modality: str | None = None) -> None:
        """Begin an enhancement of the volume, as an image of this modality; None takes that of the file.

        Raises
        ------
        SuperResolutionError
            There is no volume, or a run is under way, or the process cannot be started.
        """
        if self._source is None or self.comparison is None:
            raise SettingsError("there is no volume yet; open one first")
        if self.is_running:
            raise SettingsError("the enhancement is still running; cancel it first")
        self._remove_all_but(_RUN, self._results)
        folder = temp_dirs.private_folder(_RUN, self.folder)
        before = self.comparison.before
        outputs = [str(folder / _RESULT), "--report", str(folder / _REPORT)]
        stated = [] if modality is None else ["--modality", modality]
        arguments = [str(self._source.resolve()), *outputs, *stated, *arguments_of(settings)]
        self.run = Enhancement(arguments, folder, lambda: self._finish(before, folder, modality or before.modality))

    def _finish(self, before: Volume, folder: Path, modality: str | None) -> None:
        self.comparison = Comparison(before, replace(files.read(folder / _RESULT), modality=modality))
        self._results = folder
        self.version += 1

    def _remove_all_but(self, prefix: str, *kept: Path | None) -> None:
        for folder in self.folder.glob(f"{prefix}*"):
            if not any(path and path.is_relative_to(folder) for path in kept):
                temp_dirs.remove(folder)

    @property
    def is_running(self) -> bool:
        """Whether an enhancement is under way."""
        return self.run is not None and self.run.status == "running"

    def result(self, name: str) -> Path:
        """The file of the result, "result.nii.gz" or "report.json".

        Raises
        ------
        SuperResolutionError
            There is none.
        """
        if self._results is None or name not in (_RESULT, _REPORT):
            raise SuperResolutionError("there is no result yet; enhance a volume first")
        return self._results / name

    def state(self) -> dict[str, Any]:
        """State for the page, in plain types."""
        run = self.run
        return {  # the run first: it may finish meanwhile, and the page asks again only while it is running
            "run": {"status": run.status, "message": run.message, "part": run.part} if run else None,
            "version": self.version,
            "volume": self.comparison.described if self.comparison else None,
            "report": json.loads(self.result(_REPORT).read_text(encoding="utf-8")) if self._results else None,
        }

    def end_run(self, message: str = CANCELLED) -> None:
        """End the enhancement, if any; the message says why."""
        if self.run is not None:
            self.run.cancel(message)

    def close(self) -> None:
        """End the enhancement and remove all files."""
        self.end_run()
        temp_dirs.remove(self.folder)


class Sessions:
    """The sessions of a server. A ninth session replaces the oldest one without a running enhancement.

    Parameters
    ----------
    first : tuple of Path and Comparison, or None
        Volume that every new session shows.
    """

    def __init__(self, first: tuple[Path, Comparison] | None = None) -> None:
        self._first = first
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Session:
        """The session of a name; `SessionOver` where there is none."""
        found = self._sessions.get(name)  # once, because another thread may replace it
        if found is None:
            raise SessionOver("this session is over; open the volume again")
        found.asked = time.monotonic()
        return found

    def __iter__(self) -> Iterator[Session]:
        """All sessions, the oldest first."""
        return iter(list(self._sessions.values()))

    def new(self) -> str:
        """Make a session; return its random name.

        Raises
        ------
        SettingsError
            All sessions have a running enhancement.
        """
        with self._lock:
            if len(self._sessions) >= _MOST_SESSIONS:
                idle = next((name for name, one in self._sessions.items() if not one.is_running), None)
                if idle is None:
                    raise SettingsError(f"{_MOST_SESSIONS} enhancements are running; wait for one, or cancel it")
                self._sessions.pop(idle).close()
            name = secrets.token_urlsafe(16)
            self._sessions[name] = Session(temp_dirs.private_folder(FOLDER_PREFIX))
            if self._first:
                self._sessions[name].show(*self._first)
            return name

    def enhance(self, name: str, settings: EnhanceSettings, modality: str | None = None) -> None:
        """Begin the enhancement of a session. Only one runs at a time, because of memory.

        That of a closed page is ended for it.

        Raises
        ------
        SuperResolutionError
            See `Session.enhance`; or another session has a running enhancement.
        """
        with self._lock:
            wanted = self[name]
            for other in (one for one in self if one.is_running and one is not wanted):
                if time.monotonic() - other.asked < _CLOSED_SECONDS:
                    raise SettingsError(
                        "another page is enhancing; wait for it, or cancel it there; if that page was closed, try again"
                        f" in {_CLOSED_SECONDS // 60} minutes"
                    )
                other.end_run(_SILENT)
            wanted.enhance(settings, modality)

    def close(self) -> None:
        """Close all sessions."""
        for one in self:
            with suppress(OSError):
                one.close()
        self._sessions.clear()
