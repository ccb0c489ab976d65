"""DICOM receiver of the station: C-STORE and C-ECHO from allowed callers."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from .intake import LARGEST_PDU, Callers, Intake
from .queue import Queue, label
from .received import TooLate
from .room import QueueFull

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.events import Event

_SUCCESS, _FAILED, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0x0110, 0xA700, 0xC000
_SECONDS_OF_SILENCE = 60
_MOST_ASSOCIATIONS = 10
_LARGEST_SUM = 1 << 30  # bytes
logger = logging.getLogger(__name__)


class _LateHandshake(ssl.SSLContext):
    """Shakes hands in the thread of a caller: the one that accepts callers would wait for a silent one forever."""

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401 - as those of its base
        options["do_handshake_on_connect"] = False
        return super().wrap_socket(*arguments, **options)


@dataclass(frozen=True)
class Tls:
    """PEM files of a secured connection: the station's certificate, its key, and the authority of its callers."""

    certificate: Path
    key: Path
    authority: Path

    def server_context(self) -> ssl.SSLContext:
        """TLS context for incoming connections; callers must show a certificate of the authority.

        Raises
        ------
        SettingsError
            A file cannot be read or is no certificate.
        """
        context = _LateHandshake(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.authority)
        except (OSError, ssl.SSLError) as problem:
            raise SettingsError(f"the TLS certificates cannot be used: {problem}") from problem
        return context


def listen(
    queue: Queue,
    *,
    title: str,
    host: str,
    port: int,
    callers: tuple[str, ...] = (),
    tls: Tls | None = None,
    largest_sum: int = _LARGEST_SUM,
) -> ApplicationEntity:
    """Start to receive in background threads; ``shutdown()`` of the result stops them.

    Parameters
    ----------
    queue : Queue
        Stores the images.
    title, host, port : str, str, int
        The station's AE title and the address that it is bound to.
    callers : tuple of str
        AE titles that may call; empty allows all.
    tls : Tls or None
        Files for secured connections; None for unsecured ones.
    largest_sum : int
        Bytes of images of all callers in memory; further images are refused until there is room.

    Raises
    ------
    SettingsError
        A title or the address cannot be used.
    """
    from pynetdicom import AE, AllStoragePresentationContexts, evt
    from pynetdicom.sop_class import Verification

    for one in (title, *callers):
        try:
            AE(ae_title=one)
        except ValueError as problem:
            raise SettingsError(f"{one!r} cannot be an AE title; give 1 to 16 characters") from problem
    entity = AE(ae_title=title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(callers)
    entity.maximum_pdu_size = LARGEST_PDU
    entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = _SECONDS_OF_SILENCE
    entity.maximum_associations = _MOST_ASSOCIATIONS
    entity.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:  # some senders end a study at the first file that is not taken
        entity.add_supported_context(context.abstract_syntax, _syntaxes())
    handlers = [
        (evt.EVT_CONN_OPEN, _admit, [queue, Callers(largest_sum)]),
        (evt.EVT_CONN_CLOSE, _let_go),
        (evt.EVT_REJECTED, _tell_of_refused),
    ]
    secured = tls.server_context() if tls else None
    try:
        entity.start_server((host, port), block=False, evt_handlers=handlers, ssl_context=secured)
    except (OSError, OverflowError) as problem:
        reason = getattr(problem, "strerror", None) or "ports are 0 to 65535"
        raise SettingsError(f"the station cannot listen on {host}:{port}: {reason}") from problem
    return entity


def _syntaxes() -> list[str]:
    """The lossless transfer syntaxes that the DICOM reader supports."""
    from pydicom import uid

    return [
        uid.ExplicitVRLittleEndian,
        uid.ImplicitVRLittleEndian,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
        uid.RLELossless,
    ]


def _admit(event: Event, queue: Queue, callers: Callers) -> None:
    from pynetdicom import evt

    event.assoc.dul.socket.socket.settimeout(_SECONDS_OF_SILENCE)  # also within a protocol data unit
    event.assoc.bind(evt.EVT_C_STORE, _store, [queue, callers.admit(event.assoc)])


def _let_go(event: Event) -> None:
    """Wait no longer for a caller who left without asking, as programs that watch a network do; it held a place."""
    if event.assoc.requestor.primitive is None:  # codespell:ignore requestor
        event.assoc.dul.to_user_queue.put(None)  # as at the end of the time for asking


def _tell_of_refused(event: Event) -> None:
    asked = event.assoc.requestor.primitive  # codespell:ignore requestor
    logger.warning("the caller %s, who called %s, was refused", asked.calling_ae_title, asked.called_ae_title)


def _store(event: Event, queue: Queue, intake: Intake) -> int:
    """Answer a C-STORE: success only once the image is on the disk."""
    if not intake.is_next_whole:
        logger.error("an image was refused: callers send more at a time than the memory for images holds")
        return _OUT_OF_RESOURCES
    try:
        dataset = event.dataset
        series, instance = str(dataset.SeriesInstanceUID or ""), str(dataset.SOPInstanceUID or "")
        if not series or not instance:  # images of all series, or all images of one, would be one
            raise ValueError("an identifier is empty")
    except Exception:  # a damaged data set raises many kinds; its text may name a patient
        logger.warning("an image that cannot be understood was refused")
        return _CANNOT_UNDERSTAND
    try:
        if not queue.add(series, instance, event.encoded_dataset()):
            logger.info("series %s: an image was dropped: it came again, or no rule fits its series", label(series))
    except TooLate as problem:
        logger.error("series %s: an image was refused: %s", label(series), problem)
        return _FAILED
    except (QueueFull, OSError) as problem:
        reason = problem if isinstance(problem, QueueFull) else problem.strerror
        logger.error("series %s: an image was refused: %s", label(series), reason)
        return _OUT_OF_RESOURCES
    return _SUCCESS
