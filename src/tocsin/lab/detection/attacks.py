"""One group lies, in every way we know: no honest node may be accused, and the agreed head may not follow the liar."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from tocsin.chain.nodelife import NodeState
from tocsin.lab.detection import pools
from tocsin.lab.detection.support import Support
from tocsin.lab.detection.watch import CHAIN, Member, Watch, settings_of, subject_of
from tocsin.model.alert import Alert
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, Part
from tocsin.testing.headers import rehashed
from tocsin.testing.simstream import StreamedNode, StreamSpec

_CALM_S: Final = 240
_ATTACK_S: Final = 360
_AFTER_S: Final = 120

Step = Callable[[Watch, Sequence[StreamedNode], int], None]
"""What the liars do before a poll; the number counts from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """What came of an attack."""

    attack: str
    liar: str
    evicted: tuple[str, ...]
    """Honest nodes that were accused or left the pool, with why."""
    unsupported: tuple[str, ...]
    """Agreed heads that fewer than two groups had."""
    noticed: tuple[str, ...]
    """Detectors that spoke, about whomever."""


def _fork(depth: int) -> Step:
    def step(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
        if at == 0:
            watch.stream.grow(watch.now_ns)
            watch.stream.part("lie", depth=depth, now_ns=watch.now_ns)
            for liar in liars:
                liar.follow("lie")

    return step


def _broken(rule: str) -> Step:
    def step(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
        if at == 0:
            watch.stream.grow(watch.now_ns)
            watch.stream.part("lie", depth=2, breaks=rule, now_ns=watch.now_ns)  # type: ignore[arg-type]
            for liar in liars:
                liar.follow("lie")

    return step


def _ahead(blocks: int) -> Step:
    """Show a private chain that links to the common one and is ahead of it."""

    def step(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
        if at % 6:
            return
        stream = watch.stream
        stream.grow(watch.now_ns)
        stream.lines.pop("lie", None)
        line = stream.part("lie", depth=0, now_ns=watch.now_ns)
        for _ in range(blocks):
            stream.extend(line, slot=line.head.block.slot + 1, now_ns=watch.now_ns)
        line.halted = True
        for liar in liars:
            liar.follow("lie")

    return step


def _phantom(ahead: int) -> Step:
    """Show a head of which nobody knows the parent, far ahead."""

    def step(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
        if at % 6:
            return
        watch.stream.grow(watch.now_ns)
        for liar in liars:
            liar.catch_up(watch.now_ns)
            head = orjson.loads(liar.head.latest.result or b"{}")
            made = rehashed(head, number=hex(int(head["number"], 16) + ahead), parentHash="0x" + f"{at:064x}")
            liar.shows = Part(call=LATEST, result=orjson.dumps(made))

    return step


def _corrupt(field: str, value: str) -> Step:
    """Change one field of the header but keep the hash: content under a hash that is not its own."""

    def step(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
        del at
        watch.stream.grow(watch.now_ns)
        for liar in liars:
            liar.catch_up(watch.now_ns)
            head = orjson.loads(liar.head.latest.result or b"{}")
            liar.shows = Part(call=LATEST, result=orjson.dumps({**head, field: value}))

    return step


def _freeze(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
    del watch, at
    for liar in liars:
        liar.frozen = True


def _other_chain(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
    del watch, at
    for liar in liars:
        liar.chain_id = Part(call=CHAIN_ID, result=b'"0x89"')


def _vanish(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
    del watch
    for liar in liars:
        liar.down = at // 5 % 2 == 0


def _flip(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
    """Change branches at every poll."""
    _fork(3)(watch, liars, at)
    watch.stream.grow(watch.now_ns)
    for liar in liars:
        liar.follow("lie" if at % 2 else "main")


def _finalized(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
    """Call a block final that is not on the chain."""
    if at == 0:
        watch.stream.grow(watch.now_ns)
        line = watch.stream.part("lie", depth=10, now_ns=watch.now_ns)
        for liar in liars:
            liar.finalized = Part(call=FINALIZED, result=line.head.latest.result)


def _halves(watch: Watch, liars: Sequence[StreamedNode], at: int) -> None:
    """Put half of the group on another branch than the other half."""
    _fork(4)(watch, liars[: max(1, len(liars) // 2)], at)


ATTACKS: Final[dict[str, Step]] = {
    **{f"fork by {depth}": _fork(depth) for depth in (1, 2, 8, 70)},
    **{f"{blocks} linked blocks ahead": _ahead(blocks) for blocks in (1, 3, 10)},
    **{f"phantom {ahead} ahead": _phantom(ahead) for ahead in (1, 4, 1_000, 30_000_000)},
    "phantom behind": _phantom(-20),
    "base fee broken": _broken("base_fee"),
    "timestamp broken": _broken("timestamp"),
    "state root changed": _corrupt("stateRoot", "0x" + "11" * 32),
    "parent changed": _corrupt("parentHash", "0x" + "22" * 32),
    "height changed": _corrupt("number", "0x1ffffff"),
    "frozen": _freeze,
    "wrong chain": _other_chain,
    "comes and goes": _vanish,
    "changes branches": _flip,
    "false finality": _finalized,
    "group against itself": _halves,
}
"""By name."""

POOLS: Final[dict[str, Callable[[], tuple[Member, ...]]]] = {
    "2 groups": pools.pair,
    "3 groups": pools.small,
    "5 groups": pools.middling,
}


def attack(name: str, pool: str, liar: str, seed: int) -> Attacked:
    """Let one group of a pool attack for six minutes, and look on for two more."""
    members = POOLS[pool]()
    heard: list[tuple[int, Alert]] = []
    support, dice = Support(), random.Random(f"{name}/{pool}/{liar}/{seed}")  # noqa: S311 - a seeded simulation
    spec = StreamSpec(seed=dice.randrange(2**32), first_slot=9_000_000 + dice.randrange(100_000))
    watch = Watch(members, spec, settings_of(members), said=lambda at, alert: heard.append((at, alert)), looked=support)
    for _ in range((_CALM_S + dice.randrange(pools.SLOT_S)) // pools.POLL_S):
        watch.round()
    liars = [watch.stream.nodes[member.node.name] for member in members if member.provider == liar]
    honest = {member.node.name for member in members if member.provider != liar}
    evicted: set[str] = set()
    for at in range((_ATTACK_S + _AFTER_S) // pools.POLL_S):
        if at * pools.POLL_S < _ATTACK_S:
            ATTACKS[name](watch, liars, at)
        watch.round()
        lives = watch.state.chains[CHAIN].lives
        evicted |= {f"{node} is {lives[node].state}" for node in honest if lives[node].state is not NodeState.HEALTHY}
    evicted |= {f"{subject_of(alert)}: {alert.detector}" for _, alert in heard if subject_of(alert) in honest}
    return Attacked(
        attack=name,
        liar=liar,
        evicted=tuple(sorted(evicted)),
        unsupported=tuple(support.unsupported),
        noticed=tuple(sorted({alert.detector for _, alert in heard})),
    )


def liars_of(pool: str) -> tuple[str, ...]:
    """Return the groups of a pool that may lie: one-node and two-node ones, others' and one's own."""
    return tuple(dict.fromkeys(member.provider for member in POOLS[pool]()))[:3]
