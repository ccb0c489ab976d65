"""Which software this is, and on which processor it runs."""

from __future__ import annotations

import functools
import hashlib
import platform
import re
from contextlib import suppress
from pathlib import Path

__version__ = "0.1.0"
_DIGITS = 8
_OF_LINUX = Path("/proc/cpuinfo")


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


def processor_name(known: Path = _OF_LINUX) -> str:
    """The name of the processor: from Linux's file ``known``, or what Python knows elsewhere."""
    return _facts(known).get("model name") or platform.processor() or platform.machine()


def amd_family(known: Path = _OF_LINUX) -> int:
    """The family of a processor of AMD, such as 25 for Zen 3 and 4 and 26 for Zen 5; 0 for other processors."""
    facts = _facts(known)
    if facts.get("vendor_id") == "AuthenticAMD":
        return int(facts["cpu family"])
    on_windows = re.search(r"Family (\d+) .*AuthenticAMD", platform.processor())
    return int(on_windows[1]) if on_windows else 0


@functools.cache
def _facts(known: Path) -> dict[str, str]:
    """Lines of a file, "name : value", on the first processor."""
    facts: dict[str, str] = {}
    with suppress(OSError):
        for line in known.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    return facts
