"""A pool with beacon nodes beside its nodes, driven through the real codec and the real engine without sockets."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.support.pool import Pool, settings_for

from tocsin.model import beacon
from tocsin.model.beacon import payload_of
from tocsin.model.event import BeaconPolled
from tocsin.model.observation import BudgetUse, Fault, Part
from tocsin.model.settings import BeaconSettings, NodeSettings, Settings
from tocsin.rpc.beacon import EVERY, ONCE, PER_SLOT
from tocsin.testing import SimBeacon
from tocsin.wire import beacon as wire

ALL = EVERY + PER_SLOT + ONCE


def with_beacons(
    providers: Sequence[str], layer: Sequence[str], *, execution: Sequence[str | None] = (), **params: object
) -> Settings:
    """One chain with nodes n0, n1, ... and beacon nodes b0, b1, ... of the given providers; b0 is our own."""
    settings = settings_for(providers, **params)
    driven = [*execution, *[None] * len(layer)]
    beacons = tuple(
        BeaconSettings(
            node=NodeSettings(
                name=f"b{at}",
                id=f"sim.b{at}",
                endpoint="sim://",
                own=at == 0,
                provider=provider,
                operator=provider,
                client="sim",
                region="",
                host=f"hb{at}",
            ),
            execution=driven[at],
        )
        for at, provider in enumerate(layer)
    )
    return replace(settings, chains=(replace(settings.chains[0], beacons=beacons),))


def ask(node: SimBeacon, calls: tuple[str, ...] = ALL) -> tuple[Part, ...] | Fault:
    """Ask a simulated beacon node what the session would, payloads included."""
    parts = {call: wire.read(call, *node.answer(wire.PATHS[call])) for call in calls}
    head = parts[beacon.HEAD]
    if isinstance(head, Fault):
        return head
    final = parts.get(beacon.FINALITY)
    roots = [wire.root(wire.values(head), "data.root")]
    roots += [wire.root(wire.values(final), "data.finalized.root")] if isinstance(final, Part) else []
    for root in roots:
        if root is not None and int(root, 16):
            call = payload_of(root)
            parts[call] = wire.read(call, *node.answer(wire.PAYLOAD_PATHS[0] + root))
    return tuple(part if isinstance(part, Part) else wire.refused(call, part) for call, part in parts.items())


@dataclass
class BeaconPool(Pool):
    """Polls the beacon nodes with the nodes; `faults` by name are what a poll of one ends in instead."""

    faults: dict[str, Fault] = field(default_factory=dict)
    budgets: dict[str, BudgetUse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        layer = [one.node.name for one in self.settings.chains[0].beacons]
        self.beacons = {name: SimBeacon(self.chain, name=name, delay_ns=700_000_000) for name in layer}

    def round(self) -> None:
        for name in self.beacons:
            self.take(self.polled(name))
        super().round()

    def polled(self, name: str) -> BeaconPolled:
        """One poll of one beacon node, of everything there is to ask."""
        outcome = self.faults.get(name) or ask(self.beacons[name])
        blank = BeaconPolled(
            t_ns=self.now, started_ns=self.now - 10**6, chain="sim", node=name, poll=max(1, self.polls + 1)
        )
        blank = replace(blank, budget=self.budgets.get(name))
        return replace(blank, fault=outcome) if isinstance(outcome, Fault) else replace(blank, parts=outcome)
