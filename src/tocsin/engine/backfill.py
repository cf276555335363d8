"""Asking for the headers that link what nodes show: one step per tick, bounded, each hash from a node that has it."""

from collections.abc import Mapping
from dataclasses import replace

from tocsin.chain.tree import HeaderTree, Point, credible, missing
from tocsin.engine import common
from tocsin.engine.fold import header_of
from tocsin.engine.pool import in_turn
from tocsin.engine.state import ChainState, Sought
from tocsin.model.block import Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.observation import by_hash, hash_of
from tocsin.model.settings import ChainSettings

PER_TICK = 16
TRIES = 3
"""How often one header is asked for; after that its gap stays open until another head leads to it."""

_PATIENCE_POLLS = 3
_REMEMBERED = 512


def take(
    sought: Mapping[str, Sought], event: Fetched, chain: ChainSettings, tree: HeaderTree
) -> tuple[Mapping[str, Sought], list[Header]]:
    """Return what is still sought, and the header if the answer is the one that was asked for.

    One that does not fit what is known of its hash is no answer: whoever was asked may want to cut others off.
    """
    wanted = hash_of(event.call)
    entry = sought.get(wanted) if wanted is not None else None
    if wanted is None or entry is None or entry.request != event.request:
        return sought, []
    result = event.part.result if event.part is not None else None
    header = header_of(result, chain.hashes_as_ethereum) if result is not None else None
    left = dict(sought)
    found: list[Header] = []
    if isinstance(header, Header) and header.hash == wanted and header.verification is not Verification.MISMATCH:
        found = [header] if credible(tree, header) else []
        if found and (header.verification is Verification.MATCH or not chain.hashes_as_ethereum):
            del left[wanted]
            return left, found
    # If it is still lacking it is asked for again at once, of another node, as long as tries are left.
    left[wanted] = replace(entry, asked_ns=0)
    return left, found


def plan(
    state: ChainState, chain: ChainSettings, now_ns: int, request: int
) -> tuple[Mapping[str, Sought], tuple[Fetch, ...]]:
    """Return what is sought from now on and the fetches of this tick."""
    # What many nodes show in the same bytes is one object, and need be compared once.
    points: list[Point] = list({id(block): block for block in common.points(state, chain).values()}.values())
    joined = (state.head.block,) if common.is_fast(chain) else (state.head.block, state.unjoined)
    points += [block for block in joined if block is not None]
    if not points or all(point.hash == points[0].hash for point in points):
        return {}, ()
    sought = dict(state.sought)
    fetches: list[Fetch] = []
    for gap in missing(state.tree, points):
        entry = sought.get(gap.hash)
        if entry is not None and (entry.tries >= TRIES or now_ns - entry.asked_ns < _PATIENCE_POLLS * chain.poll_ns):
            continue
        node = _holder(state, chain, gap.head.hash, entry.tries if entry is not None else 0)
        if node is None or len(fetches) == PER_TICK:
            continue
        request += 1
        sought[gap.hash] = Sought(request=request, asked_ns=now_ns, tries=entry.tries + 1 if entry else 1)
        fetches.append(Fetch(request=request, chain=chain.name, node=node, call=by_hash(gap.hash)))
    return _bounded(sought), tuple(fetches)


def _holder(state: ChainState, chain: ChainSettings, head: str, tries: int) -> str | None:
    """Return a node to ask: one that shows this head, at the second try another one, which may be less tired.

    No group is asked twice in a row where there are others: of one that lies or refuses all nodes may.
    """
    answering = [name for name in in_turn(chain) if state.nodes[name].missed == 0]
    holders = [
        name for name in answering if (shown := common.point(state, chain, name)) is not None and shown.hash == head
    ]
    others = [name for name in answering if name not in holders]
    choice = (others or holders) if tries % 2 else (holders or others)
    return choice[tries // 2 % len(choice)] if choice else None


def _bounded(sought: dict[str, Sought]) -> dict[str, Sought]:
    if len(sought) <= _REMEMBERED:
        return sought
    newest = sorted(sought, key=lambda name: sought[name].request)[-_REMEMBERED:]
    return {name: sought[name] for name in newest}
