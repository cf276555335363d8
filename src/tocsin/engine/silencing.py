"""Silences and weekly windows in the core: what people command, what the configuration says, what is in force.

Both are told by the wall clock: a person means an hour of the day, also where our own clock was set meanwhile.
"""

from tocsin.alerting.matching import MatchError, parse
from tocsin.alerting.silences import Silences, at
from tocsin.clock import NS
from tocsin.engine.labels import names_of
from tocsin.engine.state import EngineState
from tocsin.errors import TocsinError
from tocsin.model.event import Commanded
from tocsin.model.evolve import evolve
from tocsin.model.settings import Settings
from tocsin.model.silence import Silence, Span

VERB = "silence"
END_VERB = "unsilence"
LONGEST_NS = 7 * 86_400 * NS
"""What is to be quiet for longer is no silence: mend it, change its limits, or take it out of the configuration."""
MOST = 256
"""Silences by command at once."""
MOST_SPANS = 4_096
LONGEST_WHY = 500
"""Characters of a reason."""

_MOST_NAMED = 8
_NOTHING = Silences()


class Refused(TocsinError):  # noqa: N818 - reads as the condition
    """A silence that cannot be, and why; the words are for the person who wanted it."""


def in_force(state: EngineState, wall_ns: int) -> Silences:
    """Return what is silenced at a moment: by command, by configuration, by a weekly window."""
    settings = state.settings
    if settings is None or not (state.silences or settings.silences or state.calendar):
        return _NOTHING
    active = at((*state.silences, *settings.silences, *_occurrences(state.calendar, settings)), wall_ns)
    return Silences(active=active, names=names_of(settings)) if active else _NOTHING


def _occurrences(calendar: tuple[Span, ...], settings: Settings) -> tuple[Silence, ...]:
    windows = {window.name: window for window in settings.windows}
    return tuple(
        [
            Silence(
                id=_weekly_id(window.name),
                match=window.match,
                by=window.by,
                reason=window.reason,
                from_wall_ns=span.from_wall_ns,
                until_wall_ns=span.until_wall_ns,
                critical=window.critical,
            )
            for span in calendar
            if (window := windows.get(span.window)) is not None
        ]
    )


def silence_of(state: EngineState, event: Commanded) -> Silence:
    """Return the silence that a command means. Raises Refused.

    Args: `match`, `why`, `for_ns`, and if they are given `from_wall_ns` (else now) and `critical` (`true`).
    """
    args = dict(event.args)
    why, match = args.get("why", ""), args.get("match", "")
    try:
        parse(match)
    except MatchError as error:
        raise Refused(f"match: {error}") from None
    try:
        for_ns, from_ns = int(args.get("for_ns", "")), int(args.get("from_wall_ns", event.wall_ns))
    except ValueError:
        raise Refused("a silence takes whole numbers of nanoseconds") from None
    if not why.strip() or len(why) > LONGEST_WHY:
        raise Refused(f"a silence takes a reason of at most {LONGEST_WHY} characters: others will ask for it")
    if not 0 < for_ns <= LONGEST_NS:
        raise Refused(f"a silence lasts for {LONGEST_NS // (86_400 * NS)} days at most, and for some time at least")
    if not event.wall_ns <= from_ns <= event.wall_ns + LONGEST_NS:
        raise Refused("a silence begins now, or within a week")
    if len(state.silences) >= MOST:
        raise Refused(f"there are {MOST} silences already; end some of them")
    return Silence(
        id=f"s{state.silence_no + 1}",
        match=match,
        by=event.by,
        reason=why,
        from_wall_ns=from_ns,
        until_wall_ns=from_ns + for_ns,
        critical=args.get("critical") == "true",
    )


def begun(state: EngineState, event: Commanded) -> EngineState:
    """Return the state with the silence of a command. Raises Refused."""
    state = expired(state, event.wall_ns)
    silence = silence_of(state, event)
    return evolve(state, silences=(*state.silences, silence), silence_no=state.silence_no + 1)


def ended(state: EngineState, event: Commanded) -> EngineState:
    """Return the state without the silence that a command names (arg `id`). Raises Refused where there is none."""
    silence = named(state, dict(event.args).get("id", ""))
    return evolve(state, silences=tuple([one for one in state.silences if one.id != silence.id]))


def named(state: EngineState, wanted: str) -> Silence:
    """Return the silence by command that has this id. Raises Refused where there is none, with those that there are."""
    found = next((one for one in state.silences if one.id == wanted), None)
    if found is not None:
        return found
    settings = state.settings
    if settings is not None and wanted in _configured(settings):
        raise Refused(f"{wanted} is of the configuration: take it out there, then tocsin reload")
    known = ", ".join(one.id for one in state.silences[:_MOST_NAMED]) or "there is none"
    more = f" and {len(state.silences) - _MOST_NAMED} more" if len(state.silences) > _MOST_NAMED else ""
    raise Refused(f"no silence by command has the id {wanted[:64]!r} (now: {known}{more}); tocsin silence lists them")


def _configured(settings: Settings) -> set[str]:
    return {one.id for one in settings.silences} | {_weekly_id(window.name) for window in settings.windows}


def _weekly_id(name: str) -> str:
    return f"maintenance:{name}"


def expired(state: EngineState, wall_ns: int) -> EngineState:
    """Return the state without silences and occurrences that are over."""
    silences = tuple([one for one in state.silences if one.until_wall_ns > wall_ns])
    calendar = tuple([span for span in state.calendar if span.until_wall_ns > wall_ns])
    if len(silences) == len(state.silences) and len(calendar) == len(state.calendar):
        return state
    return evolve(state, silences=silences, calendar=calendar)


def listed(state: EngineState, wall_ns: int) -> tuple[Silence, ...]:
    """Return all silences that are not over, the weekly ones while they last."""
    settings = state.settings
    if settings is None:
        return ()
    weekly = at(_occurrences(state.calendar, settings), wall_ns)
    return tuple([one for one in (*state.silences, *settings.silences, *weekly) if one.until_wall_ns > wall_ns])


def coming(state: EngineState, wall_ns: int) -> tuple[Silence, ...]:
    """Return of each weekly window that is not on now when it comes next."""
    settings = state.settings
    if settings is None:
        return ()
    found: dict[str, Silence] = {}
    for one in _occurrences(state.calendar, settings):
        if one.until_wall_ns > wall_ns and (one.id not in found or one.from_wall_ns < found[one.id].from_wall_ns):
            found[one.id] = one
    return tuple([one for one in found.values() if one.from_wall_ns > wall_ns])
