"""Which alerts are meant: one small language for silences, maintenance windows and routes.

    detector=node.* chain=ethereum severity<=warning

Terms stand side by side, and all have to hold. A term is a key, a sign and a pattern: `=` and `!=` for `detector`,
`severity` and every label, and for `severity` also `<`, `<=`, `>` and `>=`. In a pattern `*` stands for any text, `?`
for any one character and `|` between two patterns for either. A pattern in double quotes is taken as it is, spaces
and stars included. Chains and nodes go by the names of the configuration as well as by their labels, and a node by its
`provider`. A label that an alert does not have is empty, so `node=` means alerts that are about no node.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from tocsin.model.alert import Labels, Severity

LONGEST = 500
"""Characters of a text."""
MOST = 16
"""Terms in it."""

_MOST_KNOWN = 16_384
"""Findings that a sieve remembers."""

Key = TypeVar("Key", bound=Hashable)

SEVERITY = "severity"
DETECTOR = "detector"

_TERM = re.compile(r'(?P<key>[a-z_][a-z0-9_]*)(?P<sign><=|>=|!=|=|<|>)(?P<pattern>"(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|\Z)')
_SPACE = re.compile(r"\s*")


class MatchError(ValueError):
    """A text that means no alerts; the message says where and what would be accepted."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(f"character {at + 1}: {message}")


class Sign(StrEnum):
    """How a term compares."""

    IS = "="
    IS_NOT = "!="
    AT_MOST = "<="
    AT_LEAST = ">="
    BELOW = "<"
    ABOVE = ">"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One term. `choices` are patterns of which one has to fit; a quoted one is `exact`."""

    key: str
    sign: Sign
    choices: tuple[str, ...]
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What people call the subjects of alerts beside their labels."""

    chains: Mapping[str, str] = field(default_factory=dict)
    """CAIP-2 id to the configured name."""
    subjects: Mapping[Labels, Labels] = field(default_factory=dict)
    """Labels of a subject to further pairs, such as a node's own name and its provider."""

    def of(self, labels: Labels) -> Labels:
        """Return the pairs that hold for a subject beside its labels."""
        chains = tuple([(key, self.chains[value]) for key, value in labels if key == "chain" and value in self.chains])
        return (*chains, *self.subjects.get(labels, ()))


@lru_cache(maxsize=512)
def parse(text: str) -> tuple[Matcher, ...]:
    """Return the terms of a text. Raises MatchError."""
    if len(text) > LONGEST:
        raise MatchError(LONGEST, f"is longer than {LONGEST} characters")
    terms: list[Matcher] = []
    at = _skip(text, 0)
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise MatchError(at, "write key=pattern, such as detector=node.* or severity<=warning, with spaces between")
        terms.append(_term(found))
        at = _skip(text, found.end())
    if not terms:
        raise MatchError(0, "names no alerts; write detector=* for all")
    if len(terms) > MOST:
        raise MatchError(0, f"has more than {MOST} terms")
    return tuple(terms)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


def _term(found: "re.Match[str]") -> Matcher:
    key, sign, pattern = found["key"], Sign(found["sign"]), found["pattern"]
    exact = pattern.startswith('"')
    choices = (re.sub(r"\\(.)", r"\1", pattern[1:-1]),) if exact else tuple(pattern.split("|"))
    if key == SEVERITY:
        for word in choices:
            if word not in list(Severity):
                raise MatchError(found.start("pattern"), f"a severity is one of {', '.join(Severity)}")
        if sign not in (Sign.IS, Sign.IS_NOT) and len(choices) > 1:
            raise MatchError(found.start("pattern"), f"{sign} takes one severity")
    elif sign not in (Sign.IS, Sign.IS_NOT):
        raise MatchError(found.start("sign"), f"{key} has no order; only severity does. Write {key}= or {key}!=")
    return Matcher(key=key, sign=sign, choices=choices, exact=exact)


class Sieve:
    """One match for many alerts: what was found out about a subject, or a detector, is not looked at again."""

    __slots__ = ("_about", "_heads", "_known", "_own")

    def __init__(self, terms: Iterable[Matcher]) -> None:
        self._own = tuple([term for term in terms if term.key in (DETECTOR, SEVERITY)])
        self._about = tuple([term for term in terms if term.key not in (DETECTOR, SEVERITY)])
        self._heads: dict[tuple[str, Severity], bool] = {}
        self._known: dict[Labels, bool] = {}

    def fits(self, detector: str, severity: Severity, pairs: Labels) -> bool:
        """Tell whether all terms hold for an alert; `pairs` are its labels and what else people call its subject."""
        head = self._heads.get((detector, severity))
        if head is None:
            head = all(_holds(term, detector, severity, ()) for term in self._own)
            _remember(self._heads, (detector, severity), head)
        if not head or not self._about:
            return head
        found = self._known.get(pairs)
        if found is None:
            found = all(_holds(term, detector, severity, pairs) for term in self._about)
            _remember(self._known, pairs, found)
        return found


def _remember(known: dict[Key, bool], key: Key, found: bool) -> None:  # noqa: FBT001 - what was found
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = found


@lru_cache(maxsize=64)
def sieve(text: str) -> Sieve:
    """Return the sieve of a text. Raises MatchError."""
    return Sieve(parse(text))


def matches(
    terms: Iterable[Matcher], detector: str, severity: Severity, labels: Labels, names: Names | None = None
) -> bool:
    """Tell whether all terms hold for an alert."""
    pairs = labels if names is None else (*labels, *names.of(labels))
    return all(_holds(term, detector, severity, pairs) for term in terms)


def may_mean(term: Matcher, value: str) -> bool:
    """Tell whether a pattern of a term fits a value."""
    return any(_fits(choice, value, exact=term.exact) for choice in term.choices)


def _holds(term: Matcher, detector: str, severity: Severity, pairs: Labels) -> bool:
    if term.key == SEVERITY:
        return _compares(term, severity)
    values = [detector] if term.key == DETECTOR else [value for key, value in pairs if key == term.key] or [""]
    fits = any(may_mean(term, value) for value in values)
    return fits is (term.sign is Sign.IS)


def _compares(term: Matcher, severity: Severity) -> bool:
    if term.sign in (Sign.IS, Sign.IS_NOT):
        return (severity.value in term.choices) is (term.sign is Sign.IS)
    apart = severity.rank - Severity(term.choices[0]).rank
    match term.sign:
        case Sign.AT_MOST:
            return apart <= 0
        case Sign.AT_LEAST:
            return apart >= 0
        case Sign.BELOW:
            return apart < 0
        case _:
            return apart > 0


def _fits(pattern: str, value: str, *, exact: bool) -> bool:
    """Tell whether a pattern fits a whole value: each star is tried again once only, so no pattern takes long."""
    if exact or not ("*" in pattern or "?" in pattern):
        return pattern == value
    at = here = 0
    star, retry = -1, 0
    while here < len(value):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, here
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", value[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            retry += 1
            at, here = star + 1, retry
        else:
            return False
    return not pattern[at:].strip("*")
