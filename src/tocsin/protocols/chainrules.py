"""The rules of revisions that are not known: whatever they are asked, they name whom to ask."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.base import (
    Exactness,
    Liquidation,
    Plan,
    Reading,
    Refusal,
    Region,
    UnknownRevisionError,
    Verdict,
    asked_view,
)
from tocsin.protocols.places import Base, Difference, Parts, Target, Unread
from tocsin.risk.columns import Columns
from tocsin.risk.table import Legs


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRules:
    """Rules of a revision that is not known: they say what to read and ask the chain's own view, and count nothing."""

    kind: str
    revision: str
    plan: Plan
    finds: Callable[[Target], Reading[Parts]]
    """Where the contracts are, as far as is the same in every revision."""
    says: Callable[[Value], Verdict]
    """What an answer of the view means."""

    @property
    def exactness(self) -> Exactness:
        """That the chain has to be asked."""
        return Exactness.CHAIN

    def parts(self, target: Target) -> Reading[Parts]:
        return self.finds(target)

    def view(self, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
        return asked_view(self.plan, parts, addresses)

    def view_verdict(self, answer: Value) -> Verdict:
        return self.says(answer)

    def market(self, parts: Parts, block: BlockRef) -> Reading[Any]:
        self._refuse(parts, block)

    def accounts(self, parts: Parts, market: Any, addresses: Sequence[bytes]) -> Reading[Sequence[Any]]:
        self._refuse(parts, market, addresses)

    def base(self, parts: Parts, market: Any) -> Base:
        self._refuse(parts, market)

    def prices(self, market: Any) -> Mapping[bytes, int | None]:
        self._refuse(market)

    def parameters(self, parts: Parts, market: Any) -> tuple[tuple[str, str], ...]:
        self._refuse(parts, market)

    def doubt(self, before: Any, after: Any) -> str:
        self._refuse(before, after)

    def differs(self, market: Any, account: Any, answer: Value, at_s: int) -> tuple[Difference, ...]:
        self._refuse(market, account, answer, at_s)

    def columns(self, market: Any, at_s: int) -> Columns:
        self._refuse(market, at_s)

    def legs(self, market: Any, account: Any, at_s: int) -> Legs:
        self._refuse(market, account, at_s)

    def verdict(self, market: Any, account: Any, at_s: int) -> Verdict:
        self._refuse(market, account, at_s)

    def critical_price(self, market: Any, account: Any, asset: bytes, at_s: int) -> Region:
        self._refuse(market, account, asset, at_s)

    def liquidation(
        self, market: Any, account: Any, collateral: bytes, debt: bytes, amount: int | None, at_s: int
    ) -> Liquidation | Refusal:
        self._refuse(market, account, collateral, debt, amount, at_s)

    def _refuse(self, *_: object) -> NoReturn:
        view = self.plan.view
        ask = "" if view is None else f": ask {view.asks.name}()"
        raise UnknownRevisionError(f"{self.kind} {self.revision} counts in a way that is not known{ask}")
