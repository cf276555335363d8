"""From the tree to what the pure core gets: derived defaults, Params of every detector, `Settings` without secrets."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError

from tocsin.config.documents import Document
from tocsin.config.feed import gateways_of
from tocsin.config.locate import Path
from tocsin.config.market import markets_of
from tocsin.config.problems import Problems, suggestion
from tocsin.config.registry import KEEP, SELF, TRUST, Registry, given, public_key, table_of
from tocsin.config.tree import Asked, Chain, Mqtt, Node, Tree
from tocsin.config.values import duration_or_zero
from tocsin.config.wording import describe_value
from tocsin.model.alert import Over, Under
from tocsin.model.block import BlockRef
from tocsin.model.settings import (
    BaseFeeRule,
    BeaconSettings,
    ChainSettings,
    ConsumerSettings,
    HostSettings,
    NodeSettings,
    Settings,
)
from tocsin.model.trust import Trust
from tocsin.units import DurationNs, duration_ns

SHORTEST_TIMEOUT = duration_ns("250ms")
"""A fast poll does not make a network fast (the floor of adaptive timeouts in the pool's design)."""

SHORTEST_BEACON_TIMEOUT = duration_ns("1s")
"""One poll of a beacon node is several requests, and a block may be among the answers."""

SELF_PROVIDER = "self"

AnyAsked = TypeVar("AnyAsked", bound=Asked)

Overrides = Mapping[str, Mapping[str, Any]]
"""Detector id to the fields that a table sets."""


def complete(tree: Tree, folder: FilePath) -> Tree:
    """Return the tree without gaps: derived tags, ids and timeouts filled in, file names absolute."""
    watchdog = tree.watchdog.model_copy(
        update={key: _absolute(getattr(tree.watchdog, key), folder) for key in ("state_dir", "runtime_dir")}
    )
    chains = tuple(
        chain.model_copy(
            update={
                "nodes": tuple(_node(node, chain, tree.watchdog.site, folder) for node in chain.nodes),
                "beacons": tuple(
                    _node(beacon, chain, tree.watchdog.site, folder, SHORTEST_BEACON_TIMEOUT)
                    for beacon in chain.beacons
                ),
                "feeds": tuple(one.completed() for one in chain.feeds),
            }
        )
        for chain in tree.chains
    )
    mqtt = tree.mqtt and tree.mqtt.model_copy(update=_tls_files(tree.mqtt, folder))
    host = tree.host and tree.host.model_copy(
        update={"disk": tuple(_absolute(path, folder) for path in tree.host.disk)}
    )
    channels = tuple(one.model_copy(update={"ca": one.ca and _absolute(one.ca, folder)}) for one in tree.channels)
    completed = {"watchdog": watchdog, "chains": chains, "mqtt": mqtt, "host": host, "channels": channels}
    completed["gateways"] = tuple(one.completed(folder) for one in tree.gateways)
    return tree.model_copy(update=completed)


def _node(
    node: AnyAsked, chain: Chain, site: str, folder: FilePath, shortest: DurationNs = SHORTEST_TIMEOUT
) -> AnyAsked:
    provider = node.provider or (SELF_PROVIDER if node.own else node.url.host or SELF_PROVIDER)
    derived = {
        "provider": provider,
        "operator": node.operator or provider,
        "id": node.id or f"{site}.{node.name}",
        "timeout_ns": node.timeout_ns or DurationNs(max(chain.poll_ns, shortest)),
    }
    return node.model_copy(update={**derived, **_tls_files(node, folder)})


def _tls_files(owner: Asked | Mqtt, folder: FilePath) -> dict[str, str]:
    names = {key: getattr(owner, key) for key in ("ca", "cert", "key")}
    return {key: _absolute(name, folder) for key, name in names.items() if name is not None}


def _absolute(name: str, folder: FilePath) -> str:
    return str(folder / name)


class DetectorTables:
    """The tables of detectors, checked against the registry; problems are reported as they are met."""

    def __init__(self, document: Document, registry: Registry, problems: Problems) -> None:
        self._document = document
        self._registry = registry
        self._problems = problems

    def common(self) -> Overrides:
        """Check [detector]."""
        return dict(self._checked(self._document.data.get("detector"), ("detector",), self._registry))

    def of_chain(self, index: int) -> Overrides:
        """Check [chain.detector] of one chain, where detectors of the watchdog itself have no place."""
        path: Path = ("chain", index, "detector")
        return dict(
            self._checked(self._document.data["chain"][index].get("detector"), path, _of_chains(self._registry))
        )

    def of_profile(self, tables: Mapping[str, Any], index: int) -> Overrides:
        """Check the detectors of a chain's profile."""
        return dict(self._checked(tables, ("chain", index, "profile"), self._registry))

    def _checked(self, tables: object, at: Path, known: Registry) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if not isinstance(tables, Mapping):
            return  # absent, or the tree says that it is no table
        for name, table in tables.items():
            path = (*at, name)
            if name in known:
                yield name, self._table(known[name], table, path, earns=not name.startswith(SELF))
            elif name in self._registry:
                self._error(path, "watches the watchdog itself; write it as [detector], not under a chain")
            else:
                self._error(path, "unknown detector" + suggestion(str(name), known))

    def _table(self, params: type[Any], table: object, path: Path, *, earns: bool) -> Mapping[str, Any]:
        """Return the fields that a table sets, and what stands beside them; `trust` for one that `earns` some."""
        known = (TRUST, KEEP) if earns else (KEEP,)
        beside: dict[str, Any] = {}
        if isinstance(table, Mapping):
            if TRUST in known and TRUST in table:
                beside |= self._trust(table[TRUST], (*path, TRUST))
            if KEEP in table:
                beside |= self._keep(table[KEEP], (*path, KEEP))
            table = {key: value for key, value in table.items() if key not in known}
        fields = self._params(params, table, path, known)
        if not earns:
            self._check_spans(fields, path)
        return {**fields, **beside}

    def _keep(self, value: object, path: Path) -> dict[str, Any]:
        try:
            return {KEEP: duration_or_zero(value)}
        except ValueError as error:
            self._error(path, str(error))
            return {}

    def _check_spans(self, fields: Mapping[str, Any], path: Path) -> None:
        """Report limits in blocks where no chain has any."""
        for key, limit in fields.items():
            if isinstance(limit, Over | Under) and limit.blocks:
                self._error((*path, public_key(key), "for"), "belongs to no chain that has blocks; write a duration")

    def _trust(self, word: object, path: Path) -> dict[str, Any]:
        words = [each.value for each in Trust]
        if word in words:
            return {TRUST: Trust(word)}
        self._error(path, f"write one of {', '.join(words)}")
        return {}

    def _params(self, params: type[Any], table: object, path: Path, beside: tuple[str, ...]) -> Mapping[str, Any]:
        try:
            fields = given(table_of(params).model_validate(table))
        except ValidationError as error:
            for found in error.errors(include_input=False, include_url=False):
                where = (*path, *found["loc"])
                if found["type"] == "extra_forbidden":
                    known = _keys_at(params, tuple(found["loc"][:-1]))
                    known += beside if len(found["loc"]) == 1 else ()
                    self._error(where, "unknown key" + suggestion(str(found["loc"][-1]), known))
                else:
                    self._error(where, describe_value(found, where))
            return {}
        try:
            params(**fields)
        except (TypeError, ValueError) as error:
            self._error(path, str(error))
        return fields

    def _error(self, path: Path, message: str) -> None:
        self._problems.error(self._document.place(path), path, message)


def _keys_at(params: type[Any], path: Path) -> list[str]:
    """Return the keys of a Params class, or of the table inside it that `path` leads to."""
    model = table_of(params)
    if not path:
        return [field.alias or name for name, field in model.model_fields.items()]
    schema = model.model_json_schema(by_alias=True)
    node = schema
    for key in path:
        node = node.get("properties", {}).get(key, {}) if isinstance(key, str) else node.get("items", {})
        options = [node, *node.get("anyOf", [])]
        reference = next((option["$ref"] for option in options if "$ref" in option), None)
        node = schema["$defs"][reference.rpartition("/")[2]] if reference else node
    return list(node.get("properties", {}))


def settings_of(
    tree: Tree, registry: Registry, common: Overrides, chains: list[tuple[Overrides, Overrides]]
) -> Settings:
    """Return what the core gets, but for the hash. `chains` has the overrides of profile and chain for each chain."""
    own = {name: params for name, params in registry.items() if name.startswith(SELF)}
    gateways = gateways_of(tree.gateways, [{one.prices for one in chain.feeds if one.prices} for chain in tree.chains])
    return Settings(
        site=tree.watchdog.site,
        watchdog=tree.watchdog.name,
        environment=tree.watchdog.environment,
        config_hash="",
        chains=tuple(
            replace(
                _with_markets(tree, chain, resolved(_of_chains(registry), profile, common, specific)),
                trust=trusted(profile, common, specific),
                keep_firing=keeping(_of_chains(registry), profile, common, specific),
                gateways=fitting,
            )
            for chain, (profile, specific), fitting in zip(tree.chains, chains, gateways, strict=True)
        ),
        detectors=resolved(own, common),
        keep_firing=keeping(own, common),
        host=_host_settings(tree),
        peers=tree.watchdog.peers,
        alerts=tree.alerts.rules(),
        silences=tuple(one.silence(number) for number, one in enumerate(tree.silences, 1)),
        windows=tuple(one.window() for one in tree.maintenance),
        consumers=tuple(ConsumerSettings(name=one.name, silent_after_ns=one.silent_after_ns) for one in tree.consumers),
        channels=tuple(one.channel() for one in tree.channels),
        self_test_ns=tree.self_test.every_ns if tree.mqtt is not None else 0,
    )


def tls_endpoints(tree: Tree) -> dict[str, Asked | Mqtt]:
    """Return who shows a certificate, by scheme, host and port; what is behind a proxy is not looked at."""
    found: dict[str, Asked | Mqtt] = {}
    for chain in tree.chains:
        for node in chain.everyone:
            for url in (node.url, node.ws if isinstance(node, Node) else None):
                if url is not None and url.scheme in ("https", "wss") and node.proxy is None:
                    found.setdefault(str(url), node)
    if tree.mqtt is not None and tree.mqtt.url.scheme == "mqtts":
        found.setdefault(str(tree.mqtt.url), tree.mqtt)
    return found


def _host_settings(tree: Tree) -> HostSettings | None:
    host = tree.host
    if host is None:
        return None
    return HostSettings(
        disks=tuple(dict.fromkeys(host.disk)),
        units=tuple(dict.fromkeys(host.units)),
        ntp=tuple(dict.fromkeys(host.ntp)),
        certificates=tuple(tls_endpoints(tree)) if host.certs else (),
        period_ns=host.period_ns,
    )


def _of_chains(registry: Registry) -> Registry:
    return {name: params for name, params in registry.items() if not name.startswith(SELF)}


def resolved(registry: Registry, *layers: Overrides) -> Mapping[str, object]:
    """Return Params of every detector in the registry; a later layer goes before an earlier one, key by key."""
    return {
        name: params(
            **{key: value for layer in layers for key, value in layer.get(name, {}).items() if key not in (TRUST, KEEP)}
        )
        for name, params in sorted(registry.items())
    }


def trusted(*layers: Overrides) -> Mapping[str, Trust]:
    """Return how far detectors are believed, as configured; a later layer goes before an earlier one."""
    found = {name: fields[TRUST] for layer in layers for name, fields in layer.items() if TRUST in fields}
    return dict(sorted(found.items()))


def keeping(registry: Registry, *layers: Overrides) -> Mapping[str, int]:
    """Return how long alerts of detectors keep firing, as configured; a later layer goes before an earlier one."""
    found = {name: fields[KEEP] for layer in layers for name, fields in layer.items() if KEEP in fields}
    return {name: ns for name, ns in sorted(found.items()) if ns and name in registry}


def _with_markets(tree: Tree, chain: Chain, detectors: Mapping[str, object]) -> ChainSettings:
    """Return a chain with its markets, and the log indexes that they bring with them."""
    settings = _chain_settings(chain, detectors)
    markets, indexes = markets_of(tree.markets, tree.accounts, chain.name)
    return replace(settings, markets=markets, indexes=(*settings.indexes, *indexes))


def _chain_settings(chain: Chain, detectors: Mapping[str, object]) -> ChainSettings:
    return ChainSettings(
        name=chain.name,
        id=chain.id,
        block_time_ns=chain.block_time_ns,
        poll_ns=chain.poll_ns,
        tick_ns=chain.tick_ns,
        vote_by=chain.vote_by,
        nodes=tuple(_node_settings(node) for node in chain.nodes),
        contracts=tuple(one.settings() for one in chain.contracts),
        reader=chain.reader.settings(),
        indexes=tuple(one.settings() for one in chain.indexes),
        feeds=tuple(one.settings() for one in chain.feeds),
        beacons=tuple(BeaconSettings(node=_node_settings(one), execution=one.execution) for one in chain.beacons),
        detectors=detectors,
        genesis_hash=chain.genesis_hash,
        network_id=chain.network_id,
        finality_slots=chain.finality_slots,
        epoch_slots=chain.epoch_slots,
        genesis_time_s=chain.genesis_time,
        clock_drift_ns=chain.clock_drift_ns,
        tags=chain.tags,
        hashes_as_ethereum=chain.header_hash == "ethereum",
        base_fee=None if chain.base_fee is None else BaseFeeRule(**dict(chain.base_fee)),
        forks=tuple(sorted(chain.forks.items(), key=lambda fork: (fork[1], fork[0]))),
        trusted=None if chain.trusted is None else BlockRef(**dict(chain.trusted)),
        tie_break=chain.tie_break,
    )


def _node_settings(node: Asked) -> NodeSettings:
    return NodeSettings(
        name=node.name,
        id=node.id,
        endpoint=str(node.url),
        own=node.own,
        provider=node.provider,
        operator=node.operator,
        client=node.client,
        region=node.region,
        host=node.host,
        ws=isinstance(node, Node) and node.ws is not None,
    )
