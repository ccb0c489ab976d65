"""What processor this is."""

from __future__ import annotations

import functools
import platform
import re
from contextlib import suppress
from pathlib import Path

_OF_LINUX = Path("/proc/cpuinfo")


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
