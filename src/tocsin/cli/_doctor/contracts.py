"""The contracts of a chain: whether there is code at each address that the configuration names, and what it says."""

from collections.abc import Iterator

from tocsin.cli._doctor import values
from tocsin.cli._doctor.result import Result, fail, ok, skip
from tocsin.config.tree import Chain
from tocsin.model.block import BlockRef, Header
from tocsin.model.effect import Fetch
from tocsin.model.observation import number_of
from tocsin.model.reading import CodeOf, Pin, parse, reading
from tocsin.rpc.session import Session

_NO_CODE = b'"0x"'


async def examine(chain: Chain, subject: str, session: Session, head: Header) -> list[Result]:
    """Ask a node for the code at every address, and for what is watched there; nothing where none is configured."""
    results, empty = await _codes(chain, subject, session, head.ref)
    return [*results, *await values.examine(chain, subject, session, head, empty)]


async def _codes(chain: Chain, subject: str, session: Session, head: BlockRef) -> tuple[list[Result], list[str]]:
    named = addresses(chain)
    if not named:
        return [], []
    items = [CodeOf(address=bytes.fromhex(address[2:])) for address in named]
    call = reading(head, Pin.NUMBER, items)
    answer = await session.fetch(Fetch(request=0, chain=chain.name, node=subject, call=call))
    said = {part.call: part for part in answer.run if number_of(part.call) is None}
    empty: list[str] = []
    told = 0
    for one, part in said.items():
        found = parse(one)
        if found is None or not isinstance(found.items[0], CodeOf) or part.result is None:
            continue
        told += 1
        if part.result == _NO_CODE:
            empty.append(f"0x{found.items[0].address.hex()}")
    if not told:
        return [skip(f"{subject} contracts", "it does not tell which code there is")], []
    results = [_missing(subject, named[address], address) for address in empty]
    return results or [ok(f"{subject} contracts", f"there is code at each address ({told})")], empty


def addresses(chain: Chain) -> dict[str, str]:
    """Return what stands at which address by the configuration, for people: each address once."""
    return dict(reversed(list(_named(chain))))


def _named(chain: Chain) -> Iterator[tuple[str, str]]:
    for contract in chain.contracts:
        known = contract.settings()
        if known.is_contract:
            yield contract.address, f"contract {contract.name}"
        for amount in (*known.balances, *known.allowances):
            if amount.token:
                yield amount.token, f"token of {amount.name} of {contract.name}"
    for feed in chain.feeds:
        yield feed.address, f"feed {feed.name}"
    for index in chain.indexes:
        for event in index.events:
            for address in event.addresses or index.addresses:
                yield address, f"index {index.name}, event {event.name}"


def _missing(subject: str, what: str, address: str) -> Result:
    said = f"there is no code at {address}"
    return fail(f"{subject} {what}", said, f"check the address of {what}: is it that of another chain?")
