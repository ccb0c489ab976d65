"""medsr station."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import math
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SettingsError, optional
from ...system import temp_dirs

if TYPE_CHECKING:
    from ...station.receiver import Tls

_TRIAL_PREFIX = "medsr-trial-"
HELP = "receive DICOM series, enhance those that a rule names, and send the derived series on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the rules, where results go, the address, and the limits of the station."""
    parser.add_argument(
        "--rules",
        type=Path,
        required=True,
        metavar="FILE.toml",
        help="tables [[rule]]: which series are enhanced, and how",
    )
    parser.add_argument(
        "--send-to",
        required=True,
        metavar="AE@HOST:PORT",
        help="archive for the derived series; or the address of a DICOMweb service",
    )
    fetch_help = "also fetch series of the last seven days from a DICOMweb service"
    parser.add_argument("--fetch-from", metavar="URL", help=fetch_help)
    parser.add_argument("--ae", default="MEDSR", help="AE title; default: %(default)s")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s, this computer")
    parser.add_argument("--port", type=int, default=11112, help="port to listen on; default: %(default)s")
    parser.add_argument("--allow", nargs="+", default=[], metavar="AE", help="AE titles that may call; default: all")
    parser.add_argument(
        "--queue",
        type=Path,
        default=Path("medsr-station"),
        metavar="FOLDER",
        help="where series wait; default: %(default)s",
    )
    parser.add_argument(
        "--max-storage", type=float, default=50.0, metavar="GB", help="largest size of the queue; default: %(default)g"
    )
    parser.add_argument(
        "--quiet",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="a series is complete after this time without a new image; default: %(default)g",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be done with each series")
    parser.add_argument(
        "--tls-certificate",
        type=Path,
        metavar="PEM",
        help="certificate of this station, for secure connections: needs all three",
    )
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="its private key")
    parser.add_argument(
        "--tls-authority", type=Path, metavar="PEM", help="authority of the certificates that callers must show"
    )


def run(chosen: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM."""
    optional("pynetdicom", "stations", extra="station")

    from ...models import store
    from ...station.queue import Queue
    from ...station.receiver import listen
    from ...station.rules import read_rules
    from ...station.service import Station
    from ...station.source import DicomWebSource

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    for name in ("dicomweb_client", "pydicom", "pynetdicom", "urllib3"):  # their messages quote values of headers
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")  # as do their warnings
    rules, tls = read_rules(chosen.rules), _tls(chosen)
    _check(chosen, [rule.send_to for rule in rules if rule.send_to])
    for rule in rules:
        store.read_header(store.find(rule.model))
    if not tls and not _is_loopback(chosen.host):
        logging.getLogger(__name__).warning("the station listens on %s without TLS", chosen.host)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _queue_folder(chosen) as folder:
        queue = Queue(folder, largest_bytes=int(chosen.max_storage * 1e9))
        source = DicomWebSource(chosen.fetch_from, rules) if chosen.fetch_from else None
        station = Station(
            queue, rules, chosen.send_to, chosen.ae, quiet_seconds=chosen.quiet, is_trial=chosen.dry_run, source=source
        )
        callers = tuple(chosen.allow)
        server = listen(queue, title=chosen.ae, host=chosen.host, port=chosen.port, callers=callers, tls=tls)
        logging.getLogger(__name__).info("%s listens on %s:%d", chosen.ae, chosen.host, chosen.port)
        try:
            station.run(stop)
        finally:
            server.shutdown()
    return 0


@contextmanager
def _queue_folder(chosen: argparse.Namespace) -> Iterator[Path]:
    """The folder of the queue; of a trial one of its own, so that the series it has seen are enhanced later.

    Raises
    ------
    SettingsError
        Another station uses the folder; what it writes would be taken for what a killed one has left.
    """
    if not chosen.dry_run:
        chosen.queue.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temp_dirs.folder_lock(chosen.queue, attempts=1) as is_ours:
            if not is_ours:
                raise SettingsError(f"another station uses the folder {chosen.queue}; end it, or name another --queue")
            yield chosen.queue
        return
    with temp_dirs.temporary_folder(_TRIAL_PREFIX) as folder:
        yield folder


def _check(chosen: argparse.Namespace, destinations: list[str]) -> None:
    """Refuse addresses and limits without sense."""
    from ...station.sender import destination_of, is_web_address

    for one in (chosen.send_to, *destinations):
        destination_of(one, title=chosen.ae)
    if chosen.fetch_from and not is_web_address(chosen.fetch_from):
        raise SettingsError(f"cannot read the address {chosen.fetch_from!r}; write http(s)://... of a DICOMweb service")
    if not 0 <= chosen.quiet < math.inf:
        raise SettingsError(f"--quiet must be at least 0 seconds, got {chosen.quiet:g}")
    if not 0 < chosen.max_storage < math.inf:
        raise SettingsError(f"--max-storage must be above 0 GB, got {chosen.max_storage:g}")


def _tls(chosen: argparse.Namespace) -> Tls | None:
    from ...station.receiver import Tls

    files = (chosen.tls_certificate, chosen.tls_key, chosen.tls_authority)
    if any(files) and not all(files):
        raise SettingsError("TLS needs all of --tls-certificate, --tls-key and --tls-authority")
    return Tls(*files) if all(files) else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
