"""How subjects are named in alerts: chain as CAIP-2, node by its global id, and the environment."""

from tocsin.model.alert import Labels
from tocsin.model.settings import ChainSettings, NodeSettings, Settings


def chain_labels(settings: Settings, chain: ChainSettings) -> Labels:
    """Return the labels of a chain and of its pool of nodes."""
    return (("chain", f"eip155:{chain.id}"), ("environment", settings.environment))


def node_labels(settings: Settings, chain: ChainSettings, node: NodeSettings) -> Labels:
    """Return the labels of a node."""
    return (*chain_labels(settings, chain), ("node", node.id))


def self_labels(settings: Settings) -> Labels:
    """Return the labels of the watchdog itself."""
    return (("environment", settings.environment), ("watchdog", f"{settings.site}/{settings.watchdog}"))
