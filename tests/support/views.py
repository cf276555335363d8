"""Views as detectors get them, from the few things that a test cares about."""

from dataclasses import replace

from tests.support.chains import header, node

from tocsin.clock import NS
from tocsin.model.alert import Finding, Grade, Labels
from tocsin.model.block import Header
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Agreement, ChainView, Level, NodeRecord, NodeView, Relation, SelfView

NOW = 10**15
SLOT = 12 * NS
HEAD = header(1000)
WALL = HEAD.timestamp * NS + 3 * NS


def label_of(name: str) -> Labels:
    return (("chain", "eip155:1"), ("node", f"test.{name}"))


def seen(*, head: Header | None = HEAD, polls: int = 50, **changes: object) -> NodeRecord:
    """A node that was asked often and answered just now, with a head that came 3 s ago."""
    blank = NodeRecord(
        polls=polls,
        answers=polls,
        last_answer_ns=NOW,
        chain_id=1,
        head=head,
        head_since_ns=NOW - 3 * NS,
        syncing=False,
        bodies=(("latest", "0" * 32),),
    )
    return replace(blank, **changes)


def silent(missed: int = 5, kind: FaultKind = FaultKind.TIMEOUT, **changes: object) -> NodeRecord:
    """A node that has not answered lately."""
    fault = Fault(kind=kind, detail="no answer in time", status=503, retry_after_ns=NS)
    return seen(missed=missed, failures=missed, fault=fault, **changes)


def never() -> NodeRecord:
    """A node that has not been asked yet."""
    return NodeRecord()


def at(
    name: str,
    record: NodeRecord | None = None,
    relation: Relation | None = None,
    *,
    own: bool = False,
    severed: bool = False,
) -> NodeView:
    record = record if record is not None else seen()
    return NodeView(
        settings=node(name, own=own),
        labels=label_of(name),
        seen=record,
        relation=relation or Level(),
        voting=record.head is not None and record.missed < 3 and record.corrupt is None,
        severed=severed,
    )


def agreed(grade: Grade = Grade.QUORUM, **changes: object) -> Agreement:
    blank = Agreement(grade=grade, block=HEAD.ref, since_ns=NOW - 3 * NS, votes=3, voting_groups=3, groups=3)
    return replace(blank, **changes)


def view(
    *nodes: NodeView,
    head: Agreement | None = None,
    settings: dict[str, object] | None = None,
    **changes: object,
) -> ChainView:
    """The whole chain, watched for a day; other nodes that are well are added up to three."""
    well = [at(f"w{number}") for number in range(3 - len(nodes))]
    everyone = (*nodes, *well)
    chain = ChainSettings(
        name="sim",
        id=1,
        block_time_ns=SLOT,
        poll_ns=2 * NS,
        tick_ns=NS // 4,
        vote_by=("provider",),
        nodes=tuple(each.settings for each in everyone),
    )
    blank = ChainView(
        settings=replace(chain, **(settings or {})),
        labels=(("chain", "eip155:1"),),
        tick=77,
        now_ns=NOW,
        wall_ns=WALL,
        started_ns=NOW - 86_400 * NS,
        nodes=everyone,
        answering=tuple(each for each in everyone if each.seen.polls and not each.seen.missed),
        head=head if head is not None else agreed(),
        finalized=agreed(),
        head_header=HEAD,
        reorg=None,
        branches=(HEAD.ref,),
    )
    return replace(blank, **changes)


def self_view(**changes: object) -> SelfView:
    blank = SelfView(labels=(("watchdog", "t/w"),), tick=9, now_ns=NOW, loop_lag_ns=0, config_problems=())
    return replace(blank, **changes)


def limits(finding: Finding) -> dict[str, tuple[int, int] | None]:
    """What the finding is held against, by severity: the limit and the polls."""
    kept = finding.limits
    levels = {"info": kept.info, "warning": kept.warning, "critical": kept.critical}
    return {name: (over.over, over.polls) for name, over in levels.items() if over is not None}


def reached(finding: Finding) -> set[str]:
    """The severities that this value reaches, whatever the number of polls."""
    return {name for name, (over, _) in limits(finding).items() if finding.value >= over}  # type: ignore[misc]
