"""Where a result goes: into a volume file, or into a DICOM series beside the one that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import VolumeError
from ...report import Report
from ..dicom.reader import ALL_PHASES, Selection, files_of_series
from ..volume import Volume
from . import files, formats


@dataclass(frozen=True)
class Destination:
    """An output that was checked; see `destination_of`.

    Parameters
    ----------
    source_files
        Files of the DICOM series that a new one derives from; empty where ``path`` is a volume file.
    """

    path: Path
    source_files: tuple[Path, ...]
    overwrite: bool

    def write(self, volume: Volume, report: Report, *, compress: bool = True) -> Report:
        """Write the result, all of it or nothing; gives the report, with warnings about the writing.

        Parameters
        ----------
        compress
            Whether a volume file is compressed; a DICOM series never is.

        Raises
        ------
        VolumeError
            See `files.write` and `dicom_output.write_series`.
        """
        if self.source_files:
            from ..dicom.derived.writer import write_series

            return write_series(volume, report, self.source_files, self.path)
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
    if overwrite and source.is_file() and output.exists() and output.samefile(source):
        raise VolumeError(f"{output} is the input itself, which is never replaced; choose another name for the result")
    is_series = source.is_dir() or (source.exists() and not formats.is_volume_file(source))
    if formats.suffix_of(output) is not None or not is_series:
        files.check_output(output, overwrite=overwrite)
        return Destination(output, (), overwrite)
    if selection is not None and selection.phase == ALL_PHASES:
        raise VolumeError(f"{output} is to be a DICOM series, which holds one volume; name a file for all, as .nii.gz")
    from ..dicom.derived.writer import check_output

    source_files = tuple(files_of_series(source, selection or Selection()))
    check_output(source_files, output)
    return Destination(output, source_files, overwrite)
