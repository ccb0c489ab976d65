"""Destinations of a result: a volume file, or a DICOM series derived from the source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import VolumeError
from ...report import Report
from ..dicom.reader import ALL_PHASES, Selection, files_of_series
from ..volume import Volume
from . import files, formats, output_files


@dataclass(frozen=True)
class Destination:
    """An output that was checked; see `destination_of`.

    Parameters
    ----------
    source_files
        Files of the DICOM series that a new one derives from; empty where ``path`` is a volume file.
    phase
        Which of several volumes of that series was selected, from 1.
    """

    path: Path
    source_files: tuple[Path, ...]
    overwrite: bool
    phase: int | None = None

    def write(self, volume: Volume, report: Report, *, compress: bool = True) -> Report:
        """Write the result completely or not at all; returns the report, with warnings about the writing.

        Parameters
        ----------
        compress
            Whether a volume file is compressed; a DICOM series never is.

        Raises
        ------
        VolumeError
            See `files.write` and `derived.writer.write_series`.
        """
        if self.source_files:
            from ..dicom.derived.writer import write_series

            return write_series(volume, report, self.source_files, self.path, phase=self.phase)
        files.write(volume, self.path, overwrite=self.overwrite, compress=compress)
        return report


def destination_of(
    source: Path, output: Path, selection: Selection | None = None, *, overwrite: bool = False
) -> Destination:
    """A DICOM series where the source is one and the output has no suffix of a volume file; else a volume file.

    Parameters
    ----------
    overwrite
        Replace a file. A DICOM series is never written over another.

    Raises
    ------
    VolumeError
        The output could not be written.
    """
    check_apart([output], [source])
    if formats.suffix_of(output) is not None or not formats.is_series(source):
        output_files.check_output(output, overwrite=overwrite)
        return Destination(output, (), overwrite)
    phase = selection.phase if selection else None
    if phase == ALL_PHASES:
        raise VolumeError(f"{output} is to be a DICOM series, which holds one volume; name a file for all, as .nii.gz")
    from ..dicom.derived.writer import check_output

    source_files = tuple(files_of_series(source, selection or Selection()))
    check_output(source_files, output)
    return Destination(output, source_files, overwrite, phase if isinstance(phase, int) else None)


def check_apart(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse, before any work is done, outputs that would replace a file that is read, or each other.

    Parameters
    ----------
    outputs, inputs
        Paths of a command; None is one that was not given. Inputs that are folders are not checked, because a series is
        never overwritten.

    Raises
    ------
    VolumeError
        See above; a command that may overwrite files may not overwrite these.
    """
    read = [(file, source) for source in inputs if source and source.is_file() for file in _files_of(source)]
    written: list[Path] = []
    for output in filter(None, outputs):
        made = output_files.written_as(output)
        for file, source in read:
            if any(_is_same(file, one) for one in made):
                raise VolumeError(f"{output} would replace the input {source}; choose another name for the result")
        if any(_is_same(one, other) for one in made for other in written):
            raise VolumeError(f"{output} cannot hold two results; name a file for each")
        written += made


def _files_of(source: Path) -> set[Path]:
    return {source, formats.header_of(source).voxels.file} if len(output_files.written_as(source)) > 1 else {source}


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
