"""Limits on the data that callers send: bytes of one image, and bytes of all images in memory."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

LARGEST_PDU = 256 * 1024  # bytes, as announced to callers; up to twice as many are read
_LARGEST_IMAGE = 1 << 30  # bytes
logger = logging.getLogger(__name__)


class Callers:
    """The connected callers, which share the memory for images that are not yet on disk.

    Parameters
    ----------
    largest_sum : int
        Limit of that memory, in bytes.
    """

    def __init__(self, largest_sum: int) -> None:
        self._largest_sum = largest_sum
        self._intakes: list[Intake] = []

    def admit(self, caller: Association) -> Intake:
        """Make the `Intake` of a new caller, through which all its data are read from now on."""
        from pynetdicom import evt

        intake = Intake(caller.dul.socket.recv, self.has_room_for, caller.is_alive)
        caller.dul.socket.recv = intake
        caller.bind(evt.EVT_PDU_RECV, intake.on_pdu)
        caller.bind(evt.EVT_DIMSE_RECV, intake.on_message)
        caller.bind(evt.EVT_DIMSE_SENT, intake.on_response)
        self._intakes = [one for one in self._intakes if one.is_connected()] + [intake]
        return intake

    def has_room_for(self, count: int) -> bool:
        """Whether ``count`` more bytes may be kept in memory."""
        return sum(one.held for one in self._intakes if one.is_connected()) + count <= self._largest_sum


class Intake:
    """Reads the data of one caller within limits.

    A caller that announces or sends more than ``largest_image`` is disconnected. An image for which there is no room in
    memory is read to its end, but the rest of it is not kept.

    Parameters
    ----------
    receive : callable
        Called with a number of bytes; reads and returns them.
    has_room_for : callable
        Called with a number of bytes; returns whether they may be kept in memory.
    is_connected : callable
        Returns whether the caller is still connected.
    largest_pdu, largest_image : int
        Limits of one protocol data unit (PDU) and of one message, in bytes.
    """

    def __init__(
        self,
        receive: Callable[[int], bytearray],
        has_room_for: Callable[[int], bool] = lambda count: True,
        is_connected: Callable[[], bool] = lambda: True,
        *,
        largest_pdu: int = 2 * LARGEST_PDU,
        largest_image: int = _LARGEST_IMAGE,
    ) -> None:
        self._receive, self._has_room_for, self.is_connected = receive, has_room_for, is_connected
        self._largest_pdu, self._largest_image = largest_pdu, largest_image
        self._received = 0  # bytes of the incoming message
        self._kept, self._is_whole = 0, True  # its bytes in memory, and whether these are all
        self._unanswered: deque[tuple[int, bool]] = deque()  # the same for messages without a response yet

    def __call__(self, count: int) -> bytearray:
        """Read ``count`` bytes.

        Raises
        ------
        ConnectionAbortedError
            The limit of a PDU or a message is exceeded.
        """
        self._received += count
        if count > self._largest_pdu or self._received > self._largest_image:
            logger.warning("a caller that claims or sends more than an image can have was cut off")
            raise ConnectionAbortedError("too many bytes")
        return self._receive(count)

    @property
    def held(self) -> int:
        """Bytes of this caller in memory."""
        return self._kept + sum(count for count, _ in self._unanswered)

    @property
    def is_next_whole(self) -> bool:
        """Whether the next message to be answered was kept whole."""
        return not self._unanswered or self._unanswered[0][1]

    def on_pdu(self, event: Event) -> None:
        """Count the message fragments in a PDU; without room, drop all but their first byte, the control header."""
        for part in getattr(event.pdu, "presentation_data_value_items", ()):
            count = len(part.presentation_data_value)
            self._is_whole = self._is_whole and self._has_room_for(count)
            if self._is_whole:
                self._kept += count
            else:
                part.presentation_data_value = part.presentation_data_value[:1]

    def on_message(self, event: Event) -> None:
        """Start to count the next message."""
        self._unanswered.append((self._kept, self._is_whole))
        self._received, self._kept, self._is_whole = 0, 0, True

    def on_response(self, event: Event) -> None:
        """Stop counting the oldest message, which is on disk now, or was refused."""
        if self._unanswered:
            self._unanswered.popleft()
