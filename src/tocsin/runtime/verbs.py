"""What the control socket can be asked, and by whom it was."""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from tocsin.clock import NS
from tocsin.errors import ControlError, UsageError
from tocsin.runtime.control import Handler, Peer, Reply, Request, Stream

if TYPE_CHECKING:
    from tocsin.runtime.daemon import Daemon

_LONGEST_WHY: Final = 500
_MOST_EVENTS: Final = 10_000


class Verbs:
    """The verbs of one daemon."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self.handlers: Mapping[str, Handler] = {
            "status": self.status,
            "ack": self.ack,
            "reload": self.reload,
            "record": self.record,
        }
        self.streams: Mapping[str, Stream] = {"events": self.events}

    async def status(self, _: Request, __: Peer) -> Reply:
        """Return the status document."""
        return self._daemon.report()

    async def ack(self, request: Request, peer: Peer) -> Reply:
        """Acknowledge one alert by its whole fingerprint."""
        fingerprint, why = request.get("fingerprint"), request.get("why", "")
        if not isinstance(fingerprint, str) or not isinstance(why, str) or len(why) > _LONGEST_WHY:
            raise UsageError(f"ack takes a fingerprint and a why of at most {_LONGEST_WHY} characters")
        before = self._daemon.core.state.seq
        self._daemon.command("ack", {"fingerprint": fingerprint, "why": why}, peer.name)
        if self._daemon.core.state.seq == before:
            raise ControlError(f"no alert has the fingerprint {fingerprint}; tocsin status lists them")
        await self._daemon.core.drained()
        return {"fingerprint": fingerprint, "by": peer.name}

    async def reload(self, _: Request, peer: Peer) -> Reply:
        """Take the configuration on disk."""
        problems = await self._daemon.reload(peer.name)
        return {"ok": not problems, "problems": list(problems), "hash": self._daemon.loaded.settings.config_hash}

    async def record(self, request: Request, _: Peer) -> Reply:
        """Write the journal of the last `seconds` into a new file at `path`, which must be absolute."""
        path, seconds = request.get("path"), request.get("seconds")
        if not isinstance(path, str) or not Path(path).is_absolute() or not isinstance(seconds, int) or seconds < 1:
            raise UsageError("record takes an absolute path and a number of seconds")
        await self._daemon.core.drained()
        now = self._daemon.clock.wall_ns()
        done = await self._daemon.store.export(Path(path), from_wall_ns=now - seconds * NS, to_wall_ns=now + NS)
        gaps = [f"events {gap.first_event} to {gap.last_event}: {gap.reason}" for gap in done.gaps]
        return {"path": path, "events": done.events, "first": done.first_event, "last": done.last_event, "gaps": gaps}

    async def events(self, request: Request, _: Peer) -> AsyncGenerator[Reply, None]:
        """Yield the newest `n` events, and with `follow` all that come."""
        last, follow = request.get("n", 20), request.get("follow", False)
        if not isinstance(last, int) or not 0 <= last <= _MOST_EVENTS:
            raise UsageError(f"events takes n from 0 to {_MOST_EVENTS}")
        async for payload in self._daemon.tail.read(last, follow=bool(follow)):
            yield orjson.loads(payload)
