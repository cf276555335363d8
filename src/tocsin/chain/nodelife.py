"""What state a node is in: the worst of the flags that fire for it, with a way back that has to be earned.

Flags come from alerts, so that hysteresis lives in one place: a detector decides when `node.lag` fires and when it is
over, and the state follows. Whatever was wrong, a node passes PROBATION before it is HEALTHY again. A node that was
never asked, was away on maintenance or answers from another address passes VERIFYING.

Transitions that no rule connects raise IllegalTransition, which carries the life that was to be: who must go on
watching takes that one, and says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tocsin.clock import NS
from tocsin.errors import TocsinError
from tocsin.model.evolve import evolve


class NodeState(StrEnum):
    """Closed: doubles as metric label and as text in `status`."""

    INIT = "init"
    """Nothing has come from it yet."""
    VERIFYING = "verifying"
    """It answers; chain id, genesis and finalized block are being looked at."""
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    LAGGING = "lagging"
    STALE = "stale"
    SYNCING = "syncing"
    FORKED = "forked"
    PHANTOM = "phantom"
    CORRUPT = "corrupt"
    WRONG_CHAIN = "wrong_chain"
    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    PROBATION = "probation"
    MAINTENANCE = "maintenance"
    """A person works on it: it is asked, but not judged, and it does not vote."""
    CLOSED = "closed"
    """It is configured no longer."""


STATE_OF_FLAG: Mapping[str, NodeState] = {
    "node.wrong_chain": NodeState.WRONG_CHAIN,
    "node.corrupt_header": NodeState.CORRUPT,
    "node.proof_invalid": NodeState.CORRUPT,
    "node.fork": NodeState.FORKED,
    "node.phantom_head": NodeState.PHANTOM,
    "node.unreachable": NodeState.UNREACHABLE,
    "node.syncing": NodeState.SYNCING,
    "node.stale": NodeState.STALE,
    "node.lag": NodeState.LAGGING,
    "node.rate_limited": NodeState.RATE_LIMITED,
}
"""Which state a firing detector puts a node in, the worst first: a lie before silence, silence before delay.

Every other detector that fires for a node makes it DEGRADED.
"""
_WORST_FIRST = tuple(STATE_OF_FLAG)
_BAD = (*STATE_OF_FLAG.values(), NodeState.DEGRADED)

_ANYTIME = (NodeState.MAINTENANCE, NodeState.CLOSED)
"""Where a person or the configuration puts a node, whatever state it is in."""

LEGAL: Mapping[NodeState, tuple[NodeState, ...]] = {
    NodeState.INIT: (NodeState.VERIFYING, *_BAD, *_ANYTIME),
    NodeState.VERIFYING: (NodeState.HEALTHY, *_BAD, *_ANYTIME),
    NodeState.HEALTHY: (NodeState.VERIFYING, *_BAD, *_ANYTIME),
    NodeState.PROBATION: (NodeState.HEALTHY, *_BAD, *_ANYTIME),
    **{bad: (NodeState.PROBATION, *(other for other in _BAD if other is not bad), *_ANYTIME) for bad in _BAD},
    NodeState.MAINTENANCE: (NodeState.VERIFYING, NodeState.CLOSED),
    NodeState.CLOSED: (),
}
"""From each state, where a node may go next."""

MUTE = (NodeState.CORRUPT, NodeState.WRONG_CHAIN, NodeState.MAINTENANCE, NodeState.CLOSED)
"""States in which a node has no vote, however well it looks: what put it there has to be over, or explained, first.

