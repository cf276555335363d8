"""What those hold whom an index names: read where the index ends, summed exactly, and told with how it is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from tests.sim.test_engine_indexes import DEBTORS, SCHEMA, IndexPool, keeping
from tests.support.readchain import BANK, REVERTS, TEXT, ReadChain, ReadGround, ReadNodes, amount, placed

from tocsin.chain.logindex import Tally, Touched
from tocsin.chain.logrules import rules_of
from tocsin.cli._indexes import lines
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.effect import StateChanged
from tocsin.model.event import AmountsRead, ConfigRevised
from tocsin.model.index import AmountSample, AmountSettings, IndexSample, IndexSettings
from tocsin.mqtt.models import Index
from tocsin.state.amounts import Amounts
from tocsin.state.ground import Lane, Place
from tocsin.state.indexfile import IndexFile
from tocsin.state.reader import Plan, Read, Reader, ReadTerms

HELD = AmountSettings(contract=f"0x{BANK.hex()}", decimals=2)
HOLDERS = replace(DEBTORS, amount=HELD)


# -- reading


def indexed(path: Path, place: Place, *accounts: int, index: IndexSettings = HOLDERS) -> None:
    """Make an index that ends at a block and names these accounts."""
    touched = {(0, number.to_bytes(20)): Touched(1, 2) for number in accounts}
    file = IndexFile(path, rules_of(index), salt=b"salt")
    file.extend(place.block, Tally(touched=touched, logs=len(accounts)), Grade.QUORUM)
    file.close()


class Bank:
    """A bank that is read, and an index that names its clients, which ends two blocks below the finalized one."""

    def __init__(self, folder: Path, *accounts: int, names: str = "A B C", one_in: int = 0, **change: Any) -> None:
        self.world = ReadChain()
        self.nodes = ReadNodes(self.world.chain, names)
        self.ground = ReadGround(self.world)
        final = self.ground.place(Lane.FINAL)
        assert final is not None
        block = self.world.chain.at(final.block.number - 2, self.world.chain.head())
        assert block is not None
        self.base = self.world.base(block)
        self.place = placed(block)
        self.path = folder / "i.db"
        indexed(self.path, self.place, *accounts)
        self.amounts = Amounts(HOLDERS, replace(HELD, **change), self.path)
        self.reader = Reader(
            self.nodes.groups,
            self.nodes,
            self.ground,
            self.world.clock,
            salt=b"salt",
            terms=ReadTerms(audit_one_in=one_in),
        )

    async def read(self) -> AmountSample | str:
        plan = await self.amounts.plan()
        if isinstance(plan, str):
            return plan
        found = await self.reader.read(plan, Place(block=self.amounts.through))
        assert isinstance(found, Read), found
        return self.amounts.sample(found, self.nodes.groups)


async def test_amounts_are_summed_exactly_at_the_block_at_which_the_index_ends(tmp_path: Path) -> None:
    accounts = range(2**90, 2**90 + 400)
    bank = Bank(tmp_path, *accounts)
    found = await bank.read()
    right = [amount(number, bank.base) for number in accounts]
    assert sum(right) > 2**256
    assert found == AmountSample(
        identity=HELD.identity,
        block=bank.place.block,
        accounts=len(right),
        holding=len(right),
        total=str(sum(right)),
        grade=Grade.UNCORROBORATED,
    )


async def test_who_holds_nothing_is_read_and_not_counted(tmp_path: Path) -> None:
    bank = Bank(tmp_path, 0, 5)
    bank.world.chain.programs[b"\x01bank"] = lambda _world, _to, data: bytes(31) + data[-1:]
    found = await bank.read()
    assert isinstance(found, AmountSample)
    assert (found.accounts, found.holding, found.total) == (2, 1, "5")


async def test_what_a_contract_does_not_return_is_not_known_and_never_zero(tmp_path: Path) -> None:
    bank = Bank(tmp_path, 1, REVERTS, TEXT)
    found = await bank.read()
    assert isinstance(found, AmountSample)
    assert (found.accounts, found.holding, found.unknown, found.total) == (3, 1, 2, str(amount(1, bank.base)))
    assert found.problem == "2 of 3 amounts are not known"


async def test_a_contract_that_has_no_such_call_is_told_as_that(tmp_path: Path) -> None:
    found = await Bank(tmp_path, REVERTS).read()
    assert isinstance(found, AmountSample)
    assert (found.unknown, found.grade) == (1, None)
    assert found.problem == f"{HELD.contract} returns no number to balanceOf(address): check contract and call"


@pytest.mark.parametrize(
    ("names", "grade"), [("A B C", Grade.QUORUM), ("A B", Grade.QUORUM), ("A", Grade.UNCORROBORATED)]
)
async def test_where_each_amount_is_asked_of_a_second_group_a_quorum_says_it(
    tmp_path: Path, names: str, grade: Grade
) -> None:
    bank = Bank(tmp_path, *range(50), names=names, one_in=1)
    found = await bank.read()
    assert isinstance(found, AmountSample)
    assert found.grade is grade
    assert found.audited == (50 if grade is Grade.QUORUM else 0)


async def test_of_too_many_accounts_nothing_is_read_and_that_is_told(tmp_path: Path) -> None:
    bank = Bank(tmp_path, *range(6), most=5)
    assert await bank.read() == "the index names more accounts than the 5 that are read: raise most"
    assert not bank.nodes.asked


async def test_an_index_that_is_not_complete_or_not_there_is_not_read_for(tmp_path: Path) -> None:
    bank = Bank(tmp_path, 1)
    bank.path.unlink()
    found = await bank.read()
    assert isinstance(found, str)
    assert "there is no log index yet" in found
    indexed(bank.path, Place(block=BlockRef(number=3, hash="")), 1)
    assert await bank.read() == "the index is not complete yet"


async def test_the_plan_is_made_anew_only_where_others_are_named(tmp_path: Path) -> None:
    bank = Bank(tmp_path, 1, 2)
    first = await bank.amounts.plan()
    assert isinstance(first, Plan)
    assert await bank.amounts.plan() is first
    indexed(bank.path, Place(block=BlockRef(number=bank.place.block.number + 1, hash="0x" + "11" * 32)), 3)
    again = await bank.amounts.plan()
    assert isinstance(again, Plan)
    assert len(again.first) == 3


# -- in the core

SAMPLE = AmountSample(
    identity=HELD.identity,
    block=BlockRef(number=50, hash="0x" + "11" * 32),
    accounts=40,
    holding=7,
    unknown=1,
    total=str(2**260 + 25),
    grade=Grade.UNCORROBORATED,
    audited=2,
    disputed=1,
    problem="1 of 40 amounts are not known",
)
FAR = IndexSample(through=BlockRef(number=50, hash="0x" + "11" * 32), target=50, accounts=44, grade=Grade.QUORUM)


def amounts_of(pool: IndexPool) -> Any:
    [row] = status(pool.state, pool.now)["chains"][0]["indexes"]  # type: ignore[index]
    jsonschema.validate(row, {**SCHEMA["$defs"]["index"], "$defs": SCHEMA["$defs"]})
    return row["amounts"]


def told(pool: IndexPool) -> list[Any]:
    return [one.document for one in pool.effects if isinstance(one, StateChanged) and one.kind == "index"]


def valued(pool: IndexPool, sample: AmountSample = SAMPLE, **change: Any) -> None:
    event = replace(AmountsRead(t_ns=pool.now, chain="sim", index="debtors", sample=sample), **change)
    assert decode_event(*encode_event(event)) == event
    pool.take(event)


def test_amounts_go_to_the_topic_of_the_index_and_to_the_status() -> None:
    pool = IndexPool(keeping(HOLDERS))
    pool.sample(FAR)
    pool.rounds(1)
    assert amounts_of(pool)["problem"] == "it was not read yet"
    assert amounts_of(pool)["block"] is None
    valued(pool)
    pool.rounds(1)
    first, last = told(pool)
    assert Index.model_validate_json(orjson.dumps(first)).amounts is not None
    found = Index.model_validate_json(orjson.dumps(last)).amounts
    assert found is not None
    assert (found.total, found.holding, found.grade) == (SAMPLE.total, 7, "uncorroborated")
    assert amounts_of(pool) == last["amounts"]
    [row] = status(pool.state, pool.now)["chains"][0]["indexes"]  # type: ignore[index]
    page = list(lines("sim", row))
    whole = f"{(2**260 + 25) // 100:d}"
    assert any("7 of 40 accounts hold " in line and whole[:3] in line and "balanceOf(address)" in line for line in page)
    assert "  amounts: uncorroborated, 2 asked of a second group as well, 1 disputed, 1 unknown" in page
    assert "  amounts: 1 of 40 amounts are not known" in page
    assert decode_state(encode_state(pool.state)) == pool.state


def test_an_index_without_amounts_says_so_and_takes_none() -> None:
    pool = IndexPool()
    pool.sample(FAR)
    valued(pool)
    pool.rounds(1)
    assert amounts_of(pool) is None
    assert not pool.state.chains["sim"].amounts


@pytest.mark.parametrize("change", [{"chain": "other"}, {"index": "lenders"}])
def test_amounts_of_what_is_not_configured_are_not_noted(change: dict[str, str]) -> None:
    pool = IndexPool(keeping(HOLDERS))
    valued(pool, **change)
    valued(pool, replace(SAMPLE, identity="another"))
    assert not pool.state.chains["sim"].amounts


def test_a_reload_keeps_amounts_of_the_same_call_and_forgets_others() -> None:
    pool = IndexPool(keeping(HOLDERS))
    valued(pool)

    def after(held: AmountSettings | None) -> Any:
        settings = keeping(replace(HOLDERS, amount=held))
        return step(pool.state, ConfigRevised(t_ns=pool.now, settings=settings)).state.chains["sim"].amounts

    assert after(replace(HELD, every_ns=5, most=9)) == {"debtors": SAMPLE}
    assert after(replace(HELD, call="debtOf(address)")) == {}
    assert after(None) == {}
