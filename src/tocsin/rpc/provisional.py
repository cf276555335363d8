"""Answers that only announce another one (HTTP 1xx, RFC 9110 section 15.2).

A server may say some before its answer. One that says them without end would be read without end, as fast as it sends,
and cost a core until the deadline: after a few the connection is closed.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from aiohttp.connector import Connection

MOST: Final = 8
"""Announcements before one answer."""


class FinalResponse(aiohttp.ClientResponse):
    """The response class of every session of ours."""

    async def start(self, connection: "Connection") -> aiohttp.ClientResponse:
        """Wait for the answer itself. Raises as aiohttp does where it breaks the rules."""
        protocol = connection.protocol
        if protocol is None:
            return await super().start(connection)
        read, left = protocol.read, MOST

        async def counted() -> Any:
            nonlocal left
            found = await read()
            if found[0].code < HTTPStatus.OK and found[0].code != HTTPStatus.SWITCHING_PROTOCOLS:
                left -= 1
            if left < 0:
                raise HttpProcessingError(code=found[0].code, message=f"more than {MOST} provisional answers")
            return found

        protocol.read = counted  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            del protocol.read
