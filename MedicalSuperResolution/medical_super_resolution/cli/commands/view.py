"""medsr view."""

from __future__ import annotations

import argparse
import secrets
import socket
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SettingsError, optional
from ...system import temp_dirs

if TYPE_CHECKING:
    from ...viewer.comparison import Comparison

HELP = "open, enhance and compare volumes in a browser"
DESCRIPTION = (
    "Open, enhance and compare volumes in a browser, on this computer. The address that is printed holds a token;\n"
    "it is needed to get in. From another computer, forward the port first: ssh -L PORT:127.0.0.1:PORT HOST"
)
_HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the volumes to show, and the port and limits of the server."""
    parser.add_argument("volume", type=Path, nargs="?", metavar="VOLUME", help="the volume to show at the start")
    parser.add_argument("--after", type=Path, metavar="ENHANCED", help="the enhanced volume, to compare with VOLUME")
    parser.add_argument("--demo", action="store_true", help="show a head template that comes with a package")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; default: any that is free")
    parser.add_argument("--open", action="store_true", help="open the address in the browser of this computer")
    parser.add_argument(
        "--max-upload", type=float, default=4.0, metavar="GB", help="largest upload; default: %(default)g"
    )


def run(chosen: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    for name in ("starlette", "uvicorn"):
        optional(name, "viewers", extra="viewer")
    import uvicorn

    from ...viewer.server import application
    from ...viewer.sessions import FOLDER_PREFIX, Sessions

    if not 0 < chosen.max_upload < float("inf"):
        raise SettingsError(f"the largest upload must be above 0 GB, got {chosen.max_upload:g}")
    token, once = secrets.token_urlsafe(32), secrets.token_urlsafe(32) if chosen.open else ""
    with temp_dirs.temporary_folder(FOLDER_PREFIX) as folder:
        sessions, largest_upload = Sessions(_first(chosen, folder)), int(chosen.max_upload * 1e9)
        served = application(sessions, token, largest_upload=largest_upload, once=once)
        with _listening(chosen.port) as listening, suppress(KeyboardInterrupt):
            address = f"http://{_HOST}:{listening.getsockname()[1]}"
            print(f"{address}/?token={token}", flush=True)
            if chosen.open:
                webbrowser.open(f"{address}/once/{once}")
            server = uvicorn.Server(uvicorn.Config(served, log_level="warning", access_log=False))
            server.run(sockets=[listening])
    return 0


def _first(chosen: argparse.Namespace, folder: Path) -> tuple[Path, Comparison] | None:
    """The path of the volume to show first, and its comparison; None if there is none."""
    from ...viewer.comparison import Comparison
    from ...volumes.io import files

    if chosen.demo and chosen.volume:
        raise SettingsError("give either a volume or --demo")
    if chosen.after and not chosen.volume:
        raise SettingsError("--after needs the volume before; give both")
    if chosen.demo:
        from .. import demo

        thick = demo.thickened(demo.template(), demo.FACTOR)
        files.write(thick, folder / "head.nii.gz")
        return folder / "head.nii.gz", Comparison(thick)
    if chosen.volume is None:
        return None
    return chosen.volume, Comparison(files.read(chosen.volume), files.read(chosen.after) if chosen.after else None)


def _listening(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        # On Windows, SO_REUSEADDR would let other programs take the same port:
        option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listening.setsockopt(socket.SOL_SOCKET, option, 1)
        listening.bind((_HOST, port))
        listening.listen()  # a browser that is quicker than the server waits for it
    except (OSError, OverflowError) as problem:
        listening.close()
        raise SettingsError(f"port {port} cannot be used; choose another, or leave --port out") from problem
    return listening
