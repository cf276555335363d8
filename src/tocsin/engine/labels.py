"""How subjects are named in alerts: chain as CAIP-2, node by its global id, and the environment."""

from functools import lru_cache

from tocsin.alerting.matching import DETECTOR, SEVERITY, Names
from tocsin.detect.provider_unreachable import PROVIDER, labels_of
from tocsin.model.alert import Labels
from tocsin.model.contract import CONTRACT
from tocsin.model.feed import FEED, GATEWAY
from tocsin.model.host import DISK, ENDPOINT, RESOURCE, UNIT
from tocsin.model.index import INDEX
from tocsin.model.market import ACCOUNT, MARKET
from tocsin.model.newest import newest
from tocsin.model.peer import PEER
from tocsin.model.settings import ChainSettings, NodeSettings, Settings

CONSUMER = "consumer"
"""Of alerts about who acknowledges the stream."""
CHANNEL = "channel"
"""Of alerts about a way to people."""
SUSPECT = "suspect"
"""Of alerts about a detector of ours."""

KEYS = (
    DETECTOR,
    SEVERITY,
    "chain",
    "node",
    PROVIDER,
    "environment",
    "watchdog",
    PEER,
    CONSUMER,
    CHANNEL,
    DISK,
    RESOURCE,
    UNIT,
    ENDPOINT,
    SUSPECT,
    CONTRACT,
    FEED,
    GATEWAY,
    INDEX,
    MARKET,
    ACCOUNT,
)
"""What matches can go by: every label that an alert of ours can have, detector and severity."""


def chain_labels(settings: Settings, chain: ChainSettings) -> Labels:
    """Return the labels of a chain and of its pool of nodes."""
    return _labels(chain.id, settings.environment, None)


def node_labels(settings: Settings, chain: ChainSettings, node: NodeSettings) -> Labels:
    """Return the labels of a node."""
    return _labels(chain.id, settings.environment, node.id)


def provider_labels(settings: Settings, chain: ChainSettings, provider: str) -> Labels:
    """Return the labels of a provider on a chain."""
    return labels_of(chain_labels(settings, chain), provider)


def contract_labels(settings: Settings, chain: ChainSettings, name: str) -> Labels:
    """Return the labels of a contract."""
    return tuple(sorted((*chain_labels(settings, chain), (CONTRACT, name))))


def feed_labels(settings: Settings, chain: ChainSettings, name: str) -> Labels:
    """Return the labels of a feed."""
    return tuple(sorted((*chain_labels(settings, chain), (FEED, name))))


def gateway_labels(settings: Settings, chain: ChainSettings, name: str) -> Labels:
    """Return the labels of a price gateway, of which alerts belong to a chain."""
    return tuple(sorted((*chain_labels(settings, chain), (GATEWAY, name))))


def index_labels(settings: Settings, chain: ChainSettings, name: str) -> Labels:
    """Return the labels of a log index."""
    return tuple(sorted((*chain_labels(settings, chain), (INDEX, name))))


def market_labels(settings: Settings, chain: ChainSettings, name: str) -> Labels:
    """Return the labels of a lending market."""
    return tuple(sorted((*chain_labels(settings, chain), (MARKET, name))))


@newest
def names_of(settings: Settings) -> Names:
    """Return what people call chains and nodes, and what else they know nodes by."""
    return Names(
        chains={f"eip155:{chain.id}": chain.name for chain in settings.chains},
        subjects={
            node_labels(settings, chain, node): (("node", node.name), (PROVIDER, node.provider))
            for chain in settings.chains
            for node in chain.everyone
        },
    )


def self_labels(settings: Settings) -> Labels:
    """Return the labels of the watchdog itself."""
    return (("environment", settings.environment), ("watchdog", f"{settings.site}/{settings.watchdog}"))


@lru_cache(maxsize=4096)
def _labels(chain_id: int, environment: str, node_id: str | None) -> Labels:
    labels = (("chain", f"eip155:{chain_id}"), ("environment", environment))
    return labels if node_id is None else (*labels, ("node", node_id))
