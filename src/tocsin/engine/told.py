"""What is known at one block, as those look at it who tell what it means of a contract."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.chain.count import QUORUM_GROUPS
from tocsin.engine.facts import Fact, is_known
from tocsin.model.alert import Grade

_WORST_FIRST: Final = tuple(reversed(Grade))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A named value of a contract, as it is known; None where it is not. `why` says what is odd about it.

    `wrong` says the same where it is the configuration that is contradicted, by what is known and as it is known.
    """

    name: str
    fact: Fact | None
    why: str = ""
    wrong: Fact | None = None


def contradicted(name: str, fact: Fact | None, by: Fact, why: str) -> Told:
    """Return a value, known or not, of which the configuration says something else than what is known."""
    return Told(name=name, fact=fact, why=why, wrong=by.told(why))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All facts of one block, by subject; `groups` is how many there are in the pool."""

    facts: Mapping[str, Fact]
    groups: int

    def text(self, subject: str) -> str | None:
        """Return what is known of a subject well enough to be published."""
        fact = self.facts.get(subject)
        return fact.value if fact is not None and is_known(fact.grade, self.groups) else None

    def is_sure(self, subject: str) -> bool:
        """Tell whether what is known of a subject is as sure as it ever gets: a lone group is all that there is."""
        fact = self.facts.get(subject)
        if fact is None or fact.value is None:
            return False
        return fact.is_sure or (fact.grade is Grade.UNCORROBORATED and self.groups < QUORUM_GROUPS)

    def texts(self) -> dict[str, str]:
        """Return all that is known well enough to be published."""
        return {subject: text for subject in self.facts if (text := self.text(subject)) is not None}

    def why(self, subject: str, what: str) -> str:
        """Return why something is not known, or not for sure; empty where nothing is odd about it."""
        return plain(self.facts.get(subject), what)

    def joined(self, subjects: Iterable[str], value: str) -> Fact:
        """Return a value that rests on several facts: known as the least of them is."""
        facts = [self.facts[subject] for subject in subjects]
        worst = min(facts, key=lambda fact: (_WORST_FIRST.index(fact.grade), fact.votes))
        return worst.told(value)


def plain(fact: Fact | None, what: str) -> str:
    """Return why something is not known, or not for sure; empty where nothing is odd about it."""
    if fact is None:
        return f"no node tells {what}"
    if fact.value is None:
        return f"{what}: {fact.why or fact.grade.value}"
    is_alone = fact.grade is Grade.UNCORROBORATED and fact.groups < QUORUM_GROUPS  # as all of that pool
    return f"{what}: {fact.why}" if fact.why and not is_alone else ""
