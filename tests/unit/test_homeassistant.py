"""What Home Assistant is told: valid for it, right of what we publish, and unmistakable."""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from tests.support.messages import ALERT, BEAT, BOOT, LIFE, NOON_NS, ORIGIN, RESOLVED, changed, golden_messages
from tests.support.pool import Pool, settings_for

from tocsin.chain.nodelife import NodeState
from tocsin.model.alert import REASONS, Grade, Severity
from tocsin.model.effect import StateChanged
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.settings import BeaconSettings, Settings
from tocsin.mqtt import presence, schemas
from tocsin.mqtt.homeassistant import Announced, documents
from tocsin.mqtt.models import FOREIGN
from tocsin.mqtt.presence import State
from tocsin.wire import envelope
from tocsin.wire.envelope import Origin

WHO = Announced(origin=ORIGIN, version="0.1.0")
TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")
"""Home Assistant takes no other: TOPIC_MATCHER in homeassistant/components/mqtt/discovery.py of its source."""

JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
JINJA.filters["to_json"] = json.dumps


def settings() -> Settings:
    """A chain with two nodes and a beacon node."""
    plain = settings_for(("a", "b"))
    chain = plain.chains[0]
    beacon = BeaconSettings(node=dataclasses.replace(chain.nodes[0], name="b0", id="sim.b0"), execution="n0")
    return dataclasses.replace(plain, chains=(dataclasses.replace(chain, beacons=(beacon,)),))


def told(who: Announced = WHO, of: Settings | None = None) -> dict[str, dict[str, Any]]:
    """Return the discovery documents by their device's name."""
    found = documents(who, of or settings())
    assert all(TOPIC.fullmatch(topic) for topic in found)
    parsed = [orjson.loads(payload) for payload in found.values()]
    assert [f"homeassistant/device/{one['device']['identifiers'][0]}/config" for one in parsed] == list(found)
    return {one["device"]["name"]: one for one in parsed}


