"""The wire contract as documents: JSON Schema for each kind, AsyncAPI 3, and the table of topics.

    python -m tocsin.mqtt.schemas docs/reference

writes them; a test fails when what is in the repository is not what this writes.
"""

import sys
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic.json_schema import GenerateJsonSchema

from tocsin.mqtt.models import EVENTS, FOREIGN, INBOUND
from tocsin.wire.envelope import CONTENT_TYPE
from tocsin.wire.topics import CONTRACT, PREFIX, Topic

_PARAMETERS: Final = {
    "site": "The site of the watchdog.",
    "watchdog": "The name of the watchdog.",
    "chain": "The configured name of a chain.",
    "node": "The configured name of a node.",
    "name": "The configured name of a contract, a feed or a price gateway.",
    "index": "The configured name of a log index.",
    "market": "The configured name of a lending market.",
    "fingerprint": "The identity of an alert: detector and labels.",
    "severity": "info, warning or critical.",
    "detector": "The id of a detector, such as node.lag.",
    "consumer": "The configured name of a consumer.",
    "request": "Whatever the consumer chose; it may have several levels.",
}


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one kind, envelope included, as consumers should check it."""
    document = _open((EVENTS | INBOUND | FOREIGN)[kind].model_json_schema(by_alias=True))
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:tocsin:{kind}:v1", **document}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of everything that this version publishes and takes."""
    served = [topic for topic in CONTRACT if topic.served]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tocsin",
            "version": "1.0.0",
            "description": "What Tocsin says and takes over MQTT 5. Within v1 topics and fields are only added.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {_channel(topic): _channel_document(topic) for topic in served},
        "operations": {
            f"{'take' if topic.inbound else 'publish'}_{_channel(topic)}": _operation(topic) for topic in served
        },
        "components": {"messages": {kind: _message(kind) for kind in sorted(EVENTS | INBOUND)}},
    }


def table() -> str:
    """Return the table of topics as a page."""
    rows = [
        f"| `{topic.address}` | {_yes(topic)} | {topic.qos} | {topic.expiry} | {_content(topic)} |"
        for topic in CONTRACT
    ]
    return _PAGE.format(prefix=PREFIX, content_type=CONTENT_TYPE, rows="\n".join(rows))


def documents() -> dict[str, bytes]:
    """Return every generated file by its path below `docs/reference`."""
    files = {f"schemas/{kind}.json": _json(schema(kind)) for kind in EVENTS | INBOUND | FOREIGN}
    return {**files, "asyncapi.json": _json(asyncapi()), "topics.md": table().encode()}


def write(folder: Path) -> None:
    """Write them all below a folder."""
    for name, content in documents().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _open(node: Any) -> Any:
    """Let consumers meet fields that were added later: only our own tests forbid them."""
    if isinstance(node, dict):
        kept = {key: _open(item) for key, item in node.items()}
        if kept.get("additionalProperties") is False:
            del kept["additionalProperties"]
        return kept
    return [_open(item) for item in node] if isinstance(node, list) else node


def _kinds(topic: Topic) -> list[str]:
    """Return what a topic carries: the stream also the events that stand for what was dropped."""
    return [topic.kind, "dropped"] if topic.address.startswith("event/") else [topic.kind]


def _channel(topic: Topic) -> str:
    return "_".join(part.strip("{}") for part in topic.address.split("/"))


def _channel_document(topic: Topic) -> dict[str, Any]:
    address = f"{PREFIX}/{{site}}/{{watchdog}}/{topic.address}"
    names = [part[1:-1] for part in address.split("/") if part.startswith("{")]
    return {
        "address": address,
        "description": topic.content,
        "parameters": {name: {"description": _PARAMETERS[name]} for name in names},
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in _kinds(topic)},
    }


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{_channel(topic)}"
    return {
        "action": "receive" if topic.inbound else "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{kind}"} for kind in _kinds(topic)],
        "bindings": {"mqtt": {"qos": topic.qos, "retain": topic.retained}},
    }


def _message(kind: str) -> dict[str, Any]:
    return {
        "name": kind if kind in INBOUND else f"dev.tocsin.{kind}.v1",
        "contentType": "application/json" if kind in INBOUND else CONTENT_TYPE,
        "payload": {"$ref": f"./schemas/{kind}.json"},
    }


def _json(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _yes(topic: Topic) -> str:
    return "yes, last will" if topic.will else "yes" if topic.retained else "no"


def _content(topic: Topic) -> str:
    if not topic.served:
        return f"{topic.content} (reserved)"
    links = ", ".join(f"[{kind}](schemas/{kind}.json)" for kind in _kinds(topic))
    return f"{topic.content}: {links}"


_PAGE: Final = """\
# Topics

Everything stands below `{prefix}/<site>/<watchdog>/`. A name is 1 to 64 of `a-z`, `0-9`, `_` and `-`; a detector id is
names joined by dots. MQTT 5 is required. Each message is a CloudEvents 1.0 event in structured JSON, content type
`{content_type}`; an empty retained message clears its topic. Within v1 topics and fields are only added:
ignore what you do not know. The same in machine-readable form: [AsyncAPI](asyncapi.json).

| topic | retained | QoS | expiry | content |
|---|---|---|---|---|
{rows}

Reserved topics are not published, and not listened to, by this version.

With `[homeassistant]` configured, Home Assistant is told what there is to see on
`homeassistant/device/<id>/config`, retained: [one device each](schemas/homeassistant.json), after its own schema.

## How to read it

- **An alert** is identified by `fingerprint`. Each change of it is one message on `event/...`, and the same message,
  byte for byte, is retained on `alert/<fingerprint>`: who comes late reads the retained ones, then follows the stream.
- **`seq`** on the stream has no holes. A hole means that messages were lost between the daemon and you, unless a
  `dropped` event names it. Critical messages overtake others; those of one fingerprint never overtake each other. The
  same message may come twice: its `id` is then the same.
- **`stream`**, an id in alerts, `dropped` events, `heartbeat` and answers to acks, says which numbers `seq` are: it is
  made with the state directory. Another id is another count, from 1, of other messages: the daemon has lost its state.
  Hold to the id of the `heartbeat`; believe a new one when two heartbeats in a row name it and none the old one for
  15 s, since a second daemon of the same name would have another id too.
- **Acks** of registered consumers make what they lack come again: [acks](acks.md).
- **Silence proves nothing.** Follow `heartbeat`: none for three periods means that nobody watches. `status` says `lost`
  when the broker misses the daemon. A late will of an earlier life is told by its `boot_id`, and is corrected at once.
- **Amounts** are integers; from 2^53 on they are decimal strings. Heights are integers, hashes 0x-hex, times RFC 3339
  in UTC with six digits of a second.
- **`durable: false`** marks an alert that could not be written to disk before it was sent (a full disk): after a crash
  it may come again under another `seq`, or not at all.
"""


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
