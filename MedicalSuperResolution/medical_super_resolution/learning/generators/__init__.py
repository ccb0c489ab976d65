"""One network a file, each with its configuration. GENERATORS is the whole registry."""

from __future__ import annotations

from .through_plane import ThroughPlaneConfig, ThroughPlaneGenerator

GENERATORS: dict[str, tuple[type, type[ThroughPlaneGenerator]]] = {
    "through-plane": (ThroughPlaneConfig, ThroughPlaneGenerator),
}
