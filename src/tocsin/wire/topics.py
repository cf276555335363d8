"""Every topic of the wire contract, and what may stand in one.

A topic is written relative to the watchdog's root `tocsin/v1/<site>/<watchdog>/`: the core names `node/<chain>/<node>`
and never learns where it is published. Within v1 topics are only added.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tocsin.model.alert import Severity
from tocsin.model.selftest import ID

PREFIX: Final = "tocsin/v1"
"""The major version is a level of its own: a breaking change moves to v2 beside v1."""

STATUS: Final = "status"
DESCRIPTION: Final = "description"
HEARTBEAT: Final = "heartbeat"
AUDIT_CHECKPOINT: Final = "audit/checkpoint"

_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_ALERT = re.compile(rf"{PREFIX}/[^/]+/[^/]+/alert/[^/]+")
_CONTRACT = re.compile(rf"{PREFIX}/[^/]+/[^/]+/contract/[^/]+/[^/]+")
_DETECTOR = re.compile(r"[a-z0-9_-]{1,64}(\.[a-z0-9_-]{1,64}){0,7}")


@lru_cache(maxsize=4096)
def name(text: str) -> str:
    """Return the text if it may be one level of a topic. Raises ValueError with what would be accepted."""
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a name; use 1 to 64 of a-z, 0-9, _ and -")
    return text


def root(site: str, watchdog: str) -> str:
    """Return the root of one watchdog, with its trailing slash."""
    return f"{PREFIX}/{name(site)}/{name(watchdog)}/"


def mode(chain: str | None = None) -> str:
    """Return where the mode of the watchdog, or of one chain, is told."""
    return "mode" if chain is None else f"mode/{name(chain)}"


def chain_head(chain: str) -> str:
    """Return where the agreed head and finalized block of a chain are told."""
    return f"chain/{name(chain)}/head"


@lru_cache(maxsize=4096)
def node(chain: str, node_name: str) -> str:
    """Return where the state of one node is told."""
    return f"node/{name(chain)}/{name(node_name)}"


def contract(chain: str, contract_name: str) -> str:
    """Return where the watched values of one contract are told."""
    return f"contract/{name(chain)}/{name(contract_name)}"


def index(chain: str, index_name: str) -> str:
    """Return where it is told how far one log index is."""
    return f"index/{name(chain)}/{name(index_name)}"


def feed(chain: str, feed_name: str) -> str:
    """Return where the price of one feed is told."""
    return f"feed/{name(chain)}/{name(feed_name)}"


def gateway(gateway_name: str) -> str:
    """Return where the price of one gateway is told."""
    return f"gateway/{name(gateway_name)}"


def risk(chain: str, market: str) -> str:
    """Return where the risk of one market is told."""
    return f"risk/{name(chain)}/{name(market)}"


def alert(fingerprint: str) -> str:
    """Return where the current state of one alert is told."""
    return f"alert/{name(fingerprint)}"


def is_alert(topic: str) -> bool:
    """Tell whether an absolute topic carries the current state of an alert; sites and chains may be called that too."""
    return _ALERT.fullmatch(topic) is not None


def is_contract(topic: str) -> bool:
    """Tell whether an absolute topic carries the watched values of a contract."""
    return _CONTRACT.fullmatch(topic) is not None


def event(severity: str, detector: str) -> str:
    """Return where the stream carries the alerts of one detector at one severity."""
    if _DETECTOR.fullmatch(detector) is None:
        raise ValueError(f"{detector!r} is not a detector id; write names joined by dots, such as node.lag")
    return f"event/{name(severity)}/{detector}"


SELF_TEST: Final = event(Severity.INFO, ID)
"""Where the stream carries the self-test."""


def response(fingerprint: str) -> str:
    """Return where the transitions of the responses to one alert are told."""
    return f"response/{name(fingerprint)}"


def command(command_name: str) -> str:
    """Return where a signed command is taken; a retained one is refused."""
    return f"cmd/{name(command_name)}"


def ack(consumer: str) -> str:
    """Return where a registered consumer tells its cursor."""
    return f"ack/{name(consumer)}"


def reply(consumer: str, request: str) -> str:
    """Return where a consumer may want an answer; `request` is its own name for what it asked."""
    return f"reply/{name(consumer)}/{name(request)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One line of the contract, for documents and schemas: `address` has its variable levels in braces."""

    address: str
    kind: str
    content: str
    retained: bool
    qos: int = 1
    expiry: str = "none"
    will: bool = False
    served: bool = True
    """Whether this version publishes (or takes) it; the others are reserved."""
    inbound: bool = False


