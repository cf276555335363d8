"""How many blocks a node is asked about at once: found by trying, since every provider has other bounds.

Bounds are on blocks (10 at some plans, 10,000 at others), on logs, on bytes and on time, few of them are told, and what
fits changes along the chain: a contract is quiet for years and busy afterwards. So a refusal halves the span and is
remembered for a while, a success doubles it up to below what was refused.
"""

from dataclasses import dataclass, replace
from typing import Final

_FORGETS: Final = 64
"""After so many successes in a row what was refused is tried again, for what was too much in a busy year is not in a
quiet one. It takes some three questions in vain to find the same bound again."""
_WORTH: Final = 8
"""Less than an eighth more is not worth a question that may be refused."""
_MANY_LOGS: Final = 1_000
"""With so many logs in an answer the next span is not longer. Parsing a megabyte (some 1,700 logs) holds everything
else up for 15 ms, and two answers may come at once; more at once is hardly faster."""
_TOO_MANY_LOGS: Final = 2 * _MANY_LOGS
"""With more of them the next span is half as long, though nobody has refused anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How many blocks one node is asked about, from 1 to `most`."""

    size: int = 256
    most: int = 10_000
    refused: int | None = None
    """The least that it has refused lately."""
    successes: int = 0

    @property
    def is_least(self) -> bool:
        """Whether no less can be asked."""
        return self.size == 1


def served(span: Span, asked: int, logs: int) -> Span:
    """Return the span after an answer about so many blocks with so many logs. Less than the span teaches nothing."""
    if asked < span.size:
        return span
    if logs > _TOO_MANY_LOGS:
        return replace(span, size=max(1, span.size // 2))
    successes = span.successes + 1
    refused = None if successes >= _FORGETS else span.refused
    ceiling = span.most if refused is None else min(span.most, (span.size + refused) // 2)
    wider = min(2 * span.size, ceiling)
    is_worth = logs <= _MANY_LOGS and wider > span.size + span.size // _WORTH
    size = wider if is_worth else span.size
    return replace(span, size=size, refused=refused, successes=0 if refused is None else successes)


def refused(span: Span, asked: int) -> Span:
    """Return the span after a refusal of so many blocks as too many."""
    least = asked if span.refused is None else min(asked, span.refused)
    return replace(span, size=max(1, min(span.size, asked // 2)), refused=max(2, least), successes=0)
