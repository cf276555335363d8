"""The configuration as the pure core sees it: no secrets, no URLs, every default resolved.

`config` builds it, a `ConfigRevised` event carries it, the journal keeps it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One node. `endpoint` is scheme and host only. Tags are free text; equal tags mean equal fate."""

    name: str
    id: str
    """Global name, `<site>.<name>` unless declared: equal on two watchers that watch one node."""
    endpoint: str
    own: bool
    provider: str
    operator: str
    client: str
    region: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """One chain: identity, clock, nodes, and the Params of each detector, resolved for this chain."""

    name: str
    id: int
    block_time_ns: int
    poll_ns: int
    tick_ns: int
    vote_by: tuple[str, ...]
    """Which tags bind nodes into one vote: of provider, operator, client, region, host."""
    nodes: tuple[NodeSettings, ...]
    detectors: Mapping[str, object] = field(default_factory=dict)
    """Detector id to its Params (a frozen dataclass that lives beside the detector)."""
    genesis_hash: str | None = None

    @property
    def pace_ns(self) -> int:
        """The unit in which silence is counted: a block time, or a poll where blocks come faster than polls."""
        return max(self.block_time_ns, self.poll_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides; `config_hash` identifies the configuration that it was made from."""

    site: str
    watchdog: str
    environment: str
    config_hash: str
    chains: tuple[ChainSettings, ...]
    detectors: Mapping[str, object] = field(default_factory=dict)
    """Params of the detectors that watch the watchdog itself (`self.*`)."""
