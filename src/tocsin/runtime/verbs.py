"""What the control socket can be asked, and by whom it was."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from tocsin.clock import NS
from tocsin.engine.maintenance import LONGEST_NS
from tocsin.engine.silencing import LONGEST_WHY
from tocsin.errors import ControlError, UsageError
from tocsin.runtime.commands import Wanted, wanted_of
from tocsin.runtime.control import Handler, Peer, Reply, Request, Stream
from tocsin.runtime.reads import Question, question_of
from tocsin.store import Exported

_MOST_EVENTS: Final = 10_000
_MOST_INCIDENTS: Final = 1000
_LONGEST_ID: Final = 200
_LONGEST_MARGIN_S: Final = 3600
_LONGEST_S: Final = LONGEST_NS // NS


class Commanding(Protocol):
    """What people command. All is on disk when a call returns; no by TocsinError."""

    async def acknowledge(self, fingerprint: str, why: str, by: str) -> Mapping[str, object] | None:
        """Acknowledge an open alert; return what that accepted, None when there is none with this fingerprint."""
        ...

    async def maintain(self, chain: str, node: str, for_ns: int, why: str, by: str) -> bool:
        """Take a node out of judgement for a time, or with 0 back into it; False when it is not configured."""
        ...

    async def silence(self, wanted: Wanted, by: str) -> Mapping[str, object]:
        """Begin a silence; return it with what it covers and what it spares."""
        ...

    async def unsilence(self, wanted: str, why: str, by: str) -> Mapping[str, object]:
        """End a silence by its id; return it with what it covered."""
        ...


class Reading(Protocol):
    """What people read of contracts."""

    async def read(self, question: Question) -> dict[str, object]:
        """Return what nodes say at the agreed block, counted. No by TocsinError."""
        ...


class AskingMarkets(Protocol):
    """What people ask of lending markets. No by TocsinError."""

    async def stress(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Return what other prices would do to a market."""
        ...

    async def account(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Return how an account stands in markets."""
        ...


class Asked(Protocol):
    """What the verbs need of the daemon."""

    @property
    def commands(self) -> Commanding:
        """What people tell it to do about alerts and nodes."""
        ...

    @property
    def reads(self) -> Reading:
        """What answers questions about state."""
        ...

    @property
    def asks(self) -> AskingMarkets:
        """What answers questions about lending markets."""
        ...

    def report(self) -> Mapping[str, object]:
        """Return the status document."""
        ...

    async def reload(self, by: str) -> tuple[str, ...]:
        """Take the configuration on disk; return why not, or nothing."""
        ...

    async def try_channels(self, channel: str) -> list[dict[str, object]]:
        """Send a test through one channel of people, or all; return what came back. No by TocsinError."""
        ...

    async def record(self, path: Path, seconds: int) -> Exported:
        """Write the newest stretch of the journal to a new file."""
        ...

    def events(self, last: int, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """Yield the newest events of the stream, and with `follow` all that come."""
        ...

    async def recent_incidents(self, count: int) -> list[dict[str, object]]:
        """Return the incidents that changed last, the newest first."""
        ...

    def incident(self, wanted: str, margin_ns: int) -> AsyncGenerator[dict[str, object], None]:
        """Yield one incident in pieces: the configuration, its events, the journal around it."""
        ...


def _windows(report: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield the nodes of a status document that are in maintenance."""
    chains = report.get("chains")
    for chain in chains if isinstance(chains, list) else ():
        for node in (*chain["nodes"], *chain.get("beacons", ())):
            if node["maintenance"] is not None:
                yield {"chain": chain["name"], "node": node["name"], **node["maintenance"]}


class Verbs:
    """The verbs of one daemon."""

    def __init__(self, daemon: Asked) -> None:
        self._daemon = daemon
        self.handlers: Mapping[str, Handler] = {
            "status": self.status,
            "ack": self.ack,
            "reload": self.reload,
            "record": self.record,
            "maintenance": self.maintenance,
            "silence": self.silence,
            "unsilence": self.unsilence,
            "incidents": self.incidents,
            "notify": self.notify,
            "read": self.read,
            "stress": self.stress,
            "account": self.account,
        }
        self.streams: Mapping[str, Stream] = {"events": self.events, "incident": self.incident}

    async def status(self, _: Request, __: Peer) -> Reply:
        """Return the status document."""
        return self._daemon.report()

    async def ack(self, request: Request, peer: Peer) -> Reply:
        """Acknowledge one alert by its whole fingerprint; return what of a contract that has accepted."""
        fingerprint, why = request.get("fingerprint"), request.get("why", "")
        if not isinstance(fingerprint, str) or not isinstance(why, str) or len(why) > LONGEST_WHY:
            raise UsageError(f"ack takes a fingerprint and a why of at most {LONGEST_WHY} characters")
        found = await self._daemon.commands.acknowledge(fingerprint, why, peer.name)
        if found is None:
            raise ControlError(f"no open alert has the fingerprint {fingerprint[:64]}; tocsin status lists them")
        return {"fingerprint": fingerprint, "by": peer.name, **found}

    async def reload(self, _: Request, peer: Peer) -> Reply:
        """Take the configuration on disk."""
        problems = await self._daemon.reload(peer.name)
        config = self._daemon.report()["config"]
        in_force = config.get("hash") if isinstance(config, Mapping) else None
        return {"ok": not problems, "problems": list(problems), "hash": in_force}

    async def maintenance(self, request: Request, peer: Peer) -> Reply:
        """Begin or end the maintenance of a node if one is named; return all that there are."""
        if "node" in request or "chain" in request:
            await self._maintain(request, peer)
        return {"maintenance": list(_windows(self._daemon.report()))}

    async def _maintain(self, request: Request, peer: Peer) -> None:
        words = chain, node, why = request.get("chain"), request.get("node"), request.get("why", "")
        for_s, end = request.get("for_s", 0), request.get("end", False)
        if not all(isinstance(word, str) for word in words) or len(str(why)) > LONGEST_WHY:
            raise UsageError(f"maintenance takes a chain, a node and a why of at most {LONGEST_WHY} characters")
        if type(end) is not bool or type(for_s) is not int or (for_s == 0) is not end or not 0 <= for_s <= _LONGEST_S:
            raise UsageError(f"maintenance takes for_s from 1 to {_LONGEST_S}, or end")
        if not await self._daemon.commands.maintain(str(chain), str(node), for_s * NS, str(why), peer.name):
            raise ControlError(f"no node {str(chain)[:64]}/{str(node)[:64]} is configured; tocsin status lists them")

    async def silence(self, request: Request, peer: Peer) -> Reply:
        """Begin a silence if `match` says of what; return it with what it does, or all that there are."""
        if set(request) <= {"v", "verb"}:
            return {"silences": self._daemon.report()["silences"]}
        return await self._daemon.commands.silence(wanted_of(request), peer.name)

    async def unsilence(self, request: Request, peer: Peer) -> Reply:
        """End a silence by its `id`."""
        silence, why = request.get("id"), request.get("why", "")
        if not isinstance(silence, str) or not isinstance(why, str) or len(why) > LONGEST_WHY:
            raise UsageError(f"unsilence takes the id of a silence and a why of at most {LONGEST_WHY} characters")
        return await self._daemon.commands.unsilence(silence, why, peer.name)

    async def notify(self, request: Request, _: Peer) -> Reply:
        """Send a test through one `channel` of people, or all; return what came back."""
        channel = request.get("channel", "")
        if not isinstance(channel, str):
            raise UsageError("notify takes the name of a channel, or none for all")
        return {"channels": await self._daemon.try_channels(channel)}

    async def read(self, request: Request, _: Peer) -> Reply:
        """Read a call and slots of an `address` at the agreed `block`; return what the groups say."""
        return await self._daemon.reads.read(question_of(request))

    async def stress(self, request: Request, _: Peer) -> Reply:
        """Return what rows of `moves` of `assets`, in basis points, do to a `market`; `referee` asks a node as well."""
        return await self._daemon.asks.stress(request)

    async def account(self, request: Request, _: Peer) -> Reply:
        """Return how an `address` stands in each market, or in one `market`."""
        return await self._daemon.asks.account(request)

    async def record(self, request: Request, _: Peer) -> Reply:
        """Write the journal of the last `seconds` into a new file at `path`, which must be absolute."""
        path, seconds = request.get("path"), request.get("seconds")
        if (
            not isinstance(path, str)
            or "\0" in path
            or not Path(path).is_absolute()
            or type(seconds) is not int
            or seconds < 1
        ):
            raise UsageError("record takes an absolute path and a number of seconds")
        done = await self._daemon.record(Path(path), seconds)
        gaps = [f"events {gap.first_event} to {gap.last_event}: {gap.reason}" for gap in done.gaps]
        return {"path": path, "events": done.events, "first": done.first_event, "last": done.last_event, "gaps": gaps}

    async def events(self, request: Request, _: Peer) -> AsyncGenerator[Reply, None]:
        """Yield the newest `n` events, and with `follow` all that come."""
        last, follow = request.get("n", 20), request.get("follow", False)
        if type(last) is not int or not 0 <= last <= _MOST_EVENTS:
            raise UsageError(f"events takes n from 0 to {_MOST_EVENTS}")
        async for payload in self._daemon.events(last, follow=bool(follow)):
            yield orjson.loads(payload)

    async def incidents(self, request: Request, _: Peer) -> Reply:
        """Return the `n` incidents that changed last."""
        count = request.get("n", 20)
        if type(count) is not int or not 1 <= count <= _MOST_INCIDENTS:
            raise UsageError(f"incidents takes n from 1 to {_MOST_INCIDENTS}")
        return {"incidents": await self._daemon.recent_incidents(count)}

    async def incident(self, request: Request, _: Peer) -> AsyncGenerator[Reply, None]:
        """Yield the incident named by `id` in pieces, with `margin_s` of the journal before and after it."""
        wanted, margin_s = request.get("id"), request.get("margin_s", 120)
        if not isinstance(wanted, str) or not 0 < len(wanted) <= _LONGEST_ID:
            raise UsageError(f"incident takes an id of at most {_LONGEST_ID} characters")
        if type(margin_s) is not int or not 0 <= margin_s <= _LONGEST_MARGIN_S:
            raise UsageError(f"incident takes margin_s from 0 to {_LONGEST_MARGIN_S}")
        async for piece in self._daemon.incident(wanted, margin_s * NS):
            yield piece
