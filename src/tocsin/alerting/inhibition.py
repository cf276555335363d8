"""Which alert makes which other one superfluous: a listed table, nothing inferred.

While the source is pending or firing, a target with the same labels (those that the source has) does not begin to fire.
One that fires already goes on, one that is still due when the source ends begins then, and after `CAP_NS` the source
no longer mutes anything. `contract.*`, `oracle.*`, `risk.*` and `chain.finality_violation` are never targets, nor is a
finding that says of itself that it is `unmuted`: a budget of ours that is short explains why we do not ask, and never
why a node refuses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tocsin.alerting.streaks import reached
from tocsin.alerting.tracked import Moment, Tracked
from tocsin.model.alert import AlertState, Labels

CAP_NS = 3600 * 10**9
"""No inhibition lasts longer than an hour: by then the target is news of its own."""

SOURCES: Mapping[str, tuple[str, ...]] = {
    "node.unreachable": ("pool.blind",),
    "node.lag": ("node.syncing", "node.wrong_chain", "node.corrupt_header"),
    "node.stale": ("node.syncing", "node.wrong_chain", "node.corrupt_header"),
    "node.fork": ("node.wrong_chain", "node.corrupt_header"),
    "node.phantom_head": ("node.wrong_chain", "node.corrupt_header"),
    "node.syncing": ("node.wrong_chain",),
    "pool.quorum_lost": ("pool.blind",),
    "node.rate_limited": ("node.budget_short",),
    "node.errors": ("node.unreachable", "node.rate_limited", "pool.blind"),
    "node.latency": ("node.unreachable", "node.syncing"),
    "node.ws_deaf": ("node.unreachable", "node.rate_limited", "pool.blind"),
    "node.balancer_skew": ("node.wrong_chain", "node.corrupt_header", "node.fork"),
    "node.depth_lost": ("node.syncing", "node.wrong_chain"),
    "mempool.anomaly": ("node.syncing", "node.peers_low"),
    "beacon.lag": ("beacon.syncing", "beacon.el_offline"),
    "beacon.syncing": ("beacon.el_offline",),
    "host.clock": ("self.clock_skew",),
    "chain.halt": ("pool.blind", "pool.split", "pool.quorum_lost"),
    "chain.finality_stall": ("pool.blind", "pool.split", "pool.quorum_lost", "pool.majority_stalled", "chain.halt"),
    "chain.basefee": ("node.wrong_chain", "node.corrupt_header"),
    "node.tag_order": ("node.wrong_chain", "node.corrupt_header", "node.syncing", "node.balancer_skew"),
}
"""Target to the sources that mute it."""

EVEN_OBSERVED = frozenset({"node.balancer_skew"})
"""Sources that mute also while they are on trial themselves: steps back were seen, whether or not they are worth an
alert, and tags that step back with them are no second news."""


def covers(source: Labels, target: Labels) -> bool:
    """Tell whether the target has every label of the source."""
    return all(pair in target for pair in source)


def muted(current: Tracked, others: Iterable[Tracked], moment: Moment) -> Tracked:
    """Note since when a source on the listed table mutes this pending alert."""
    sources = () if current.finding.unmuted else SOURCES.get(current.finding.detector, ())
    is_muted = any(
        other.finding.detector in sources and covers(other.finding.labels, current.finding.labels) for other in others
    )
    if not is_muted:
        return replace(current, muted_since_ns=None) if current.muted_since_ns is not None else current
    return current if current.muted_since_ns is not None else replace(current, muted_since_ns=moment.now_ns)


def is_held_back(current: Tracked, now_ns: int) -> bool:
    """Return whether an alert would fire but for a source that mutes it: what it says is so all the same."""
    is_muted = current.state is AlertState.PENDING and current.muted_since_ns is not None
    return is_muted and reached(current, now_ns) is not None
