"""What the daemon tells about itself on the broker: description and heartbeat, and which topics it keeps."""

from collections.abc import Mapping

from tocsin import __version__
from tocsin.detect import REGISTRY
from tocsin.engine import quiet
from tocsin.engine.selftest import echo_ms
from tocsin.engine.shown import block
from tocsin.engine.state import EngineState
from tocsin.model.settings import NodeSettings, Settings
from tocsin.store import Health
from tocsin.wire import topics


def description(settings: Settings) -> dict[str, object]:
    """Return what is watched, and by what."""
    return {
        "version": __version__,
        "schemas": {"event": 1, "status": 1},
        "public_keys": [],
        "detectors": sorted(REGISTRY),
        "chains": [
            {
                "name": chain.name,
                "id": chain.id,
                "nodes": [_node(node) for node in chain.nodes],
                "contracts": [{"name": one.name, "address": one.address} for one in chain.contracts],
                "indexes": [{"name": one.name, "from": one.start} for one in chain.indexes],
                "markets": [
                    {"name": one.name, "kind": one.kind, "pool": one.pool, "id": one.id or None}
                    for one in chain.markets
                ],
                "feeds": [
                    {"name": one.name, "address": one.address, "kind": one.kind.value, "prices": one.prices or None}
                    for one in chain.feeds
                ],
                "beacons": [{**_node(one.node), "execution": one.execution} for one in chain.beacons],
            }
            for chain in settings.chains
        ],
        "gateways": [
            {"name": one.name, "endpoint": one.endpoint, "prices": one.prices, "provider": one.provider}
            for chain in settings.chains
            for one in chain.gateways
            if one.judged
        ],
    }


def _node(node: NodeSettings) -> dict[str, object]:
    return {
        "name": node.name,
        "id": node.id,
        "endpoint": node.endpoint,
        "own": node.own,
        "provider": node.provider,
        "operator": node.operator,
        "client": node.client,
        "region": node.region,
    }


def heartbeat(state: EngineState, store: Health, since_seq: int) -> Mapping[str, object]:
    """Return the data of a heartbeat: how far the stream is, where each chain stands, how well we are.

    `since_seq` is the last number that was given before this life.
    """
    return {
        "event_seq": state.seq,
        "stream": store.stream,
        "last_seq": store.last_seq,
        "since_seq": since_seq,
        "heads": {
            name: {"head": block(chain.head.block), "grade": chain.head.grade.value}
            for name, chain in sorted(state.chains.items())
        },
        "alerts": quiet.counts(state),
        "loop_lag_ms": state.loop_lag_ns // 10**6,
        "outbox": store.counts.pending + store.counts.unsaved,
        "echo_ms": echo_ms(state),
    }


def configured_topics(settings: Settings) -> list[str]:
    """Return the retained topics of state that this configuration keeps, relative to the root."""
    found = [topics.chain_head(chain.name) for chain in settings.chains]
    found += [topics.node(chain.name, node.name) for chain in settings.chains for node in chain.everyone]
    found += [topics.contract(chain.name, one.name) for chain in settings.chains for one in chain.contracts]
    found += [topics.index(chain.name, one.name) for chain in settings.chains for one in chain.indexes]
    found += [topics.risk(chain.name, one.name) for chain in settings.chains for one in chain.markets]
    found += [topics.feed(chain.name, one.name) for chain in settings.chains for one in chain.feeds]
    found += [topics.gateway(one.name) for chain in settings.chains for one in chain.gateways if one.judged]
    return found
