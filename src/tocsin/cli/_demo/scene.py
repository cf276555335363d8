"""What the demo watches: a simulated chain, six nodes of it in three groups, and the configuration for them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tocsin.clock import MS, NS, Clock
from tocsin.testing import ChainSpec, Listener, SimChain, SimNode
from tocsin.testing.simchain import MAIN
from tocsin.units import duration_text

SITE: Final = "demo"
WATCHDOG: Final = "watchdog"
CHAIN: Final = "simulated"
FORKS: Final = "reth"
STALLS: Final = "north-2"

_SLOT_NS: Final = 2 * NS
_HISTORY: Final = 200
_FINALITY: Final = 64
_BRANCH: Final = "own"
_REJOIN_SLOTS: Final = 6
"""The detector's default of 32 block times would keep people waiting for a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One node: nodes of one provider share a fate, so they have one vote together."""

    name: str
    provider: str
    client: str
    delay_ns: int
    """How long a block takes to get there, in the median."""

    @property
    def own(self) -> bool:
        """Whether it stands for a node of the user's."""
        return self.provider == "self"


ROLES: Final = (
    Role(name="geth", provider="self", client="geth", delay_ns=40 * MS),
    Role(name=FORKS, provider="self", client="reth", delay_ns=30 * MS),
    Role(name="north-1", provider="north", client="geth", delay_ns=90 * MS),
    Role(name=STALLS, provider="north", client="nethermind", delay_ns=110 * MS),
    Role(name="north-3", provider="north", client="reth", delay_ns=100 * MS),
    Role(name="south", provider="south", client="besu", delay_ns=140 * MS),
)
"""A provider with three nodes still speaks for the head when one of them stalls; the own group is at odds meanwhile."""


class Scene:
    """The chain and its nodes, with the three levers of the story. `speed` divides every span of time."""

    def __init__(self, clock: Clock, *, speed: int, seed: int) -> None:
        self.slot_ns: Final = _SLOT_NS // speed // MS * MS
        spec = ChainSpec(seed=seed, slot_ns=self.slot_ns, history=_HISTORY, finalized_after=_FINALITY)
        self.chain: Final = SimChain(clock, spec)
        self.nodes: Final = {role.name: _node(self.chain, role, speed) for role in ROLES}

    @property
    def slot_s(self) -> float:
        """Seconds between two blocks."""
        return self.slot_ns / NS

    def fork(self) -> None:
        """Let one of the own nodes follow a branch that nobody else has."""
        self.chain.fork(_BRANCH, depth=1)
        self.nodes[FORKS].view.branch = _BRANCH

    def stall(self) -> None:
        """Let one provider's node answer on, from the block that it has now."""
        self.nodes[STALLS].view.freeze()

    def heal(self) -> None:
        """Undo both."""
        self.nodes[FORKS].view.branch = MAIN
        self.nodes[STALLS].view.thaw()


def _node(chain: SimChain, role: Role, speed: int) -> SimNode:
    client = f"{role.client}/simulated"
    return SimNode(chain, name=role.name, delay_ns=role.delay_ns // speed, sigma=0.3, client=client)


def configuration(scene: Scene, listeners: Mapping[str, Listener], folder: Path, broker_url: str | None) -> str:
    """Return the text of a configuration as a user would write it for these nodes."""
    return "\n".join([*_head(folder, broker_url), *_chain(scene), *_nodes(listeners), ""])


def state_dir(folder: Path) -> Path:
    """Return where the daemon keeps what it knows."""
    return folder / "state"


def runtime_dir(folder: Path) -> Path:
    """Return where the daemon's control socket is."""
    return folder / "run"


def _head(folder: Path, broker_url: str | None) -> Iterator[str]:
    yield "# Written by `tocsin demo` for simulated nodes. Every key: docs/reference/configuration.md"
    yield from ("schema = 1", "", "[watchdog]", f'site = "{SITE}"', f'name = "{WATCHDOG}"', 'environment = "demo"')
    yield f"state_dir = {json.dumps(str(state_dir(folder)))}"
    yield f"runtime_dir = {json.dumps(str(runtime_dir(folder)))}"
    if broker_url is not None:
        yield from ("", "[mqtt]", f'url = "{broker_url}"')
        yield from ("", "[self_test]", 'every = "0s"  # the story is about other alerts')


def _chain(scene: Scene) -> Iterator[str]:
    yield from ("", "[[chain]]", f'name = "{CHAIN}"', f"id = {scene.chain.spec.chain_id}")
    yield f'block_time = "{duration_text(scene.slot_ns)}"'
    yield f"finality_slots = {_FINALITY}"
    yield f'poll = "{duration_text(scene.slot_ns // 4)}"'
    yield f'tick = "{duration_text(scene.slot_ns // 16)}"'
    yield from ("", "  # The default of 32 block times on the agreed chain would keep you waiting for a minute.")
    yield from ('  [chain.detector."node.fork"]', f"  rejoin_slots = {_REJOIN_SLOTS}")


def _nodes(listeners: Mapping[str, Listener]) -> Iterator[str]:
    for role in ROLES:
        listener = listeners[role.name]
        yield from ("", "  [[chain.node]]", f'  name = "{role.name}"')
        yield from (f'  url = "{listener.url}"', f'  ws = "{listener.ws_url}"', '  timeout = "2s"')
        yield "  own = true" if role.own else f'  provider = "{role.provider}"'
        yield f'  client = "{role.client}"'
