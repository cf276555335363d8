"""Asking for the headers that link what nodes show: one step per tick, bounded, each hash from a node that has it.

Where many headers lack, a node that shows a head above them is asked for a run of its own chain in one request. By
height it may answer with anything: what comes is taken as far as it links to the hash that was asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tocsin.chain.tree import HeaderTree, Point, credible, missing
from tocsin.engine import common
from tocsin.engine.fold import header_of
from tocsin.engine.pool import in_turn
from tocsin.engine.state import ChainState, Sought
from tocsin.model.block import Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.observation import Part, by_hash, hash_of, run_of
from tocsin.model.settings import ChainSettings

PER_TICK = 16
"""Questions, and of their headers at most `_HEADERS`; beyond those each asks for one."""

_HEADERS = 64
TRIES = 3
"""How often one header is asked for; after that its gap stays open until another head leads to it."""

_PATIENCE_POLLS = 3
_REMEMBERED = 512


def take(
    sought: Mapping[str, Sought], event: Fetched, chain: ChainSettings, tree: HeaderTree
) -> tuple[Mapping[str, Sought], list[Header]]:
    """Return what is still sought, and the header if the answer is the one that was asked for; of a run all that link.

    One that does not fit what is known of its hash is no answer: whoever was asked may want to cut others off.
    """
    wanted = hash_of(event.call)
    entry = sought.get(wanted) if wanted is not None else None
    if wanted is None or entry is None or entry.request != event.request:
        return sought, []
    left = dict(sought)
    found = list(_linked(tree, wanted, event.run or (event.part,), chain))
    if found and (found[0].verification is Verification.MATCH or not chain.hashes_as_ethereum):
        del left[wanted]
        return left, found
    # If it is still lacking it is asked for again at once, of another node, as long as tries are left.
    left[wanted] = replace(entry, asked_ns=0)
    return left, found


def _linked(tree: HeaderTree, wanted: str, parts: tuple[Part | None, ...], chain: ChainSettings) -> Iterator[Header]:
    """Yield the headers of an answer from the one that was asked for down, as far as each is the parent of the last."""
    above: Header | None = None
    for part in parts:
        result = part.result if part is not None else None
        header = header_of(result, chain.hashes_as_ethereum) if result is not None else None
        if not isinstance(header, Header) or header.verification is Verification.MISMATCH or header.hash != wanted:
            return
        if (above is not None and header.number + 1 != above.number) or not credible(tree, header):
            return
        yield header
        above, wanted = header, header.parent_hash


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
    headers = 0
    for gap in missing(state.tree, points):
        entry = sought.get(gap.hash)
        if entry is not None and (entry.tries >= TRIES or now_ns - entry.asked_ns < _PATIENCE_POLLS * chain.poll_ns):
            continue
        tries = entry.tries if entry is not None else 0
        node = _holder(state, chain, gap.head.hash, tries)
        if node is None or len(fetches) == PER_TICK:
            continue
        request += 1
        sought[gap.hash] = Sought(request=request, asked_ns=now_ns, tries=tries + 1)
        fits = tries == 0 and headers + gap.run <= _HEADERS and _shows(state, chain, node, gap.head.hash)
        headers += gap.run if fits else 1
        call = run_of(gap.hash, gap.number, gap.run) if fits and gap.run > 1 else by_hash(gap.hash)
        fetches.append(Fetch(request=request, chain=chain.name, node=node, call=call))
    return _bounded(sought), tuple(fetches)


def _holder(state: ChainState, chain: ChainSettings, head: str, tries: int) -> str | None:
    """Return a node to ask: one that shows this head, at the second try another one, which may be less tired.

    No group is asked twice in a row where there are others: of one that lies or refuses all nodes may.
    """
    answering = [name for name in in_turn(chain) if state.nodes[name].missed == 0]
    holders = [name for name in answering if _shows(state, chain, name, head)]
    others = [name for name in answering if name not in holders]
    choice = (others or holders) if tries % 2 else (holders or others)
    return choice[tries // 2 % len(choice)] if choice else None


def _shows(state: ChainState, chain: ChainSettings, name: str, head: str) -> bool:
    shown = common.point(state, chain, name)
    return shown is not None and shown.hash == head


def _bounded(sought: dict[str, Sought]) -> dict[str, Sought]:
    if len(sought) <= _REMEMBERED:
        return sought
    newest = sorted(sought, key=lambda name: sought[name].request)[-_REMEMBERED:]
    return {name: sought[name] for name in newest}
