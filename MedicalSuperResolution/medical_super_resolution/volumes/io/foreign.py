"""Names of unsupported file formats, for the error message."""

from __future__ import annotations

from pathlib import Path

from ...errors import VolumeError

READ = "NIfTI, NRRD, MetaImage, FreeSurfer .mgz and DICOM"
_MAGIC = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cjP", "a JPEG 2000 picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"II+\0", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "HDF5 (MINC 2, which mnc2nii converts, or a MATLAB file)"),
    (b"CDF\x01", "NetCDF (MINC 1, which mnc2nii converts)"),
    (b"CDF\x02", "NetCDF (MINC 1, which mnc2nii converts)"),
    (b"# vtk", "a VTK file"),
    (b"<VTKFile", "a VTK file"),
    (b"<?xml", "an XML file (GIFTI, VTK, or a report)"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"solid ", "an STL surface"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"\x1f\x8b", "packed by gzip; unpack it first"),
    (b"BZh", "packed by bzip2; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd; unpack it first"),
    (b"\x93NUMPY", "a NumPy array; give it its spacing in Python"),
    (b"MATLAB", "a MATLAB file"),
    (b"NRRD", "NRRD under the name of another format; rename it"),
    (b"ObjectType", "MetaImage under the name of another format; rename it"),
    (b"SIMPLE  =", "a FITS file"),
    (b"version https://git-lfs", "a pointer of git-lfs; fetch the file itself first"),
    (b"/annex/objects", "a pointer of git-annex; fetch the file itself first"),
    (b"# === DATA DESCRIPTION FILE", "Philips PAR/REC; convert it by dcm2niix"),
    (b"ENVI", "ENVI"),
    (b"mrtrix image", "MRtrix; convert it by mrconvert"),
)
_NAMES = {
    ".par": "Philips PAR/REC; convert it by dcm2niix",
    ".rec": "Philips PAR/REC; convert it by dcm2niix",
    ".head": "AFNI; convert it by 3dAFNItoNIFTI",
    ".brik": "AFNI; convert it by 3dAFNItoNIFTI",
    ".vtk": "VTK",
    ".vti": "VTK",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gii": "a GIFTI surface",
    ".stl": "an STL surface",
    ".csv": "a table",
    ".json": "a JSON file",
    ".dwi": "MRtrix or text",
}


def not_read(path: Path, block: bytes | None = None) -> VolumeError:
    """The error for an unsupported file, which names its format if it is recognized.

    Parameters
    ----------
    path : Path
        The file.
    block : bytes or None
        How it begins, unpacked; None reads it.
    """
    if block is None:
        with path.open("rb") as file:
            block = file.read(512)
    name = path.name.lower()
    known = next((what for magic, what in _MAGIC if block.lstrip().startswith(magic)), None)
    known = known or next((what for ending, what in _NAMES.items() if name.endswith(ending)), None)
    if known is None:
        known = "it is empty" if not block else "text" if _is_text(block) else "its content is unknown"
    return VolumeError(
        f"{path} cannot be read as a volume: it is not a format that this program reads: {known}. It reads {READ}"
    )


def _is_text(block: bytes) -> bool:
    try:
        return block.decode("utf-8").isprintable() or all(byte >= 32 or byte in b"\t\r\n" for byte in block)
    except UnicodeDecodeError:
        return False
