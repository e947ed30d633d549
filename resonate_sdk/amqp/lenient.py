"""Messages of foreign clients whose properties the library refuses to read.

A text that is no UTF-8, or an instant beyond all calendars, would end the connection of whoever the
message is delivered to; the broker would deliver it again, and so on.
"""

# pyright: reportUnknownMemberType=false

import logging
import struct

from pamqp import commands
from pamqp.header import ContentHeader

logger = logging.getLogger(__name__)

UNREADABLE = (ValueError, OverflowError, OSError, LookupError, struct.error)
_unmarshal = ContentHeader.unmarshal


def read_leniently() -> None:
    """From now on such a message arrives without properties, in all connections of this process.

    For the process of a server, whose queues are open to everybody; programs of users are left
    alone.
    """
    ContentHeader.unmarshal = _unmarshal_leniently


def _unmarshal_leniently(self: ContentHeader, data: bytes) -> None:
    try:
        _unmarshal(self, data)
    except UNREADABLE as error:
        logger.warning("properties of a message could not be read reason=%s", error)
        self.properties = commands.Basic.Properties()
