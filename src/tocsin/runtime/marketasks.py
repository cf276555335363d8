"""What people ask of a market: what other prices would do to it, and how one account stands in it.

Both are answered of the newest version that was valued, in the thread that values: the loop is not held.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from tocsin.errors import ControlError, TocsinError, UsageError
from tocsin.model.market import AccountSample, MarketSample
from tocsin.protocols.base import Exactness
from tocsin.protocols.places import Unread as Silent
from tocsin.runtime.markets import MarketWatch
from tocsin.runtime.referee import asked
from tocsin.runtime.valuer import Valuer
from tocsin.state.ground import Place
from tocsin.state.marketbook import Version, sorted_, updated
from tocsin.state.marketread import Driven, drive
from tocsin.valuation.accounts import Teller
from tocsin.valuation.judging import Judge
from tocsin.valuation.packing import Packed
from tocsin.valuation.repriced import override, questions, says
from tocsin.valuation.situation import Situation
from tocsin.valuation.stressing import MOST_SCENARIOS, Shocks, Stressed, stressed

_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_MOST_ASSETS: Final = 64


class MarketAsks:
    """Answers over the markets that are valued."""

    def __init__(self, markets: MarketWatch) -> None:
        self._markets = markets

    async def stress(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Return what scenarios do to a market. Raises ControlError where it is not known, UsageError for nonsense."""
        scenarios = _scenarios(request)
        chain, name, valuer, version = self._one(request)
        _refuse_uncounted(name, version)
        kernel = await valuer.warm.kernel()
        found = await valuer.worker.do(_told(stressed), version.situation, scenarios, kernel)
        told: dict[str, object] = {**_about(chain, name, valuer.sample, version), **asdict(found)}
        if request.get("referee") is True:
            told["referee"] = await self._refereed(chain, version, valuer, scenarios[found.worst], found)
        return told

    async def _refereed(
        self, chain: str, version: Version, valuer: Valuer, scenario: Shocks, found: Stressed
    ) -> dict[str, object]:
        """Let a node say, by the protocol's own contracts, who falls in the worst scenario; or say why it does not."""
        expected = {one.account: True for one in found.fallen} | dict.fromkeys(found.beside, False)
        situation = version.situation
        try:
            where, code = await valuer.worker.do(override, situation, scenario)
        except TocsinError as error:
            return {"node": None, "asked": 0, "agree": 0, "differ": [], "silent": 0, "problem": str(error)}
        accounts = tuple(bytes.fromhex(account[2:]) for account in expected)
        asks = questions(situation, accounts) if accounts else ()
        problems = []
        for node, pin, source in self._markets.nodes(chain, version.block):
            said = await asked(source, node, pin, version.block, {where: code}, [(one.to, one.data) for one in asks])
            if isinstance(said, str):
                problems.append(f"{node}: {said}")
                continue
            pairs = zip(expected.items(), asks, said, strict=True)
            told = {account: (is_so, says(situation, ask, data)) for (account, is_so), ask, data in pairs}
            return {
                "node": node,
                "asked": len(told),
                "agree": sum(1 for is_so, says_so in told.values() if is_so is says_so),
                "differ": [one for one, (is_so, says_so) in told.items() if says_so is not None and says_so != is_so],
                "silent": sum(1 for _, says_so in told.values() if says_so is None),
                "problem": None,
            }
        return {
            "node": None,
            "asked": 0,
            "agree": 0,
            "differ": [],
            "silent": 0,
            "problem": "; ".join(problems) or f"no node is well and has block {version.block.number}",
        }

    async def account(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Return how an account stands in each market, or in one. Raises as `stress`."""
        address = request.get("address")
        if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
            raise UsageError("account takes an address: 0x and 40 hex digits in lower case")
        rows: list[dict[str, object]] = []
        for chain, name in self._named(request):
            valuer = self._markets.valuer(chain, name)
            version = None if valuer is None else valuer.version
            if valuer is None or version is None:
                problem = "" if valuer is None else valuer.sample.problem
                rows.append({"chain": chain, "market": name, "problem": problem or "it was not valued yet"})
                continue
            found = await self._stands(valuer, version, bytes.fromhex(address[2:]))
            sample, problem = (None, found) if isinstance(found, str) else (asdict(found), valuer.sample.problem)
            about = _about(chain, name, valuer.sample, version)
            rows.append({**about, "account": sample, "problem": problem})
        return {"address": address, "markets": rows}

    async def _stands(self, valuer: Valuer, version: Version, account: bytes) -> AccountSample | str:
        """Return how an account stands; one that is not in the book is read at the block of the version."""
        if version.rules.exactness is Exactness.CHAIN:
            return f"revision {version.rules.revision} counts in a way that is not known: see status"
        situation = version.situation
        if account not in version.accounts and account not in version.unread:
            reading = version.rules.accounts(version.parts, version.market, (account,))
            said = await drive(reading, valuer.ask, Place(block=version.block), valuer.worker)
            if not isinstance(said, Driven):
                return said.reason
            if isinstance(said.value[0], Silent):
                return said.value[0].reason
            situation = await valuer.worker.do(_with, version, account, said.value[0])
        return await valuer.worker.do(_account, situation, account)

    def _named(self, request: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the markets that a request is about. Raises UsageError."""
        name, names = request.get("market", ""), self._markets.names()
        found = [each for each in names if name in ("", each[1], f"{each[0]}/{each[1]}")]
        if not found:
            known = ", ".join(each[1] for each in names)
            raise UsageError(
                f"no market is called {str(name)[:64]!r}; there are {known}" if known else "no market is configured"
            )
        return found

    def _one(self, request: Mapping[str, Any]) -> tuple[str, str, Valuer, Version]:
        """Return one market that was valued. Raises UsageError, ControlError."""
        found = self._named(request)
        if len(found) > 1:
            names = ", ".join(f"{chain}/{name}" for chain, name in found)
            raise UsageError(f"there are the markets {names}; say which with --market")
        [(chain, name)] = found
        valuer = self._markets.valuer(chain, name)
        if valuer is None or valuer.version is None:
            problem = "" if valuer is None else valuer.sample.problem
            raise ControlError(f"market {name} was not valued yet{f': {problem}' if problem else ''}")
        return chain, name, valuer, valuer.version


def _scenarios(request: Mapping[str, Any]) -> list[Shocks]:
    """Return the scenarios of a request. Raises UsageError."""
    assets, moves = request.get("assets"), request.get("moves")
    if not isinstance(moves, list) or not 1 <= len(moves) <= MOST_SCENARIOS:
        raise UsageError(f"stress takes moves, from 1 to {MOST_SCENARIOS} rows of them")
    if not isinstance(assets, list) or len(assets) > _MOST_ASSETS or not all(isinstance(one, str) for one in assets):
        raise UsageError(f"stress takes the names of assets, at most {_MOST_ASSETS}")
    for row in moves:
        is_row = isinstance(row, list) and len(row) == len(assets)
        if not is_row or not all(bps is None or type(bps) is int for bps in row):
            raise UsageError("each row of moves has basis points, or null, for each of the assets")
    return [{name: bps for name, bps in zip(assets, row, strict=True) if bps is not None} for row in moves]


def _refuse_uncounted(name: str, version: Version) -> None:
    if version.rules.exactness is Exactness.CHAIN:
        raise ControlError(f"market {name}: revision {version.rules.revision} counts in a way that is not known")


def _told(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that says no to people where rules cannot count."""

    def found(*args: Any) -> Any:
        try:
            return call(*args)
        except UsageError:
            raise
        except TocsinError as error:
            raise ControlError(str(error)) from None

    return found


def _about(chain: str, name: str, sample: MarketSample, version: Version) -> dict[str, object]:
    return {
        "chain": chain,
        "market": name,
        "block": {"number": version.block.number, "hash": version.block.hash},
        "time_s": version.time_s,
        "revision": version.rules.revision,
        "grade": None if version.grade is None else version.grade.value,
        "exactness": version.rules.exactness.of_verdicts,
        "base": sample.base,
        "base_decimals": sample.base_decimals,
        "book_hash": sample.book_hash,
        "backend": sample.backend,
    }


def _with(version: Version, account: bytes, known: Any) -> Situation:
    """Return a situation in which one more account is."""
    fresh = sorted_(version.rules, version.market, {account: known}, version.time_s)
    accounts = Packed(fresh.kind or version.accounts.kind, {**fresh.packed})
    book = updated(version.book, fresh.legs)
    return replace(version.situation, accounts=accounts, unread=fresh.unread, book=book)


def _account(of: Situation, account: bytes) -> AccountSample | str:
    try:
        columns, prices = of.rules.columns(of.market, of.time_s), of.rules.prices(of.market)
    except TocsinError as error:
        return str(error)
    teller = Teller(of=of, judge=Judge(of), columns=columns, prices=prices)
    found = teller.told(account)
    return found if found.liquidatable is None else teller.held(teller.timed(teller.priced(found)))
