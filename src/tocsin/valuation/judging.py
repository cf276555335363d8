"""Exact verdicts of accounts, each asked of the rules once, and why there is none where there is none."""

from tocsin.errors import TocsinError
from tocsin.protocols.base import Verdict
from tocsin.valuation.situation import Situation

_MOST_TOLD = 200


class Judge:
    """Remembers what it was told. A protocol that has no answer says why: that is no verdict, and never a zero."""

    def __init__(self, of: Situation) -> None:
        self._of = of
        self._said: dict[bytes, Verdict | str] = {}

    def verdict(self, account: bytes) -> Verdict | str:
        """Return what the contracts would say of an account, or why nobody can tell."""
        found = self._said.get(account)
        if found is None:
            found = self._said[account] = self._asked(account)
        return found

    def _asked(self, account: bytes) -> Verdict | str:
        of = self._of
        reason = of.unread.get(account)
        known = None if reason is not None else of.accounts.get(account)
        if known is None:
            return (reason or "it could not be read")[:_MOST_TOLD]
        try:
            return of.rules.verdict(of.market, known, of.time_s)
        except TocsinError as error:
            return str(error)[:_MOST_TOLD]
