"""What a new configuration would change, and whether a running daemon may take it; `config diff` says the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tocsin.config.load import Loaded
from tocsin.config.tree import Asked, Chain, Tree

_RESTART = ("site", "name", "environment", "state_dir", "runtime_dir")
"""Of [watchdog]: topics, labels, files and sockets of a running daemon are named by them."""


_WHOLE = (
    "broker",
    "homeassistant",
    "journal",
    "host",
    "peers",
    "gateways",
    "markets",
    "accounts",
    "consumers",
    "channels",
    "self_test",
    "deadman",
    "alerts",
    "silences",
    "maintenance",
)
"""What is told to differ as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Differences between two configurations; nodes as (chain, node), detectors as (chain, id) with "" for self.*.

    `refused` has one sentence per change that a running daemon cannot take; it then keeps the old configuration.
    """

    chains_added: tuple[str, ...] = ()
    chains_removed: tuple[str, ...] = ()
    chains_changed: Mapping[str, tuple[str, ...]]
    """Name to the keys that differ, nodes and detectors apart."""
    nodes_added: tuple[tuple[str, str], ...] = ()
    nodes_removed: tuple[tuple[str, str], ...] = ()
    nodes_changed: Mapping[tuple[str, str], tuple[str, ...]]
    detectors_changed: tuple[tuple[str, str], ...] = ()
    broker_changed: bool = False
    homeassistant_changed: bool = False
    journal_changed: bool = False
    host_changed: bool = False
    peers_changed: bool = False
    self_test_changed: bool = False
    deadman_changed: bool = False
    alerts_changed: bool = False
    silences_changed: bool = False
    maintenance_changed: bool = False
    gateways_changed: bool = False
    markets_changed: bool = False
    accounts_changed: bool = False
    consumers_changed: bool = False
    channels_changed: bool = False
    refused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def lines(self) -> Iterator[str]:
        """Yield one line per difference, `+` for what comes, `-` for what goes, `~` for what changes."""
        for sign, chains in (("+", self.chains_added), ("-", self.chains_removed)):
            yield from (f"{sign} chain {name}" for name in chains)
        yield from (f"~ chain {name}: {', '.join(keys)}" for name, keys in self.chains_changed.items())
        for sign, nodes in (("+", self.nodes_added), ("-", self.nodes_removed)):
            yield from (f"{sign} node {chain}/{node}" for chain, node in nodes)
        for (chain, node), keys in self.nodes_changed.items():
            yield f"~ node {chain}/{node}: {', '.join(keys)}"
        for chain, detector in self.detectors_changed:
            yield f"~ detector {detector}" + (f" on {chain}" if chain else "")
        yield from (f"~ {what}" for what in _WHOLE if getattr(self, f"{what}_changed"))
        yield from (f"! {reason}" for reason in self.refused)


def changes(old: Loaded, new: Loaded) -> Changes:
    """Compare two configurations. A secret that was replaced is a change, though both are shown alike."""
    before, after = _chains(old.tree), _chains(new.tree)
    both = [name for name in before if name in after]
    nodes_before, nodes_after = _nodes(old.tree), _nodes(new.tree)
    return Changes(
        chains_added=tuple(name for name in after if name not in before),
        chains_removed=tuple(name for name in before if name not in after),
        chains_changed={name: keys for name in both if (keys := _keys(before[name], after[name]))},
        nodes_added=tuple(key for key in nodes_after if key not in nodes_before),
        nodes_removed=tuple(key for key in nodes_before if key not in nodes_after),
        nodes_changed={
            key: keys
            for key in nodes_before
            if key in nodes_after and (keys := _keys(nodes_before[key], nodes_after[key]))
        },
        detectors_changed=tuple(_detectors(old, new)),
        broker_changed=old.tree.mqtt != new.tree.mqtt,
        homeassistant_changed=old.tree.homeassistant != new.tree.homeassistant,
        journal_changed=old.tree.journal != new.tree.journal,
        host_changed=old.settings.host != new.settings.host,
        self_test_changed=old.tree.self_test != new.tree.self_test,
        deadman_changed=old.tree.deadman != new.tree.deadman,
        alerts_changed=old.tree.alerts != new.tree.alerts,
        silences_changed=old.tree.silences != new.tree.silences,
        maintenance_changed=old.tree.maintenance != new.tree.maintenance,
        peers_changed=old.settings.peers != new.settings.peers,
        channels_changed=old.tree.channels != new.tree.channels,
        gateways_changed=old.tree.gateways != new.tree.gateways,
        markets_changed=old.tree.markets != new.tree.markets,
        accounts_changed=old.tree.accounts != new.tree.accounts,
        consumers_changed=old.tree.consumers != new.tree.consumers,
        refused=(
            *_restarts(old.tree, new.tree),
            *(_other_chain(before[name], after[name]) for name in both if before[name].id != after[name].id),
        ),
    )


def _chains(tree: Tree) -> dict[str, Chain]:
    return {chain.name: chain for chain in tree.chains}


def _nodes(tree: Tree) -> dict[tuple[str, str], Asked]:
    return {(chain.name, node.name): node for chain in tree.chains for node in chain.everyone}


def _keys(old: Chain | Asked, new: Chain | Asked) -> tuple[str, ...]:
    fields = type(old).model_fields
    if type(old) is not type(new):
        return ("kind",)
    apart = {"nodes", "beacons", "detectors", "profile"}  # told apart; a profile matters by what it brings
    return tuple(
        field.alias or name
        for name, field in fields.items()
        if name not in apart and getattr(old, name) != getattr(new, name)
    )


def _detectors(old: Loaded, new: Loaded) -> Iterator[tuple[str, str]]:
    limits = _differing(old.settings.detectors, new.settings.detectors)
    for detector in sorted(limits | _differing(old.settings.keep_firing, new.settings.keep_firing)):
        yield "", detector
    after = {chain.name: chain for chain in new.settings.chains}
    for chain in old.settings.chains:
        if (now := after.get(chain.name)) is not None:
            pairs = ((chain.detectors, now.detectors), (chain.trust, now.trust), (chain.keep_firing, now.keep_firing))
            differing = {name for before, after_ in pairs for name in _differing(before, after_)}
            yield from ((chain.name, detector) for detector in sorted(differing))


def _differing(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    return {key for key in {*before, *now} if before.get(key) != now.get(key)}


def _restarts(old: Tree, new: Tree) -> Iterator[str]:
    for key in _RESTART:
        before, after = getattr(old.watchdog, key), getattr(new.watchdog, key)
        if before != after:
            yield f"watchdog.{key} changed from {before} to {after}: restart the daemon for it"


def _other_chain(old: Chain, new: Chain) -> str:
    return f"chain {old.name} changed its id from {old.id} to {new.id}: give another chain another name"
