"""What callers may send: so much in one image, and so much altogether before it is on the disk."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

LARGEST_PDU = 256 * 1024  # bytes, as announced to callers; twice as many are still read
_LARGEST_IMAGE = 1 << 30  # bytes
logger = logging.getLogger(__name__)


class Callers:
    """The callers that are connected, which share the memory for images on their way to the disk.

    Parameters
    ----------
    largest_sum : int
        Bytes for all of them.
    """

    def __init__(self, largest_sum: int) -> None:
        self._largest_sum = largest_sum
        self._intakes: list[Intake] = []

    def admit(self, caller: Association) -> Intake:
        """A caller has connected: from now on, the `Intake` that is returned reads what it sends."""
        from pynetdicom import evt

        intake = Intake(caller.dul.socket.recv, self.has_room_for, caller.is_alive)
        caller.dul.socket.recv = intake
        caller.bind(evt.EVT_PDU_RECV, intake.unit_came)
        caller.bind(evt.EVT_DIMSE_RECV, intake.message_came)
        caller.bind(evt.EVT_DIMSE_SENT, intake.message_answered)
        self._intakes = [one for one in self._intakes if one.is_connected()] + [intake]
        return intake

    def has_room_for(self, count: int) -> bool:
        """Whether so many bytes more may be kept."""
        return sum(one.held for one in self._intakes if one.is_connected()) + count <= self._largest_sum


class Intake:
    """Reads what one caller sends, and keeps it within bounds.

    A caller that claims or sends more than one image can have is cut off. An image for which there is no room is read
    to its end, but the rest of it is not kept.

    Parameters
    ----------
    receive : callable
        Reads as many bytes as it is asked for.
    has_room_for : callable
        Whether so many bytes more may be kept.
    is_connected : callable
        Whether the caller is still there.
    largest_pdu, largest_image : int
        Bytes that one protocol data unit, and all units of one message, may have.
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
        self._received = 0  # bytes of the message that arrives
        self._kept, self._is_whole = 0, True  # how many of them are in memory, and whether all there were
        self._unanswered: deque[tuple[int, bool]] = deque()  # the same of the messages that are complete

    def __call__(self, count: int) -> bytearray:
        """Read ``count`` bytes.

        Raises
        ------
        ConnectionAbortedError
            They are too many.
        """
        self._received += count
        if count > self._largest_pdu or self._received > self._largest_image:
            logger.warning("a caller that claims or sends more than an image can have was cut off")
            raise ConnectionAbortedError("too many bytes")
        return self._receive(count)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self._kept + sum(count for count, _ in self._unanswered)

    @property
    def is_next_whole(self) -> bool:
        """Whether there was room for the message that is answered next."""
        return not self._unanswered or self._unanswered[0][1]

    def unit_came(self, event: Event) -> None:
        """Keep what a protocol data unit holds of a message, or only the byte before it."""
        for part in getattr(event.pdu, "presentation_data_value_items", ()):
            count = len(part.presentation_data_value)
            self._is_whole = self._is_whole and self._has_room_for(count)
            if self._is_whole:
                self._kept += count
            else:
                part.presentation_data_value = part.presentation_data_value[:1]

    def message_came(self, event: Event) -> None:
        """A message is complete: the next one is counted from 0."""
        self._unanswered.append((self._kept, self._is_whole))
        self._received, self._kept, self._is_whole = 0, 0, True

    def message_answered(self, event: Event) -> None:
        """The oldest message is on the disk, or refused."""
        if self._unanswered:
            self._unanswered.popleft()