def entities(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = document["components"]
    return found


def render(template: str, payload: bytes) -> str:
    return JINJA.from_string(template).render(value=payload.decode(), value_json=orjson.loads(payload)).strip()


def test_there_is_a_device_for_the_watchdog_each_chain_and_each_node_each_below_the_watchdog() -> None:
    found = told()
    assert list(found) == [
        "Tocsin ams/host-a",
        "sim (ams/host-a)",
        "sim n0 (ams/host-a)",
        "sim n1 (ams/host-a)",
        "sim b0 (ams/host-a)",
    ]
    watchdog, *others = found.values()
    assert "via_device" not in watchdog["device"]
    assert {one["device"]["via_device"] for one in others} == {watchdog["device"]["identifiers"][0]}


def test_they_are_as_the_schema_says_and_what_is_not_is_refused() -> None:
    schema = Draft202012Validator(schemas.schema("homeassistant"))
    for payload in documents(WHO, settings()).values():
        FOREIGN["homeassistant"].model_validate_json(payload)
        schema.validate(orjson.loads(payload))


@pytest.mark.parametrize(
    ("where", "broken"),
    [
        (("origin",), {}),
        (("device", "identifiers"), []),
        (("components", "state", "platform"), "light"),
        (("components", "state", "options"), None),
        (("components", "state", "unit_of_measurement"), "ms"),
        (("components", "loop_lag", "unit_of_measurement"), "blocks"),
        (("components", "state", "unique_id"), "a b"),
        (("components", "state", "value_template"), "value"),
        (("availability",), []),
        (("cmps",), {}),
    ],
)
def test_what_home_assistant_would_refuse_is_no_document(where: tuple[str, ...], broken: object) -> None:
    document = next(iter(told().values()))
    at: dict[str, Any] = document
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = broken
    with pytest.raises(ValidationError):
        FOREIGN["homeassistant"].model_validate(document)


def test_no_two_entities_share_an_id() -> None:
    ids = [entity["unique_id"] for one in told().values() for entity in entities(one).values()]
    assert len(set(ids)) == len(ids)


NAMES = st.text("ab_-", min_size=1, max_size=3)


@given(one=st.tuples(NAMES, NAMES), other=st.tuples(NAMES, NAMES))
def test_no_two_watchdogs_share_a_device(one: tuple[str, str], other: tuple[str, str]) -> None:
    ours, theirs = (
        set(documents(dataclasses.replace(WHO, origin=Origin(site=site, watchdog=name)), settings()))
        for site, name in (one, other)
    )
    assert ours == theirs if one == other else not ours & theirs


# -- templates, over what is really published


def published() -> dict[str, list[bytes]]:
    """Return by topic what a pool of nodes has published, of which one failed."""
    pool = Pool(settings_for(("a", "b")), keep_events=True)
    pool.rounds(10)
    pool.answers["n1"] = lambda _node, _request: Fault(kind=FaultKind.TIMEOUT, detail="x")
    pool.rounds(60)
    found: dict[str, list[bytes]] = {}
    for effect in pool.effects:
        if isinstance(effect, StateChanged):
            message = envelope.state_message(effect, ORIGIN, BOOT)
            found.setdefault(message.topic, []).append(message.payload)
    beacon = {
        "id": "ams.b0",
        "kind": "beacon",
        "state": "healthy",
        "reason": "well",
        "flags": [],
        "head": None,
        "lag_blocks": None,
        "lag_s": None,
        "latency_ms": 4,
        "consensus": {"peers": 70},
    }
    effect = StateChanged(topic="node/sim/b0", kind="node", wall_ns=NOON_NS, document=beacon)
    message = envelope.state_message(effect, ORIGIN, BOOT)
    found[message.topic] = [message.payload]
    statuses = [presence.status(LIFE, state, NOON_NS) for state in State]
    beat = presence.heartbeat(LIFE, 3, BEAT, 10, NOON_NS)
    found[statuses[0].topic] = [one.payload for one in statuses]
    found[beat.topic] = [beat.payload]
    return found


PUBLISHED = published()


def templates() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, document in told().items():
        for key, entity in entities(document).items():
            if entity["platform"] != "event":
                yield f"{name} {key}", entity


@pytest.mark.parametrize(("name", "entity"), list(templates()), ids=[name for name, _ in templates()])
def test_a_template_finds_its_value_in_everything_that_is_published(name: str, entity: dict[str, Any]) -> None:
    payloads = PUBLISHED[entity["state_topic"]]
    assert payloads, name
    values = {render(entity["value_template"], payload) for payload in payloads}
    if entity["platform"] == "binary_sensor":
        assert values <= {"ON", "OFF"}
    elif "options" in entity:
        assert values <= set(entity["options"])
    else:
        assert all(re.fullmatch(r"None|-?\d+(\.\d+)?", value) for value in values)
    for payload in payloads if "json_attributes_template" in entity else ():
        assert isinstance(json.loads(render(entity["json_attributes_template"], payload)), dict)


def entity(device: str, key: str) -> dict[str, Any]:
    return entities(told()[f"{device} (ams/host-a)" if device != "Tocsin" else "Tocsin ams/host-a"])[key]


def value(device: str, key: str, payload: bytes) -> str:
    return render(entity(device, key)["value_template"], payload)


def test_a_node_that_does_not_answer_is_a_problem_and_not_connected() -> None:
    said = PUBLISHED["tocsin/v1/ams/host-a/node/sim/n1"]
    well, ill = next(one for one in said if b'"healthy"' in one), said[-1]
    assert [value("sim n1", key, well) for key in ("problem", "connection", "state")] == ["OFF", "ON", "healthy"]
    assert [value("sim n1", key, ill) for key in ("problem", "connection", "state")] == ["ON", "OFF", "unreachable"]


def test_open_alerts_are_a_problem_and_silenced_ones_are_not() -> None:
    def beat(**counts: int) -> bytes:
        alerts = {"critical": 0, "warning": 0, "info": 0, "silenced": 0, **counts}
        return presence.heartbeat(LIFE, 3, {**BEAT, "alerts": alerts}, 10, NOON_NS).payload

    assert value("Tocsin", "problem", beat()) == "OFF"
    assert value("Tocsin", "problem", beat(info=3, silenced=2)) == "OFF"
    assert value("Tocsin", "problem", beat(warning=1)) == "ON"
    assert value("Tocsin", "problem", beat(critical=1)) == "ON"
    assert value("Tocsin", "critical_alerts", beat(critical=7)) == "7"


def test_everything_is_unavailable_once_the_broker_misses_the_watchdog_but_what_says_so() -> None:
    for document in told().values():
        [availability] = document["availability"]
        assert availability["topic"] == "tocsin/v1/ams/host-a/status"
        for state in State:
            shown = render(availability["value_template"], presence.status(LIFE, state, NOON_NS).payload)
            assert shown == ("offline" if state in (State.LOST, State.DISCONNECTED) else "online")
    own = entities(told()["Tocsin ams/host-a"])
    assert {key for key, one in own.items() if one.get("availability") == []} == {"heartbeat", "state"}
    assert own["heartbeat"]["off_delay"] == 30
    assert {one["expire_after"] for one in own.values() if "expire_after" in one} == {30}


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_an_event_tells_why_and_what_of_each_alert_and_nothing_of_dropped_messages(severity: str) -> None:
    one = entity("Tocsin", f"{severity}_alert")
    assert one["state_topic"] == f"tocsin/v1/ams/host-a/event/{severity}/+"
    assert one["event_types"] == list(REASONS)
    for alert in (ALERT, RESOLVED):
        stream, _ = envelope.alert_messages(changed(dataclasses.replace(alert, severity=Severity(severity))), ORIGIN)
        shown = json.loads(render(one["value_template"], stream.payload))
        assert shown["event_type"] == alert.reason
        assert (shown["detector"], shown["state"]) == (alert.detector, alert.state.value)
        assert shown["labels"] == dict(alert.labels)
    assert render(one["value_template"], golden_messages()["dropped"].payload) == ""


def test_the_states_that_home_assistant_knows_are_those_that_there_are() -> None:
    assert entity("sim n0", "state")["options"] == [state.value for state in NodeState]
    assert entity("sim", "grade")["options"] == [grade.value for grade in Grade]
    assert entity("Tocsin", "state")["options"] == [state.value for state in State]


def test_prefix_and_period_are_as_configured() -> None:
    found = documents(dataclasses.replace(WHO, prefix="ha/discovery", period_s=60), settings())
    assert all(topic.startswith("ha/discovery/device/tocsin_") for topic in found)
    assert b'"expire_after":180' in next(iter(found.values()))
