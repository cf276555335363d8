"""What `tocsin config check` says of values that one group is believed for: how long a lie in one of them lasts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.chain.groups import group_nodes
from tocsin.chain.readaudit import blocks_until_found
from tocsin.cli._words import span
from tocsin.model.settings import ChainSettings, ReaderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Audits:
    """What is expected of the audits of one chain, of a group that lies in one value of each reading."""

    chain: str
    one_in: int
    groups: int
    readings: int | None
    """After so many readings it is found, on average; None for never."""
    block_ns: int | None
    """And that takes so long where each block is read."""
    amounts: tuple[tuple[str, int], ...]
    """By index: how long where its amounts are read."""

    def sentence(self) -> str:
        """Say it to a person."""
        if self.groups == 1:
            return f"{self.chain}: its nodes make one group: values that are read in bulk are held against nobody"
        if self.readings is None or self.block_ns is None:
            return f"{self.chain}: no value is asked of a second group: a group that lies in one is never found"
        every = "each value is" if self.one_in == 1 else f"one value in {self.one_in} is"
        times = [f"{span(self.block_ns)} where each block is read"]
        times += [f"{span(ns)} for the amounts of {name}" for name, ns in self.amounts]
        return (
            f"{self.chain}: {every} asked of a second group: of {self.groups} groups one that lies in one value of "
            f"each reading is found after {self.readings} readings on average ({', '.join(times)})"
        )


def audits_of(settings: Settings) -> Iterator[Audits]:
    """Yield what is expected of each chain on which values are read in bulk, or that says how they are."""
    for chain in settings.chains:
        if chain.reader != ReaderSettings() or any(one.amount is not None for one in chain.indexes):
            yield _of(chain)


def _of(chain: ChainSettings) -> Audits:
    groups = len(group_nodes(chain.nodes, chain.vote_by).groups)
    one_in = chain.reader.audit_one_in
    found = blocks_until_found(one_in=one_in, lies=1, groups=groups) if groups > 1 else math.inf
    readings = None if math.isinf(found) else math.ceil(round(found, 6))
    return Audits(
        chain=chain.name,
        one_in=one_in,
        groups=groups,
        readings=readings,
        block_ns=None if readings is None else readings * chain.block_time_ns,
        amounts=tuple(
            (one.name, readings * max(one.amount.every_ns, chain.block_time_ns))
            for one in chain.indexes
            if one.amount is not None and readings is not None
        ),
    )
