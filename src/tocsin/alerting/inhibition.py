"""Which alert makes which other one superfluous: a listed table, nothing inferred.

While the source is there (pending, firing or unknown), a target with the same labels (those that the source has) does
not begin to fire. A source that is clear and fires on all the same, since it flaps or is kept firing, mutes nothing: it
says nothing of now. A target that fires already goes on, one that is still due when the source ends begins then, and
after `CAP_NS` the source no longer mutes anything. `contract.*`, `oracle.*`, `risk.*` and `chain.finality_violation`
are never targets, nor is a finding that says of itself that it is `unmuted`: a budget of ours that is short explains
why we do not ask, and never why a node refuses.
"""

from collections.abc import Iterable, Mapping, Sequence

from tocsin.alerting.streaks import reached
from tocsin.alerting.tracked import Moment, Tracked
from tocsin.ids import fingerprint
from tocsin.model.alert import AlertState, Finding, Labels
from tocsin.model.evolve import evolve

CAP_NS = 3600 * 10**9
"""No inhibition lasts longer than an hour: by then the target is news of its own."""

SOURCES: Mapping[str, tuple[str, ...]] = {
    "provider.unreachable": ("pool.blind",),
    "node.unreachable": ("pool.blind", "provider.unreachable"),
    "node.lag": ("node.syncing", "node.wrong_chain", "node.corrupt_header"),
    "node.stale": ("node.syncing", "node.wrong_chain", "node.corrupt_header"),
    "node.fork": ("node.wrong_chain", "node.corrupt_header"),
    "node.phantom_head": ("node.wrong_chain", "node.corrupt_header"),
    "node.syncing": ("node.wrong_chain",),
    "pool.quorum_lost": ("pool.blind",),
    "node.rate_limited": ("node.budget_short",),
    "node.errors": ("node.unreachable", "node.rate_limited", "pool.blind", "provider.unreachable"),
    "node.latency": ("node.unreachable", "node.syncing", "provider.unreachable"),
    "node.ws_deaf": ("node.unreachable", "node.rate_limited", "pool.blind", "provider.unreachable"),
    "node.balancer_skew": ("node.wrong_chain", "node.corrupt_header", "node.fork"),
    "node.depth_lost": ("node.syncing", "node.wrong_chain"),
    "mempool.anomaly": ("node.syncing", "node.peers_low"),
    "beacon.lag": ("beacon.syncing", "beacon.el_offline"),
    "beacon.syncing": ("beacon.el_offline",),
    "host.clock": ("self.clock_skew",),
    "chain.halt": ("pool.blind", "pool.split", "pool.quorum_lost"),
    "chain.finality_stall": ("pool.blind", "pool.split", "pool.quorum_lost", "pool.majority_stalled", "chain.halt"),
    "index.stuck": ("pool.blind", "pool.split", "pool.quorum_lost"),
    "chain.basefee": ("node.wrong_chain", "node.corrupt_header"),
    "node.tag_order": ("node.wrong_chain", "node.corrupt_header", "node.syncing", "node.balancer_skew"),
}
"""Target to the sources that mute it."""

EVEN_OBSERVED = frozenset({"node.balancer_skew"})
"""Sources that mute also while they are on trial themselves: steps back were seen, whether or not they are worth an
alert, and tags that step back with them are no second news."""


Tracks = Mapping[str, Sequence[Tracked]]
"""Alerts by detector."""


def covers(source: Labels, target: Labels, part_of: Labels = ()) -> bool:
    """Tell whether the target has every label of the source, or shares it as a part of something."""
    return all(pair in target or pair in part_of for pair in source)


def by_detector(tracked: Iterable[Tracked]) -> Tracks:
    """Return alerts by their detector."""
    found: dict[str, list[Tracked]] = {}
    for one in tracked:
        found.setdefault(one.finding.detector, []).append(one)
    return found


def muted(current: Tracked, others: Tracks, part_of: Labels, moment: Moment) -> Tracked:
    """Note since when, and by what, a source on the listed table covers an alert."""
    source = _source(current.finding, others, part_of)
    if source is None:
        if current.muted_since_ns is None:
            return current
        return evolve(current, muted_by=None, muted_since_ns=None)
    since_ns = moment.now_ns if current.muted_since_ns is None else current.muted_since_ns
    by = source if moment.now_ns - since_ns < CAP_NS else None
    if by == current.muted_by and since_ns == current.muted_since_ns:
        return current
    return evolve(current, muted_by=by, muted_since_ns=since_ns)


def _source(finding: Finding, others: Tracks, part_of: Labels) -> str | None:
    """Return the fingerprint of the first source on the table that covers a finding."""
    if finding.unmuted:
        return None
    for detector in SOURCES.get(finding.detector, ()):
        found = [one.finding.labels for one in others.get(detector, ()) if _stands(one)]
        covering = [labels for labels in found if covers(labels, finding.labels, part_of)]
        if covering:
            return fingerprint(detector, min(covering))
    return None


def _stands(source: Tracked) -> bool:
    """Tell whether what an alert says is so as far as is known, and not only said on: it may be clear and flap."""
    return (source.flap is None or not source.flap.is_clear) and source.clear_since_ns is None


def is_held_back(current: Tracked, now_ns: int) -> bool:
    """Return whether an alert would fire but for a source that mutes it: what it says is so all the same."""
    is_muted = current.state is AlertState.PENDING and current.muted_since_ns is not None
    return is_muted and reached(current, now_ns) is not None
