"""What detectors look at: one chain at one tick. Built by the engine, never stored."""

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.model.alert import Grade, Labels
from tocsin.model.block import BlockRef, Header
from tocsin.model.observation import Fault
from tocsin.model.settings import ChainSettings, NodeSettings


@dataclass(frozen=True, slots=True)
class Level:
    """The node's head is the reference."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The node's head is an ancestor of the reference."""

    blocks: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """The node's head descends from the reference."""

    blocks: int


@dataclass(frozen=True, slots=True)
class Forked:
    """Neither: the chains part after `ancestor`; `depth` counts the node's own blocks since."""

    depth: int
    ancestor: BlockRef


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Ancestry is not known (yet). `ahead` is the difference of heights, negative when lower."""

    ahead: int


@dataclass(frozen=True, slots=True)
class NeverObserved:
    """The node has shown no usable head: nothing is known, least of all a lag of 0."""


Relation = Level | Behind | Ahead | Forked | Unlinked | NeverObserved


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node: what it was last seen to say, and how that stands to the agreed chain. Times are engine ns."""

    settings: NodeSettings
    labels: Labels
    polls: int
    """Polls that count: answered, failed or refused; not those that our own stall spoiled."""
    answers: int
    """Polls that were answered usably."""
    failures: int
    """Leaky: +1 per failed poll, -1 per answered one, at least 0."""
    fault: Fault | None
    """Of the newest poll; None when it was answered."""
    last_answer_ns: int | None
    limited_until_ns: int | None
    """Until when the node (or its budget) asked to be left alone."""
    chain_id: int | None
    genesis_hash: str | None
    head: Header | None
    """The newest usable head. An unverifiable one counts, one that does not hash to its hash does not."""
    head_since_ns: int | None
    """When this node first showed a head higher than any before."""
    corrupt: Header | None
    """The newest header that failed verification, as long as the node shows it."""
    corrupt_hash: str | None
    """What the fields of `corrupt` really hash to."""
    finalized: BlockRef | None
    safe: BlockRef | None
    syncing: bool | None
    relation: Relation
    voting: bool
    """Whether the head is fresh and sound enough to be a vote."""
    forked_since_ns: int | None
    evidence: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the groups agree on. On a split or when blind, `block` is the last one that was agreed."""

    grade: Grade
    block: BlockRef | None
    since_ns: int | None
    """When `block` last advanced, engine ns."""
    votes: int
    """Groups that vote for `block` or a descendant of it."""
    voting_groups: int
    """Groups that vote at all."""
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg:
    """The agreed head left its branch: `depth` blocks after `ancestor` were replaced."""

    depth: int
    ancestor: BlockRef
    old: BlockRef
    new: BlockRef
    at_ns: int
    number: int
    """Counts reorgs of this chain, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """One chain at one tick."""

    settings: ChainSettings
    labels: Labels
    tick: int
    now_ns: int
    wall_ns: int
    started_ns: int
    """When watching began in this boot, engine ns: silence is counted from here at the earliest."""
    nodes: tuple[NodeView, ...]
    head: Agreement
    finalized: Agreement
    head_header: Header | None
    reorg: Reorg | None
    branches: tuple[BlockRef, ...]
    """The heads that voting groups hold, highest first: more than one that conflict is a dispute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfView:
    """The watchdog itself at one tick."""

    labels: Labels
    tick: int
    now_ns: int
    loop_lag_ns: int
    config_problems: tuple[str, ...]
    """Of the last reload, empty when it succeeded."""
