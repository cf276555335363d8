"""Channels of people: whether they can be reached. Nothing is sent: `tocsin notify test` does that."""

import asyncio
from typing import Final

from yarl import URL

from tocsin.cli._doctor.result import Result, fail, ok, skip
from tocsin.clock import NS
from tocsin.config.people import NotifyTable
from tocsin.notify.apprise import NoApprise, library
from tocsin.notify.http import trusting
from tocsin.rpc.faults import fault_of

_TEST: Final = "tocsin notify test {name} sends a message"


async def examine(channel: NotifyTable) -> Result:
    """Try whether a channel could be spoken to."""
    subject = f"channel {channel.name}"
    if channel.kind == "apprise":
        return _with_apprise(channel, subject)
    url = URL(channel.address.reveal())
    try:
        async with asyncio.timeout(channel.timeout_ns / NS):
            secure = trusting(channel.ca) if url.scheme == "https" else None
            _, writer = await asyncio.open_connection(url.host, url.port, ssl=secure)
            writer.close()
    except Exception as error:  # noqa: BLE001 - whatever it is: the channel cannot be reached
        return fail(
            subject, f"{channel.address} cannot be reached: {fault_of(error).detail}", "mend url, ca or network"
        )
    return ok(subject, f"{channel.address} is there; {_TEST.format(name=channel.name)}")


def _with_apprise(channel: NotifyTable, subject: str) -> Result:
    try:
        known = library().Apprise().add(channel.address.reveal())
    except NoApprise as error:
        return fail(subject, str(error), "pip install 'tocsin[notify]'")
    if not known:
        return fail(subject, f"Apprise does not know {channel.address}", "see the list of services of Apprise")
    return ok(subject, f"Apprise knows {channel.address}; {_TEST.format(name=channel.name)}")


def absent() -> Result:
    """Say that no channel is configured."""
    return skip("channels", "none is configured; alerts go over MQTT alone, [[notify]] tells people")
