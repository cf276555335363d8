"""What Home Assistant is told of a watchdog, so that it shows it: devices and their entities, by MQTT discovery.

One device for the watchdog, each chain and each node, on a retained topic of its own below the discovery prefix; what
is configured no longer is cleared there, and the device is gone. Entities read the topics of the wire contract as they
are. Source: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload (Home Assistant 2024.11 and
later), and `homeassistant/components/mqtt/schemas.py` of its source.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from tocsin.chain.nodelife import NodeState
from tocsin.model.alert import REASONS, Grade
from tocsin.model.settings import ChainSettings, NodeSettings, Settings
from tocsin.mqtt.presence import State
from tocsin.wire import topics
from tocsin.wire.envelope import Origin

PREFIX: Final = "homeassistant"
"""The default of Home Assistant."""

Json = Mapping[str, object]

_GONE: Final = (State.DISCONNECTED, State.LOST)
_WELL: Final = (
    NodeState.INIT,
    NodeState.VERIFYING,
    NodeState.HEALTHY,
    NodeState.PROBATION,
    NodeState.MAINTENANCE,
)
"""States of a node that are no problem, or not one that is known."""
_SILENT: Final = (NodeState.INIT, NodeState.UNREACHABLE)
_DIVIDED: Final = (Grade.SPLIT, Grade.BLIND)
_MISSED: Final = 3
"""So many heartbeats that do not come are the end of one."""
_DIAGNOSTIC: Final = {"entity_category": "diagnostic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """Who announces, and where: the prefix of discovery topics, and the seconds between two heartbeats."""

    origin: Origin
    version: str
    prefix: str = PREFIX
    period_s: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    id: str
    name: str
    model: str
    via: str | None = None


def documents(who: Announced, settings: Settings) -> dict[str, bytes]:
    """Return the payload of each discovery topic, both as they go to the broker."""
    watchdog = _watchdog(who)
    found = {watchdog: _watchdog_entities(who)}
    for chain in settings.chains:
        found[_chain(who, watchdog, chain)] = _chain_entities(who, chain)
        for node in chain.nodes:
            found[_node(who, watchdog, chain, node, "Node")] = _node_entities(who, chain, node)
        for beacon in chain.beacons:
            found[_node(who, watchdog, chain, beacon.node, "Beacon node")] = _beacon_entities(who, chain, beacon.node)
    return {
        f"{who.prefix}/device/{device.id}/config": _payload(who, device, dict(entities))
        for device, entities in found.items()
    }


def _payload(who: Announced, device: _Device, entities: Mapping[str, Json]) -> bytes:
    document = {
        "device": {
            "identifiers": [device.id],
            "name": device.name,
            "manufacturer": "Tocsin",
            "model": device.model,
            "sw_version": who.version,
            **({"via_device": device.via} if device.via is not None else {}),
        },
        "origin": {"name": "Tocsin", "sw_version": who.version},
        "availability": [
            {
                "topic": who.origin.root + topics.STATUS,
                "value_template": f"{{{{ 'offline' if {_value('state')} in {_listed(_GONE)} else 'online' }}}}",
            }
        ],
        "qos": 1,
        "components": {key: {**entity, "unique_id": f"{device.id}_{key}"} for key, entity in entities.items()},
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


# -- devices


def _watchdog(who: Announced) -> _Device:
    return _Device(id=_id(who), name=f"Tocsin {_where(who)}", model="Watchdog")


def _chain(who: Announced, via: _Device, chain: ChainSettings) -> _Device:
    return _Device(id=_id(who, chain.name), name=f"{chain.name} ({_where(who)})", model="Chain", via=via.id)


def _node(who: Announced, via: _Device, chain: ChainSettings, node: NodeSettings, model: str) -> _Device:
    name = f"{chain.name} {node.name} ({_where(who)})"
    return _Device(id=_id(who, chain.name, node.name), name=name, model=model, via=via.id)


def _where(who: Announced) -> str:
    return f"{who.origin.site}/{who.origin.watchdog}"


def _id(who: Announced, *names: str) -> str:
    """Return an identifier of `a-z0-9_-`; names may hold all of these, so that a digest keeps them apart."""
    parts = (who.origin.site, who.origin.watchdog, *names)
    return "_".join(("tocsin", *parts, hashlib.sha256("/".join(parts).encode()).hexdigest()[:8]))


# -- entities


def _watchdog_entities(who: Announced) -> Iterator[tuple[str, Json]]:
    status, beat = {"state_topic": who.origin.root + topics.STATUS}, _beat(who)
    open_ = f"{_value('alerts.critical')} + {_value('alerts.warning')}"
    # Of these two the end of the watchdog is the very news: they are there while it is not.
    yield (
        "heartbeat",
        {
            **_sensor("Heartbeat", "{{ 'ON' }}", "binary_sensor", "connectivity"),
            "state_topic": beat["state_topic"],
            "off_delay": beat["expire_after"],
            "availability": [],
        },
    )
    yield "state", {**_enum("State", "state", State), **status, **_DIAGNOSTIC, "availability": []}
    yield "problem", {**_sensor("Alerts", _is(f"{open_} > 0"), "binary_sensor", "problem"), **beat}
    for severity in ("critical", "warning"):
        yield f"{severity}_alerts", {**_number(f"{severity.title()} alerts", f"alerts.{severity}"), **beat}
        yield f"{severity}_alert", _event(who, severity)
    yield "silenced_alerts", {**_number("Silenced alerts", "alerts.silenced"), **beat, **_DIAGNOSTIC}
    yield "outbox", {**_number("Messages that wait", "outbox"), **beat, **_DIAGNOSTIC}
    lag = _number("Loop lag", "loop_lag_ms", device_class="duration", unit="ms")
    yield "loop_lag", {**lag, **beat, **_DIAGNOSTIC}


def _chain_entities(who: Announced, chain: ChainSettings) -> Iterator[tuple[str, Json]]:
    topic = {"state_topic": who.origin.root + topics.chain_head(chain.name)}
    divided = _is(f"{_value('grade')} in {_listed(_DIVIDED)}")
    yield "problem", {**_sensor("Agreement", divided, "binary_sensor", "problem"), **topic}
    yield "grade", {**_enum("Grade", "grade", Grade), **topic, **_attributes(topic, "explanation", "assumption")}
    for key, name in (("head", "Agreed head"), ("finalized", "Finalized block")):
        number = f"{{{{ {_value(key)}.number if {_value(key)} else None }}}}"
        # A recorder would keep every block: whoever wants that switches it on.
        yield key, {**_sensor(name, number), **topic, "enabled_by_default": False}
    yield "votes", {**_number("Groups that agree", "votes"), **topic, **_DIAGNOSTIC}


def _node_entities(who: Announced, chain: ChainSettings, node: NodeSettings) -> Iterator[tuple[str, Json]]:
    yield from _asked_entities(who, chain, node)
    topic = {"state_topic": who.origin.root + topics.node(chain.name, node.name)}
    yield "behind", {**_number("Blocks behind", "lag_blocks", unit="blocks"), **topic}
    yield "peers", {**_number("Peers", "peers"), **topic, **_DIAGNOSTIC}


def _beacon_entities(who: Announced, chain: ChainSettings, node: NodeSettings) -> Iterator[tuple[str, Json]]:
    yield from _asked_entities(who, chain, node)
    topic = {"state_topic": who.origin.root + topics.node(chain.name, node.name)}
    yield "peers", {**_number("Peers", "consensus.peers"), **topic, **_DIAGNOSTIC}


def _asked_entities(who: Announced, chain: ChainSettings, node: NodeSettings) -> Iterator[tuple[str, Json]]:
    topic = {"state_topic": who.origin.root + topics.node(chain.name, node.name)}
    state = _value("state")
    ill, answers = _is(f"{state} not in {_listed(_WELL)}"), _is(f"{state} not in {_listed(_SILENT)}")
    yield "problem", {**_sensor("Problem", ill, "binary_sensor", "problem"), **topic}
    yield "connection", {**_sensor("Connection", answers, "binary_sensor", "connectivity"), **topic}
    yield "state", {**_enum("State", "state", NodeState), **topic, **_attributes(topic, "reason", "flags")}
    yield "latency", {**_number("Latency", "latency_ms", device_class="duration", unit="ms"), **topic, **_DIAGNOSTIC}


def _beat(who: Announced) -> dict[str, object]:
    return {"state_topic": who.origin.root + topics.HEARTBEAT, "expire_after": _MISSED * who.period_s}


def _event(who: Announced, severity: str) -> Json:
    """Return an entity that tells each change of the alerts of one severity, for automations."""
    data = "value_json.data"
    said = ("detector", "state", "summary", "labels", "silenced", "fingerprint", "runbook")
    told = ", ".join(f"'{key}': {data}.{key}" for key in said)
    # The stream also says which of its messages were dropped; those are no alerts, and say nothing here.
    event = f"{{{{ {{'event_type': {data}.reason, {told}}} | to_json }}}}"
    return {
        "platform": "event",
        "name": f"{severity.title()} alert",
        "state_topic": f"{who.origin.root}event/{severity}/+",
        "event_types": list(REASONS),
        "value_template": f"{{% if {data}.detector is defined %}}{event}{{% endif %}}",
    }


def _sensor(name: str, template: str, platform: str = "sensor", device_class: str | None = None) -> dict[str, object]:
    entity: dict[str, object] = {"platform": platform, "name": name, "value_template": template}
    return entity if device_class is None else {**entity, "device_class": device_class}


def _number(name: str, key: str, *, device_class: str | None = None, unit: str | None = None) -> dict[str, object]:
    entity = _sensor(name, f"{{{{ {_value(key)} }}}}", device_class=device_class) | {"state_class": "measurement"}
    return entity if unit is None else {**entity, "unit_of_measurement": unit}


def _enum(name: str, key: str, values: type[State] | type[NodeState] | type[Grade]) -> dict[str, object]:
    options = [value.value for value in values]
    return {**_sensor(name, f"{{{{ {_value(key)} }}}}", device_class="enum"), "options": options}


def _attributes(topic: Mapping[str, str], *keys: str) -> dict[str, object]:
    told = ", ".join(f"'{key}': {_value(key)}" for key in keys)
    return {
        "json_attributes_topic": topic["state_topic"],
        "json_attributes_template": f"{{{{ {{{told}}} | to_json }}}}",
    }


def _value(key: str) -> str:
    return f"value_json.data.{key}"


def _is(condition: str) -> str:
    return f"{{{{ 'ON' if {condition} else 'OFF' }}}}"


def _listed(values: tuple[State, ...] | tuple[NodeState, ...] | tuple[Grade, ...]) -> str:
    return str([value.value for value in values])
