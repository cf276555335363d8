"""A pool that ticks as the daemon does, several times a poll, answers each fetch before the next tick, and restarts."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from orjson import dumps, loads
from tests.support.pool import Answer, Pool

from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.engine.codec import decode_state, encode_state
from tocsin.model.alert import Alert, Grade
from tocsin.model.event import Booted, Commanded, ConfigRevised, Fetched, Orphan
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING, Fault, FaultKind, Part, hash_of
from tocsin.model.settings import Settings
from tocsin.testing import SimChain, SimNode


def at_pace(settings: Settings, block_time_ns: int) -> Settings:
    """The same pool on a chain of another block time."""
    return replace(settings, chains=(replace(settings.chains[0], block_time_ns=block_time_ns),))


@dataclass
class Ticking(Pool):
    """`hung` nodes get no answer at all; `answers_fetch` may replace what a fetch brings."""

    hung: set[str] = field(default_factory=set)
    fetched: int = 0
    answers_fetch: Callable[[Fetched], Fetched] | None = None

    def __post_init__(self) -> None:
        self.grades: list[Grade] = []
        self.offset = 10**15
        self.boots = 0
        super().__post_init__()

    @property
    def now(self) -> int:
        return self.clock.monotonic_ns() + self.offset

    def round(self) -> None:
        """One poll interval."""
        chain = self.settings.chains[0]
        self.polls += 1
        slot = self.polls % max(1, chain.block_time_ns // chain.poll_ns) == 1 or chain.block_time_ns <= chain.poll_ns
        calls = (CHAIN_ID, LATEST, *((SAFE, FINALIZED, SYNCING) if slot else ()))
        for name in self.nodes:
            if name not in self.hung:
                self.take(self._poll(name, calls))
        for _ in range(chain.poll_ns // chain.tick_ns):
            self.tick()
            self.grades.append(self.state.chains["sim"].head.grade)
            self._answer_fetches()
            self.clock.advance(ns=chain.tick_ns)

    def _answer_fetches(self) -> None:
        for effect in self.pending[:]:
            self.pending.remove(effect)
            self.fetched += hash_of(effect.call) is not None
            if effect.node not in self.hung:
                event = self._fetch(effect)
                self.take(self.answers_fetch(event) if self.answers_fetch is not None else event)

    def restart(
        self, *, down_s: float = 1, wall_step_s: float = 0, seq: int = 0, orphans: tuple[Orphan, ...] = ()
    ) -> None:
        """Another life from a snapshot: engine time goes on by what the wall clock says, never backwards."""
        before = self.clock.wall_ns()
        self.clock.advance(s=down_s)
        self.clock.step_wall(s=wall_step_s)
        gap = max(0, self.clock.wall_ns() - before)
        self.offset += gap - round(down_s * NS)
        self.boots += 1
        self.polls = 0
        self.pending.clear()
        self.state = decode_state(encode_state(self.state))
        boot = f"b{self.boots}"
        self.take(
            Booted(t_ns=self.now, wall_ns=self.clock.wall_ns(), boot=boot, version="test", seq=seq, orphans=orphans)
        )
        self.take(ConfigRevised(t_ns=self.now, settings=self.settings))

    def suspend(self, seconds: float) -> None:
        """The host sleeps: the world goes on, engine time does not."""
        self.clock.advance(s=seconds)
        self.offset -= round(seconds * NS)

    def reload(self, settings: Settings) -> None:
        self.settings = settings
        self.take(ConfigRevised(t_ns=self.now, settings=settings))

    def fired(self) -> set[tuple[str, str, str]]:
        """Detector, node (or `sim`) and severity of all that fired or was raised."""
        return {
            (alert.detector, dict(alert.labels).get("node", "sim").removeprefix("sim."), alert.severity.value)
            for alert in self.alerts
            if alert.reason in ("fired", "raised")
        }

    def open(self) -> set[tuple[str, str]]:
        """Detector and node (or `sim`) of what is firing or unknown now."""
        return {
            (tracked.finding.detector, dict(tracked.finding.labels).get("node", "sim").removeprefix("sim."))
            for tracked in self.state.chains["sim"].alerts.tracked.values()
            if tracked.severity is not None
        }

    def about(self, detector: str) -> list[Alert]:
        return [alert for alert in self.alerts if alert.detector == detector]

    def ack(self, detector: str, by: str = "alice", why: str = "planned") -> None:
        [alert] = {alert.fingerprint: alert for alert in self.about(detector)}.values()
        self.acked(alert, by, why)

    def acked(self, alert: Alert, by: str = "alice", why: str = "planned") -> None:
        args = (("fingerprint", alert.fingerprint), ("why", why))
        self.take(Commanded(t_ns=self.now, wall_ns=self.clock.wall_ns(), verb="ack", by=by, args=args))

    def until(self, condition: Callable[[], bool], most: int = 60) -> int:
        """Poll until something holds; return how many polls that took."""
        for polls in range(1, most + 1):
            self.round()
            if condition():
                return polls
        raise AssertionError(f"not within {most} polls: {self.open()}")

    def life(self, name: str) -> NodeState:
        return self.state.chains["sim"].lives[name].state


def fails(kind: FaultKind = FaultKind.TIMEOUT) -> Answer:
    """An answer of a node that gives none."""
    return lambda _node, _request: Fault(kind=kind, detail="x")


def nothing(event: Fetched) -> Fetched:
    """What a fetch brings from a node that does not have the block."""
    return replace(event, part=Part(call=event.call, result=b"null"), run=())


def stranger(pool: Pool, *, ahead: int, fetches: bool = False) -> Answer:
    """A node of a chain of its own with the same id, some blocks ahead; without `fetches` it gives no ancestors."""
    spec = replace(pool.chain.spec, seed=99, history=pool.chain.branch().head.number + ahead)
    node = SimNode(SimChain(pool.clock, spec), name="x", delay_ns=0)

    def answer(_node: SimNode, request: bytes) -> bytes:
        asked = loads(request)
        if fetches or not _are_ancestors(asked):
            return node.answer(request)
        return dumps([{"jsonrpc": "2.0", "id": one["id"], "result": None} for one in asked])

    return answer


def _are_ancestors(asked: list[dict[str, Any]]) -> bool:
    """Whether a request is for one header by its hash, or for a run of them by height."""
    if len(asked) == 1:
        return asked[0]["method"] == "eth_getBlockByHash"
    return all(one["method"] == "eth_getBlockByNumber" and one["params"][0].startswith("0x") for one in asked)
