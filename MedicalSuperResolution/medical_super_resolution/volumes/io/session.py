"""Whether DICOM series belong to one patient and one frame of reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import VolumeError
from ..dicom.reader import files_of_series

_SAME = {"PatientID": "patients", "FrameOfReferenceUID": "frames of reference"}


def check_one_session(paths: Sequence[Path]) -> None:
    """Refuse series of different patients or frames of reference; volume files name neither and are not checked.

    Raises
    ------
    VolumeError
        Two series differ.
    """
    import pydicom

    series = [path for path in paths if path.is_dir()]
    headers = [
        pydicom.dcmread(files_of_series(path)[0], stop_before_pixels=True, specific_tags=list(_SAME)) for path in series
    ]
    for tag, what in _SAME.items():
        found = {str(header.get(tag, "")) for header in headers} - {""}
        if len(found) > 1:
            raise VolumeError(
                f"the series are of different {what}; fuse stacks of one session, or add --force-frame if they are"
            )