In every other state what a node shows counts if it is fresh and sound, also in PROBATION: after an outage of all of
them a pool would have no quorum for as long as that takes.
"""


class IllegalTransition(TocsinError):  # noqa: N818 - reads as the condition
    """A node was to change between states that no rule connects: a defect of this program.

    `life` is the life that was to be.
    """

    def __init__(self, old: NodeState, life: "NodeLife") -> None:
        super().__init__(f"a node cannot go from {old} to {life.state} ({life.reason})")
        self.old = old
        self.life = life


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What VERIFYING has found out: what the node has not shown yet, and what of it contradicts the others."""

    missing: tuple[str, ...] = ()
    refuted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeParams:
    """What it takes to be trusted (again). Times in engine nanoseconds.

    A relapse is a fall out of PROBATION, or one within `relapse_window_ns` after it was passed. Each doubles the time,
    up to `probation_cap_ns`, and is forgotten after `relapse_window_ns`.
    """

    verify_polls: int = 2
    verify_patience_polls: int = 15
    """After so many good polls, what a node does not show at all is taken for something that it does not have."""
    probation_polls: int = 5
    probation_ns: int = 60 * NS
    probation_cap_ns: int = 1800 * NS
    relapse_window_ns: int = 86400 * NS

    @classmethod
    def for_poll(cls, poll_ns: int) -> "LifeParams":
        """Scale the times to the poll interval: 60 s and 30 min are meant for a poll of 2 s."""
        return cls(probation_ns=30 * poll_ns, probation_cap_ns=900 * poll_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLife:
    """One node's state. `number` counts its changes, `reason` tells why the last one happened."""

    state: NodeState = NodeState.INIT
    since_ns: int = 0
    number: int = 0
    reason: str = "not asked yet"
    flags: tuple[tuple[str, str], ...] = ()
    """What fires now: detector and reason, the worst first."""
    clean: int = 0
    """Good polls in a row, in VERIFYING and PROBATION."""
    clean_since_ns: int | None = None
    relapses: tuple[int, ...] = ()
    """When it fell again, oldest first."""
    let_go_ns: int | None = None
    """When it passed PROBATION last."""


def advance(
    life: NodeLife,
    firing: Mapping[str, str],
    polled_ok: bool | None,  # noqa: FBT001 - three-valued, and named at every call
    t_ns: int,
    params: LifeParams | None = None,
    checks: Checks | None = None,
) -> NodeLife:
    """Return the life after a look at the alerts that fire for the node, by detector, with their reasons.

    `polled_ok` tells how the newest poll went; None when there was none since the last call. `checks` is what is known
    of a node that is being verified. Raises IllegalTransition.
    """
    if life.state in _ANYTIME:
        return life
    params = params or LifeParams()
    flags = tuple((flag, firing[flag]) for flag in sorted(firing, key=_badness))
    if flags:
        return _fallen(life, flags, t_ns, params)
    life = life if not life.flags else evolve(life, flags=())
    match life.state:
        case NodeState.INIT:
            return _move(life, NodeState.VERIFYING, "first answer", t_ns, clean=1) if polled_ok else life
        case NodeState.HEALTHY:
            return life
        case NodeState.VERIFYING | NodeState.PROBATION:
            return _proven(_counted(life, t_ns, polled_ok=polled_ok), t_ns, params, checks or Checks())
        case _:
            return _move(life, NodeState.PROBATION, f"{life.state} is over", t_ns)


def maintain(life: NodeLife, reason: str, t_ns: int) -> NodeLife:
    """Return the life of a node that a person takes out of judgement. Raises IllegalTransition for a closed one."""
    if life.state is NodeState.MAINTENANCE:
        return evolve(life, reason=reason, number=life.number + (life.reason != reason))
    return _move(evolve(life, flags=()), NodeState.MAINTENANCE, reason, t_ns)


def release(life: NodeLife, reason: str, t_ns: int) -> NodeLife:
    """Return the life of a node whose maintenance is over: it is looked at like a new one."""
    return _move(life, NodeState.VERIFYING, reason, t_ns) if life.state is NodeState.MAINTENANCE else life


def close(life: NodeLife, reason: str, t_ns: int) -> NodeLife:
    """Return the life of a node that is configured no longer."""
    return _move(evolve(life, flags=()), NodeState.CLOSED, reason, t_ns)


def redial(life: NodeLife, reason: str, t_ns: int) -> NodeLife:
    """Return the life when another process or machine may answer: what was good is verified again.

    What was bad stays so until its alerts are over, and PROBATION is no shorter for it.
    """
    if life.state is NodeState.HEALTHY:
        return _move(life, NodeState.VERIFYING, reason, t_ns)
    return evolve(life, clean=0, clean_since_ns=None)


def probation_ns(life: NodeLife, t_ns: int, params: LifeParams) -> int:
    """Return how long PROBATION takes now: doubled for each recent relapse."""
    recent = sum(t_ns - at < params.relapse_window_ns for at in life.relapses)
    return min(params.probation_ns << recent, max(params.probation_cap_ns, params.probation_ns))


def probation_left_ns(life: NodeLife, t_ns: int, params: LifeParams) -> int | None:
    """Return for how long a node in PROBATION must still be good, if it stays so; None in any other state."""
    if life.state is not NodeState.PROBATION:
        return None
    passed_ns = 0 if life.clean_since_ns is None else t_ns - life.clean_since_ns
    return max(0, probation_ns(life, t_ns, params) - passed_ns)


def _badness(flag: str) -> tuple[int, str]:
    return (_WORST_FIRST.index(flag) if flag in STATE_OF_FLAG else len(_WORST_FIRST), flag)


_REMEMBERED = 8
"""Relapses beyond this change nothing: the time has long reached its cap."""


def _fallen(life: NodeLife, flags: tuple[tuple[str, str], ...], t_ns: int, params: LifeParams) -> NodeLife:
    worst, reason = flags[0]
    state = STATE_OF_FLAG.get(worst, NodeState.DEGRADED)
    if _relapses(life, t_ns, params):
        recent = tuple(at for at in life.relapses if t_ns - at < params.relapse_window_ns)
        life = evolve(life, relapses=(*recent, t_ns)[-_REMEMBERED:])
    life = life if life.flags == flags else evolve(life, flags=flags)
    return life if life.state is state else _move(life, state, f"{worst}: {reason}", t_ns)


def _relapses(life: NodeLife, t_ns: int, params: LifeParams) -> bool:
    """Tell whether a fall now is a relapse: what is bad already falls no further."""
    if life.state is NodeState.PROBATION:
        return True
    stood = life.state in (NodeState.HEALTHY, NodeState.VERIFYING)
    return stood and life.let_go_ns is not None and t_ns - life.let_go_ns < params.relapse_window_ns


def _counted(life: NodeLife, t_ns: int, *, polled_ok: bool | None) -> NodeLife:
    if polled_ok is None:
        return life
    if not polled_ok:
        return evolve(life, clean=0, clean_since_ns=None)
    since = life.clean_since_ns if life.clean_since_ns is not None else t_ns
    return evolve(life, clean=life.clean + 1, clean_since_ns=since)


def _proven(life: NodeLife, t_ns: int, params: LifeParams, checks: Checks) -> NodeLife:
    if life.state is NodeState.VERIFYING:
        return _verified(life, t_ns, params, checks)
    lasted = life.clean_since_ns is not None and t_ns - life.clean_since_ns >= probation_ns(life, t_ns, params)
    passed = life.clean >= params.probation_polls and lasted
    return _move(evolve(life, let_go_ns=t_ns), NodeState.HEALTHY, "probation passed", t_ns) if passed else life


def _verified(life: NodeLife, t_ns: int, params: LifeParams, checks: Checks) -> NodeLife:
    if checks.refuted is not None:
        reason = f"not verified: {checks.refuted}"
        changed = life.reason != reason
        return evolve(life, clean=0, clean_since_ns=None, reason=reason, number=life.number + changed)
    needed = params.verify_patience_polls if checks.missing else params.verify_polls
    if life.clean < needed:
        return life
    but = f", but for what it does not show: {', '.join(checks.missing)}" if checks.missing else ""
    return _move(life, NodeState.HEALTHY, f"verified{but}", t_ns)


def _move(life: NodeLife, state: NodeState, reason: str, t_ns: int, clean: int = 0) -> NodeLife:
    moved = evolve(
        life, state=state, since_ns=t_ns, number=life.number + 1, reason=reason, clean=clean, clean_since_ns=None
    )
    if state not in LEGAL[life.state]:
        raise IllegalTransition(life.state, moved)
    return moved
