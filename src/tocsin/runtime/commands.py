"""What people command, from the request to the journal: each with its author, and on disk before it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tocsin.alerting.matching import LONGEST
from tocsin.clock import NS, EngineClock
from tocsin.engine import accepting, quiet, silencing
from tocsin.engine.silencing import LONGEST_WHY
from tocsin.errors import ControlError, UsageError
from tocsin.model.event import Commanded
from tocsin.runtime.core import Core

_LAST_WALL_NS: Final = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A silence that somebody asks for: which alerts, why, from when (None for now), and for how long or until when."""

    match: str
    why: str
    for_ns: int | None = None
    until_wall_ns: int | None = None
    from_wall_ns: int | None = None
    critical: bool = False


def wanted_of(request: Mapping[str, Any]) -> Wanted:
    """Return the silence of a request. Raises UsageError with what a request takes."""
    match, why = request.get("match"), request.get("why")
    if not isinstance(match, str) or not isinstance(why, str) or len(match) > LONGEST or len(why) > LONGEST_WHY:
        raise UsageError(f"silence takes a match of at most {LONGEST} and a why of at most {LONGEST_WHY} characters")
    for_s, until_ns, from_ns = (request.get(key) for key in ("for_s", "until_wall_ns", "from_wall_ns"))
    if (for_s is None) is (until_ns is None):
        raise UsageError("silence takes for_s or until_wall_ns")
    for key, number in (("for_s", for_s), ("until_wall_ns", until_ns), ("from_wall_ns", from_ns)):
        if number is not None and (type(number) is not int or not 0 < number < _LAST_WALL_NS):
            raise UsageError(f"silence takes {key} as a whole number above 0")
    critical = request.get("critical", False)
    if type(critical) is not bool:
        raise UsageError("silence takes critical as true or false")
    return Wanted(
        match=match,
        why=why,
        for_ns=None if for_s is None else for_s * NS,
        until_wall_ns=until_ns,
        from_wall_ns=from_ns,
        critical=critical,
    )


class Commands:
    """Lets the core carry out what people command."""

    def __init__(self, core: Core, clock: EngineClock) -> None:
        self._core = core
        self._clock = clock

    async def acknowledge(self, fingerprint: str, why: str, by: str) -> Mapping[str, object] | None:
        """Let the core note that a person has seen an alert; None when no open alert has this fingerprint.

        Returns what of a contract that has `accepted`; of an alert that is over, what was `accepted_before`.
        """
        before = self._core.state
        self._core.take(self._command("ack", by, fingerprint=fingerprint, why=why))
        after = self._core.state
        await self._core.drained()
        if after.seq > before.seq:
            return {"accepted": accepting.accepted(before, after)}
        earlier = accepting.earlier(after, fingerprint)
        return {"accepted": [], "accepted_before": earlier} if earlier else None

    async def maintain(self, chain: str, node: str, for_ns: int, why: str, by: str) -> bool:
        """Take a node out of judgement for a time, or with 0 back into it; False when it is not configured.

        Raises ControlError where there is nothing to end.
        """
        watched = self._core.state.chains.get(chain)
        if watched is None or (node not in watched.nodes and node not in watched.beacons):
            return False
        if not for_ns and node not in watched.maintenance:
            raise ControlError(f"{chain}/{node} is not in maintenance; tocsin maintenance list shows what is")
        self._core.take(self._command("maintenance", by, chain=chain, node=node, for_ns=str(for_ns), why=why))
        await self._core.drained()
        return True

    async def silence(self, wanted: Wanted, by: str) -> Mapping[str, object]:
        """Begin a silence; return it with what it covers and spares. Raises Refused where there can be none."""
        event = self._command(silencing.VERB, by, match=wanted.match, why=wanted.why)
        event = replace(event, args=tuple(sorted({**dict(event.args), **_when(wanted, event.wall_ns)}.items())))
        silence = quiet.wanted(self._core.state, event)
        self._core.take(event)
        self._is_done(silence in self._core.state.silences)
        told = quiet.told(self._core.state, silence, event.wall_ns)
        await self._core.drained()
        return told

    async def unsilence(self, wanted: str, why: str, by: str) -> Mapping[str, object]:
        """End a silence by its id; return it with what it covered. Raises Refused where there is none."""
        before = self._core.state
        silence = silencing.named(before, wanted)
        event = self._command(silencing.END_VERB, by, id=wanted, why=why)
        self._core.take(event)
        self._is_done(silence not in self._core.state.silences)
        told = quiet.told_of_end(before, self._core.state, silence, event.wall_ns)
        await self._core.drained()
        return told

    def _is_done(self, is_so: bool) -> None:  # noqa: FBT001 - what became of it
        if not is_so:
            raise ControlError("the daemon is about to end and takes no commands any more; ask again in a moment")

    def _command(self, verb: str, by: str, **args: str) -> Commanded:
        now, wall = self._clock.t_ns(), self._clock.wall_ns()
        return Commanded(t_ns=now, wall_ns=wall, verb=verb, args=tuple(sorted(args.items())), by=by)


def _when(wanted: Wanted, wall_ns: int) -> dict[str, str]:
    """Return the further args of a silence that is commanded at this moment."""
    begins_ns = wall_ns if wanted.from_wall_ns is None else wanted.from_wall_ns
    for_ns = wanted.for_ns if wanted.until_wall_ns is None else wanted.until_wall_ns - begins_ns
    if for_ns is None or for_ns <= 0:
        raise silencing.Refused("until: is past, or not after the beginning of the silence; name a later time")
    args = {"for_ns": str(for_ns)}
    args |= {} if wanted.from_wall_ns is None else {"from_wall_ns": str(wanted.from_wall_ns)}
    return args | ({"critical": "true"} if wanted.critical else {})