CONTRACT: Final = (
    Topic(
        address=STATUS,
        kind="status",
        retained=True,
        will=True,
        content="`init, ready, degraded, draining, disconnected, lost`; boot_id, started, version, environment, "
        "config_hash, role",
    ),
    Topic(
        address=DESCRIPTION,
        kind="description",
        retained=True,
        content="chains, nodes, detectors, schema versions, public keys",
    ),
    Topic(
        address="mode",
        kind="mode",
        retained=True,
        served=False,
        content="`normal, observe, reduce_only, halt` with since, by, reason, until",
    ),
    Topic(address="mode/{chain}", kind="mode", retained=True, served=False, content="the same for one chain"),
    Topic(
        address=HEARTBEAT,
        kind="heartbeat",
        retained=False,
        qos=0,
        expiry="3 periods",
        content="seq, period, agreed head per chain, open alerts, loop lag, outbox depth",
    ),
    Topic(
        address="chain/{chain}/head",
        kind="head",
        retained=True,
        content="agreed head and finalized: number, hash, grade, age, votes",
    ),
    Topic(
        address="node/{chain}/{node}",
        kind="node",
        retained=True,
        content="state, flags with reasons, head, lag, latency, client, peers, what it can answer; of beacon nodes "
        "slot and finality",
    ),
    Topic(
        address="contract/{chain}/{name}",
        kind="contract",
        retained=True,
        content="watched values with grade and block, and what they were pinned to",
    ),
    Topic(
        address="index/{chain}/{index}",
        kind="index",
        retained=True,
        content="how far a log index is: block, finalized block, logs, accounts, rate, time left, why it waits, "
        "what its accounts hold",
    ),
    Topic(
        address="feed/{chain}/{name}",
        kind="feed",
        retained=True,
        content="what a source of prices says beside what the market says, with grade, block, round and age",
    ),
    Topic(
        address="gateway/{name}",
        kind="gateway",
        retained=True,
        content="how a price gateway stands, and its price",
    ),
    Topic(
        address="risk/{chain}/{market}",
        kind="risk",
        retained=True,
        content="a lending market at a block: at-risk curve, accounts near the threshold, totals, book_hash, exactness",
    ),
    Topic(
        address="alert/{fingerprint}",
        kind="alert",
        retained=True,
        expiry="24 h once resolved",
        content="the current state of one alert",
    ),
    Topic(
        address="event/{severity}/{detector}",
        kind="alert",
        retained=False,
        content="the stream; contiguous `seq`",
    ),
    Topic(
        address="response/{fingerprint}",
        kind="response",
        retained=False,
        served=False,
        content="response journal transitions",
    ),
    Topic(
        address=AUDIT_CHECKPOINT,
        kind="checkpoint",
        retained=True,
        served=False,
        content="signed head of the audit chain",
    ),
    Topic(
        address="cmd/{name}",
        kind="command",
        retained=False,
        served=False,
        inbound=True,
        expiry="the command's own",
        content="signed commands, answered on the response topic; a retained command is refused",
    ),
    Topic(
        address="ack/{consumer}",
        kind="ack",
        retained=False,
        inbound=True,
        content="how far a registered consumer has come, signed; a retained one is refused",
    ),
    Topic(
        address="reply/{consumer}/{request}",
        kind="reply",
        retained=False,
        expiry="60 s",
        content="what became of an ack, where it named this as its response topic; with its correlation data",
    ),
)
