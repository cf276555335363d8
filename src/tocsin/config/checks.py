"""What one value alone cannot tell: names given twice, secrets that others can read, pools too small for a quorum."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any

from tocsin.chain.consensus import LEAST_VOICES
from tocsin.chain.groups import group_nodes
from tocsin.config.calls import (
    CALLS_PER_POLL,
    CALLS_PER_SLOT,
    DAY_NS,
    beacon_requests_per_day,
    calls_per_day,
    index_units_per_day,
    units_per_day,
)
from tocsin.config.documents import Document, Table, read_file, tables
from tocsin.config.feed import GatewayTable
from tocsin.config.locate import Path
from tocsin.config.problems import Problems, suggestion
from tocsin.config.registry import public_key
from tocsin.config.secrets import KINDS, ConfiguredSecret, ConfiguredUrl, Sources, readable_by_others
from tocsin.config.tree import Asked, Beacon, Mqtt, Node, Provider, Tree
from tocsin.config.values import budget_text
from tocsin.engine.cadence import sparsest_ns
from tocsin.model.alert import Over, Under
from tocsin.model.settings import ChainSettings, NodeSettings, Settings
from tocsin.units import DurationNs, duration_text

_QUORUM = 2
_WAITING = "the indexes get what polls leave, and will often wait"
_LARGEST_PEM = 1 << 20
_SEVERITIES = ("info", "warning", "critical")


def check_names(document: Document, problems: Problems) -> None:
    """Report names and ids given twice; works on the raw tables, so that one run reports every kind of mistake."""
    chains = tables(document.data.get("chain"))
    providers = tables(document.data.get("provider"))
    windows = tables(document.data.get("maintenance"))
    _unique(document, problems, [(("maintenance", index), window) for index, window in windows], ("name",))
    consumers = tables(document.data.get("consumer"))
    _unique(document, problems, [(("consumer", index), consumer) for index, consumer in consumers], ("name",))
    gateways = tables(document.data.get("price_gateway"))
    _unique(document, problems, [(("price_gateway", index), gateway) for index, gateway in gateways], ("name",))
    channels = tables(document.data.get("notify"))
    for kind in ("market", "account"):
        _unique(document, problems, [((kind, index), one) for index, one in tables(document.data.get(kind))], ("name",))
    _unique(document, problems, [(("notify", index), channel) for index, channel in channels], ("name",))
    _unique(document, problems, [(("provider", index), provider) for index, provider in providers], ("name",))
    _unique(document, problems, [(("chain", index), chain) for index, chain in chains], ("name", "id"))
    for index, chain in chains:
        nodes: list[tuple[Path, Table]] = [
            (("chain", index, kind, at), node) for kind in ("node", "beacon") for at, node in tables(chain.get(kind))
        ]
        _unique(document, problems, nodes, ("name", "id"))
        watched: list[tuple[Path, Table]] = [
            (("chain", index, "contract", at), one) for at, one in tables(chain.get("contract"))
        ]
        _unique(document, problems, watched, ("name", "address"))
        indexes: list[tuple[Path, Table]] = [
            (("chain", index, "index", at), one) for at, one in tables(chain.get("index"))
        ]
        _unique(document, problems, indexes, ("name",))
        for path, one in indexes:
            events: list[tuple[Path, Table]] = [((*path, "event", at), event) for at, event in tables(one.get("event"))]
            _unique(document, problems, events, ("name",))
        feeds: list[tuple[Path, Table]] = [(("chain", index, "feed", at), one) for at, one in tables(chain.get("feed"))]
        _unique(document, problems, feeds, ("name",))
        _drives(document, problems, index, chain)


def _drives(document: Document, problems: Problems, index: int, chain: Table) -> None:
    """Report beacon nodes that drive a node which is not there."""
    names = [node["name"] for _, node in tables(chain.get("node")) if isinstance(node.get("name"), str)]
    for at, beacon in tables(chain.get("beacon")):
        driven = beacon.get("execution")
        if isinstance(driven, str) and driven not in names:
            where = ("chain", index, "beacon", at, "execution")
            problems.error(document.place(where), where, "is no node of this chain" + suggestion(driven, names))


def _unique(document: Document, problems: Problems, tables: list[tuple[Path, Table]], keys: tuple[str, ...]) -> None:
    for key in keys:
        first: dict[object, Path] = {}
        for path, table in tables:
            value = table.get(key)
            if not isinstance(value, str | int):
                continue
            # The same address may be written with and without its checksum.
            value = value.lower() if key == "address" and isinstance(value, str) else value
            here = (*path, key)
            earlier = first.setdefault((type(value), value), here)
            if earlier != here:
                message = f"the same {key} is given at {document.place(earlier)}"
                problems.error(document.place(here), here, message)


def check_providers(tree: Tree, document: Document, problems: Problems) -> None:
    """Report budgets of providers that no node has: what they should bound is spent without a bound."""
    known = {one.provider for chain in tree.chains for one in chain.everyone}
    for index, provider in enumerate(tree.providers):
        if provider.name not in known:
            where: Path = ("provider", index, "name")
            message = f"no node has the provider {provider.name}{suggestion(provider.name, sorted(known))}"
            problems.error(document.place(where), where, message)


def warn_of_limits(tree: Tree, document: Document, problems: Problems) -> None:
    """Warn of balances that are held against nothing: they are shown, and never an alert."""
    for number, chain in enumerate(tree.chains):
        for at, contract in enumerate(chain.contracts):
            for which, one in enumerate(contract.balance):
                if one.least is None and one.most is None:
                    where: Path = ("chain", number, "contract", at, "balance", which)
                    message = "has neither min nor max: it is shown, and no amount of it is ever an alert"
                    problems.warn(document.place(where), where, message)


def check_indexes(tree: Tree, document: Document, problems: Problems) -> None:
    """Report log indexes of chains whose nodes are not asked what is final: nothing could go into them."""
    for number, chain in enumerate(tree.chains):
        for at, _ in enumerate(chain.indexes if "finalized" not in chain.tags else ()):
            where: Path = ("chain", number, "index", at)
            message = "is built up to the finalized block, and this chain has none; write finalized in its tags"
            problems.error(document.place(where), where, message)


def check_markets(tree: Tree, document: Document, problems: Problems) -> None:
    """Report markets of chains that there are not, or twice the same one, and accounts in no such market."""
    chains = {chain.name: chain for chain in tree.chains}
    first: dict[tuple[str, ...], str] = {}
    for at, market in enumerate(tree.markets):
        where: Path = ("market", at)
        if (chain := chains.get(market.chain)) is None:
            where, message = (*where, "chain"), "is no chain of this configuration" + suggestion(market.chain, chains)
        elif market.index in [one.name for one in chain.indexes]:
            where, message = (*where, "name"), f"its log index is {market.index}, and there is one of that name"
        elif "finalized" not in chain.tags:
            message = f"its log index goes up to the finalized block, and {chain.name} has none; write it in its tags"
        elif (other := first.setdefault(market.identity, market.name)) != market.name:
            message = f"is the same market as {other}"
        else:
            continue
        problems.error(document.place(where), where, message)
    _check_accounts(tree, document, problems)


def _check_accounts(tree: Tree, document: Document, problems: Problems) -> None:
    known = [one.name for one in tree.markets]
    owners: dict[str, str] = {}
    for at, account in enumerate(tree.accounts):
        for which, name in enumerate(account.markets):
            if name not in known:
                where: Path = ("account", at, "markets", which)
                problems.error(document.place(where), where, "is no market here" + suggestion(name, known))
        if (other := owners.setdefault(account.address, account.name)) != account.name:
            where = ("account", at, "address")
            problems.error(document.place(where), where, f"is the address of account {other} too: name it once")
        if not known:
            problems.error(document.place(("account", at)), ("account", at), "is in no market: write [[market]] too")


def check_peers(tree: Tree, document: Document, problems: Problems) -> None:
    """Report watchdogs that cannot be watched: this one, one named twice, or all where there is no broker."""
    own = f"{tree.watchdog.site}/{tree.watchdog.name}"
    for at, peer in enumerate(tree.watchdog.peers):
        where: Path = ("watchdog", "peers", at)
        if peer == own:
            problems.error(document.place(where), where, "is this watchdog itself; name the others")
        elif peer in tree.watchdog.peers[:at]:
            problems.error(document.place(where), where, f"{peer} is named twice")
    if tree.watchdog.peers and tree.mqtt is None:
        where = ("watchdog", "peers")
        message = "are heard over the broker, and there is none; write [mqtt] with the broker that they use too"
        problems.error(document.place(where), where, message)


def check_homeassistant(tree: Tree, document: Document, problems: Problems) -> None:
    """Report that Home Assistant cannot be told anything, for want of a broker."""
    if tree.homeassistant is not None and tree.mqtt is None:
        where: Path = ("homeassistant",)
        message = "is told over the broker, and there is none; write [mqtt] with the broker that it uses too"
        problems.error(document.place(where), where, message)


def check_consumers(tree: Tree, document: Document, problems: Problems) -> None:
    """Report consumers that nothing could be heard of, for want of a broker."""
    if tree.consumers and tree.mqtt is None:
        where: Path = ("consumer", 0)
        message = "is heard over the broker, and there is none; write [mqtt] with the broker that it uses too"
        problems.error(document.place(where), where, message)


def check_deadman(tree: Tree, document: Document, problems: Problems) -> None:
    """Report a ping that could prove nothing of delivery, though there is a broker; say what it means without one."""
    where: Path = ("deadman",)
    if tree.deadman is None:
        return
    if tree.mqtt is None:
        message = "without [mqtt] a full pass is poll, tick and commit: the ping says nothing of whether alerts get out"
        problems.warn(document.place(where), where, message)
    elif not tree.self_test.every_ns:
        message = "a full pass ends with the echo of the self-test, and there is none; write [self_test] every"
        problems.error(document.place(where), where, message)


def check_files(tree: Tree, document: Document, problems: Problems) -> None:
    """Report certificates and keys that cannot be read."""
    for where, name in _pem_files(tree):
        try:
            if b"-----BEGIN " not in read_file(name, _LARGEST_PEM):
                problems.error(document.place(where), where, "is not a PEM file")
        except OSError as error:
            problems.error(document.place(where), where, str(error))
        if where[-1] == "key" and readable_by_others(FilePath(name)):
            problems.warn(document.place(where), where, "every user can read this key; chmod o-r")


def _pem_files(tree: Tree) -> Iterator[tuple[Path, str]]:
    for path, owner in _owners(tree):
        for key in ("ca", "cert", "key"):
            if (name := getattr(owner, key, None)) is not None:
                yield (*path, key), name
    for index, channel in enumerate(tree.channels):
        if channel.ca is not None:
            yield ("notify", index, "ca"), channel.ca


def warn_of_secrets(tree: Tree, document: Document, sources: Sources, problems: Problems) -> None:
    """Warn of secrets that every user of the host can read, and of what is none but names where one is."""
    for path, secret in _secrets(tree):
        place = document.place(path)
        if secret.source is None:
            kind = secret.reveal().partition(":")[0]
            if kind in KINDS and not isinstance(secret, ConfiguredUrl):
                problems.warn(place, path, f'is the secret itself as it stands; to read it write {{ {kind} = "..." }}')
            if _is_hidden(secret) and readable_by_others(FilePath(place.file)):
                problems.warn(
                    place, path, f"every user can read this secret; chmod o-r {place.file}, or keep it outside"
                )
            continue
        file = sources.path(secret.source)
        if file is not None and readable_by_others(file):
            problems.warn(place, path, f"every user can read the secret in {file}; chmod o-r")


def _is_hidden(secret: ConfiguredSecret) -> bool:
    return not isinstance(secret, ConfiguredUrl) or str(secret) != secret.reveal().rstrip("/")


def warn_of_pools(settings: Settings, tree: Tree, document: Document, problems: Problems) -> None:
    """Warn where the configuration itself keeps facts from being corroborated, or nodes from being asked."""
    for index, chain in enumerate(settings.chains):
        path: Path = ("chain", index)
        groups = len(group_nodes(chain.nodes, chain.vote_by).groups)
        if groups < _QUORUM:
            nodes = "one node makes" if len(chain.nodes) == 1 else f"{len(chain.nodes)} nodes make"
            problems.warn(
                document.place(path),
                path,
                f"uncorroborated by configuration: {nodes} one independent group, a quorum takes "
                "two; add a node of another provider, or see vote_by",
            )
        for at, node in enumerate(tree.chains[index].nodes):
            _warn_of_node(chain, node, chain.nodes[at], (*path, "node", at), document, problems)
        for at, beacon in enumerate(tree.chains[index].beacons):
            _warn_of_beacon(chain, beacon, (*path, "beacon", at, "budget"), document, problems)
        _warn_of_twins(tree.chains[index].nodes, path, document, problems)
        for name, params in chain.detectors.items():
            _warn_of_limits(params, (*path, "detector", name), document, problems)
    for name, params in settings.detectors.items():
        _warn_of_limits(params, ("detector", name), document, problems)
    warn_of_prices(settings, tree, document, problems)
    for at, provider in enumerate(tree.providers):
        _warn_of_purse(provider, settings, ("provider", at, "budget"), document, problems)


def warn_of_prices(settings: Settings, tree: Tree, document: Document, problems: Problems) -> None:
    """Warn of sources of a price that are too few to tell which of them is wrong, and of gateways of no use."""
    for index, chain in enumerate(settings.chains):
        for pair in sorted({one.prices for one in chain.feeds if one.prices}):
            said = [one.provider for one in chain.feeds if one.prices == pair]
            said += [one.provider for one in chain.gateways if one.prices == pair]
            voices = len(set(said))
            if len(said) > 1 and voices < LEAST_VOICES:
                at = next(at for at, one in enumerate(chain.feeds) if one.prices == pair)
                path: Path = ("chain", index, "feed", at)
                sources = "1 independent source" if voices == 1 else f"{voices} independent sources"
                message = f"{pair} has {sources}, a market takes {LEAST_VOICES}: prices are shown, and none is judged"
                problems.warn(document.place(path), path, message)
    used = {one.name for chain in settings.chains for one in chain.gateways}
    for at, gateway in enumerate(tree.gateways):
        if gateway.name not in used:
            path = ("price_gateway", at, "prices")
            known = sorted({one.prices for chain in settings.chains for one in chain.feeds if one.prices})
            message = f"no feed prices {gateway.prices}{suggestion(gateway.prices, known)}: it is not asked"
            problems.warn(document.place(path), path, message)


def _warn_of_purse(provider: Provider, settings: Settings, path: Path, document: Document, problems: Problems) -> None:
    """Warn of a budget that polling all nodes of the provider would overdraw, or their log indexes with it."""
    own = [(chain, node) for chain in settings.chains for node in chain.nodes if node.provider == provider.name]
    needed = sum(units_per_day(chain, node, provider.prices) for chain, node in own) + sum(
        beacon_requests_per_day(chain)
        for chain in settings.chains
        for one in chain.beacons
        if one.node.provider == provider.name
    )
    spare = sum(index_units_per_day(chain, node, provider.prices) for chain, node in own)
    given = budget_text(provider.budget)
    if provider.budget < needed:
        said = f"polling the nodes of {provider.name} takes: they will be asked more rarely"
        problems.warn(document.place(path), path, f"{given} is less than the about {needed} units that {said}")
    elif provider.budget < needed + spare:
        message = f"{given} is less than the about {needed + spare} units that its nodes and their log indexes take"
        problems.warn(document.place(path), path, f"{message}: {_WAITING}")


def _warn_of_node(
    chain: ChainSettings, node: Node, watched: NodeSettings, path: Path, document: Document, problems: Problems
) -> None:
    needed = calls_per_day(chain, watched)
    if node.budget is not None and node.budget < needed:
        where = (*path, "budget")
        sparsest = sparsest_ns(chain.block_time_ns, chain.poll_ns)
        floor = DAY_NS // sparsest * (CALLS_PER_POLL + CALLS_PER_SLOT)
        meanwhile = (
            f"even the rarest polls take {floor}: it will often not be asked at all"
            if node.budget < floor
            else f"it will be asked more rarely, down to every {duration_text(DurationNs(sparsest))}"
        )
        message = f"{budget_text(node.budget)} is less than the about {needed} calls that polling takes; {meanwhile}"
        problems.warn(document.place(where), where, message)
    elif node.budget is not None and node.budget < (whole := needed + index_units_per_day(chain, watched, {})):
        where = (*path, "budget")
        message = f"{budget_text(node.budget)} is less than the about {whole} calls that polling and log indexes take"
        problems.warn(document.place(where), where, f"{message}: {_WAITING}")
    for tag in chain.vote_by if node.own else ():
        if not getattr(node, tag):
            problems.warn(
                document.place(path), path, f"has no {tag}, which vote_by names: own nodes without it share a vote"
            )


def _warn_of_beacon(chain: ChainSettings, beacon: Beacon, path: Path, document: Document, problems: Problems) -> None:
    needed = beacon_requests_per_day(chain)
    if beacon.budget is not None and beacon.budget < needed:
        message = f"{budget_text(beacon.budget)} is less than the about {needed} requests that polling takes"
        problems.warn(document.place(path), path, f"{message}: it will be asked more rarely")


def _warn_of_twins(nodes: tuple[Node, ...], path: Path, document: Document, problems: Problems) -> None:
    first: dict[str, str] = {}
    for at, node in enumerate(nodes):
        if (other := first.setdefault(node.url.reveal().rstrip("/"), node.name)) != node.name:
            where = (*path, "node", at, "url")
            problems.warn(document.place(where), where, f"is the URL of node {other} too: one node under two names")


def _warn_of_limits(params: Any, path: Path, document: Document, problems: Problems) -> None:
    """Warn of a clear limit above the one that fires, and of a severity that begins below a lower one."""
    limits = [(name, getattr(params, name, None)) for name in _SEVERITIES]
    rising = [(name, limit) for name, limit in limits if isinstance(limit, Over)]
    clear = getattr(params, "clear", None)
    for (low, below), (high, above) in pairwise(rising):
        if above.over < below.over:
            where = (*path, public_key(high))
            problems.warn(document.place(where), where, f"{high} begins below {low}, at {above.over}")
    if isinstance(clear, Under) and rising and clear.under > min(limit.over for _, limit in rising):
        where = (*path, "clear")
        problems.warn(document.place(where), where, "clears above the limit that fires: it would flap")


def _owners(tree: Tree) -> Iterator[tuple[Path, Mqtt | Asked | GatewayTable]]:
    if tree.mqtt is not None:
        yield ("mqtt",), tree.mqtt
    for index, chain in enumerate(tree.chains):
        for at, node in enumerate(chain.nodes):
            yield ("chain", index, "node", at), node
        for at, beacon in enumerate(chain.beacons):
            yield ("chain", index, "beacon", at), beacon
    for index, gateway in enumerate(tree.gateways):
        yield ("price_gateway", index), gateway


def _secrets(tree: Tree) -> Iterator[tuple[Path, ConfiguredSecret]]:
    for path, owner in _owners(tree):
        for key in type(owner).model_fields:
            if isinstance(value := getattr(owner, key), ConfiguredSecret):
                yield (*path, key), value
        for name, value in getattr(owner, "headers", {}).items():
            yield (*path, "headers", name), value
    for index, consumer in enumerate(tree.consumers):
        yield ("consumer", index, "key"), consumer.key
    if tree.deadman is not None:
        yield ("deadman", "url"), tree.deadman.url
    for index, channel in enumerate(tree.channels):
        for key, value in (("url", channel.url), ("key", channel.key)):
            if value is not None:
                yield ("notify", index, key), value
