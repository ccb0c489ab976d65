"""Version of the software, and a digest of its code."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

__version__ = "0.1.0"
_DIGITS = 8


@functools.cache
def software(package: Path = Path(__file__).parents[1]) -> str:
    """Version and digest of the code of a package, such as "0.1.0 (code 1a2b3c4d)".

    Parameters
    ----------
    package : Path
        Folder whose ``*.py`` files are hashed, with normalized line ends.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).as_posix()):
        code = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(package).as_posix()} {len(code)}\n".encode() + code)
    return f"{__version__} (code {digest.hexdigest()[:_DIGITS]})"
