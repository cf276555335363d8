"""From the configuration to the values that the parts below take."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tocsin.clock import NS
from tocsin.config.resolve import tls_endpoints
from tocsin.config.tree import Asked, Beacon, Chain, Journal, Mqtt, Node, Provider, Tree, Watchdog
from tocsin.engine.cadence import sparsest_ns
from tocsin.mqtt.settings import BrokerSettings
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.prober import PollPlan
from tocsin.secret import SecretUrl
from tocsin.store import Limits


def endpoint(chain: Chain, node: Node, provider: Provider | None = None) -> Endpoint:
    """Return how one node is reached, and what its calls cost."""
    prices = () if provider is None else tuple(sorted(provider.prices.items()))
    return replace(beacon(chain, node), ws=node.ws, prices=prices)


def beacon(chain: Chain, one: Asked) -> Endpoint:
    """Return how one beacon node is reached, or any node as far as it is no other than one."""
    return Endpoint(
        chain=chain.name,
        node=one.name,
        url=one.url,
        headers=tuple(one.headers.items()),
        ca=one.ca,
        cert=one.cert,
        key=one.key,
        proxy=one.proxy,
        timeout_ns=one.timeout_ns,
        budget_per_day=one.budget,
    )


def beacon_plan(chain: Chain, one: Beacon) -> PollPlan:
    """Return when one beacon node is asked."""
    return PollPlan(
        chain=chain.name,
        node=one.name,
        poll_ns=chain.poll_ns,
        slot_ns=max(chain.block_time_ns, chain.poll_ns),
        sparse_ns=sparsest_ns(chain.block_time_ns, chain.poll_ns),
    )


def certificates(tree: Tree) -> dict[str, Endpoint]:
    """Return who shows a certificate, by scheme, host and port, and how it is reached."""
    return {
        name: Endpoint(
            chain="", node=name, url=SecretUrl(name), ca=owner.ca, cert=owner.cert, key=owner.key, timeout_ns=5 * NS
        )
        for name, owner in tls_endpoints(tree).items()
    }


def broker(watchdog: Watchdog, mqtt: Mqtt) -> BrokerSettings:
    """Return how the broker is reached."""
    parts = urlsplit(mqtt.url.reveal())
    tls = parts.scheme == "mqtts"
    return BrokerSettings(
        host=parts.hostname or "",
        port=parts.port or (8883 if tls else 1883),
        client_id=f"tocsin-{watchdog.site}-{watchdog.name}",
        tls=tls,
        user=mqtt.user,
        password=mqtt.password,
        ca=_path(mqtt.ca),
        cert=_path(mqtt.cert),
        key=_path(mqtt.key),
        keepalive_s=mqtt.keepalive_ns // NS,
    )


def limits(journal: Journal) -> Limits:
    """Return how much the store may hold."""
    return Limits(segment_age_ns=journal.segment_ns, journal_age_ns=journal.keep_ns, journal_bytes=journal.max_size)


def nodes(tree: Tree) -> dict[tuple[str, str], tuple[Chain, Node]]:
    """Return every node with its chain, by the names of both."""
    return {(chain.name, node.name): (chain, node) for chain in tree.chains for node in chain.nodes}


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
