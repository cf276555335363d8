import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tocsin import protocols
from tocsin.chain.abi import AbiError, Value
from tocsin.chain.logrules import Fixed, Topic
from tocsin.model.block import BlockRef
from tocsin.model.log import Log
from tocsin.protocols import kind_of, kinds, rules_of
from tocsin.protocols.base import (
    Event,
    Exactness,
    Plan,
    Question,
    Read,
    Reading,
    Rules,
    UnknownRevisionError,
    UnknownStateError,
    Verdict,
    known,
)
from tocsin.protocols.chainrules import ChainRules
from tocsin.protocols.integers import ceil_div, half_up_div
from tocsin.protocols.kind import Kind, followed, touched
from tocsin.protocols.names import OLD_SYMBOL, names_of
from tocsin.protocols.places import Parts, Target

PAGE: Final = (Path(__file__).parents[2] / "docs/reference/protocols.md").read_text()
ROW: Final = re.compile(r"^\| `([a-z0-9-]+)` \| `([^`]+)` \| [^|]+ \| ([a-z ]+) \|$", re.MULTILINE)
VIEW = Read(of="pool", signature="health(address)(uint256)", takes=("account",))
BORROW = Event(of="pool", signature="Borrow(address,uint256)", account=Topic(1))
PLAN = Plan(
    revision=Read(of="pool", signature="VERSION()(uint256)"),
    market=(),
    account=(),
    view=VIEW,
    owes=(BORROW,),
    touches=(BORROW,),
    changes=(Event(of="pool", signature="Paused()"),),
)


POOL, TOKEN = b"\x01" * 20, b"\x02" * 20
TARGET = Target(pool=POOL)
PARTS = Parts(target=TARGET, at={"pool": (POOL,), "token": (TOKEN,)}, names={TOKEN: "TKN"})


def _finds(target: Target) -> Reading[Parts]:
    yield ()
    return replace(PARTS, target=target)


def _says(answer: Value) -> Verdict:
    assert isinstance(answer, int)
    return Verdict(liquidatable=answer < 10, health_wad=answer, collateral_base=0, debt_base=0)


CHAIN_RULES: Final = ChainRules(kind="made-up", revision="99", plan=PLAN, finds=_finds, says=_says)


def test_rules_of_an_unknown_revision_count_nothing_and_name_whom_to_ask() -> None:
    rules: Rules[object, object] = CHAIN_RULES
    assert rules.exactness is Exactness.CHAIN
    for asked in (
        lambda: rules.market(PARTS, BlockRef(number=1, hash="0x1")),
        lambda: rules.accounts(PARTS, None, ()),
        lambda: rules.base(PARTS, None),
        lambda: rules.prices(None),
        lambda: rules.parameters(PARTS, None),
        lambda: rules.doubt(None, None),
        lambda: rules.differs(None, None, 1, 0),
        lambda: rules.columns(None, 0),
        lambda: rules.legs(None, None, 0),
        lambda: rules.verdict(None, None, 0),
        lambda: rules.critical_price(None, None, b"", 0),
        lambda: rules.liquidation(None, None, b"", b"", None, 0),
    ):
        with pytest.raises(UnknownRevisionError, match=r"made-up 99 .*ask health\(\)"):
            asked()


def driven(reading: Reading[Any], answer: Callable[[Question], Any]) -> Any:
    """Let a reading have its answers, and return what it read."""
    answers: list[Any] | None = None
    while True:
        try:
            questions = next(reading) if answers is None else reading.send(answers)
        except StopIteration as done:
            return done.value
        answers = [answer(each) for each in questions]


def test_rules_of_an_unknown_revision_ask_the_view_and_say_what_it_says() -> None:
    assert driven(CHAIN_RULES.parts(TARGET), lambda _: None) == PARTS
    accounts = (b"\x0a" * 20, b"\x0b" * 20, b"\x0c" * 20)
    data = {accounts[0]: (9).to_bytes(32), accounts[1]: None, accounts[2]: b"junk"}
    found = driven(CHAIN_RULES.view(PARTS, accounts), lambda one: one.answered(data[one.arguments[0]]))
    assert CHAIN_RULES.view_verdict(found[0]).liquidatable
    assert [each.account for each in found[1:]] == list(accounts[1:])
    assert {each.reason for each in found[1:]} == {"pool: health() failed, or what it returned is no (uint256)"}
    without = replace(CHAIN_RULES, plan=replace(PLAN, view=None))
    assert [each.reason for each in driven(without.view(PARTS, accounts), lambda _: None)] == [
        "the protocol has no view of an account"
    ] * 3
    with pytest.raises(UnknownRevisionError, match=r"in a way that is not known$"):
        without.verdict(None, None, 0)


def test_an_answer_is_none_where_the_call_failed_and_where_the_bytes_are_no_such_answer() -> None:
    question = Question(VIEW, POOL, (TOKEN,))
    assert question.answered((7).to_bytes(32)) == 7
    assert [question.answered(data) for data in (None, b"", b"\x01" * 31, bytes(64))] == [None] * 4
    with pytest.raises(UnknownStateError, match=r"^pool: health\(\) failed, or what it returned is no \(uint256\)$"):
        known(None, VIEW)
    assert known(0, VIEW) == 0


def test_only_what_was_verified_against_contracts_is_called_exact() -> None:
    assert {each: each.of_verdicts for each in Exactness} == {
        Exactness.VERIFIED: "exact",
        Exactness.SOURCE: "screened",
        Exactness.CHAIN: "chain",
    }


def test_a_read_whose_arguments_are_not_all_named_is_refused() -> None:
    with pytest.raises(AbiError, match="takes 1 arguments, 0 are named"):
        Read(of="pool", signature="health(address)(uint256)")
    with pytest.raises(AbiError):
        Read(of="pool", signature="health(address)", takes=("account",))


def test_an_event_becomes_the_rule_of_an_index_that_finds_its_account() -> None:
    rule = BORROW.rule((b"\x01" * 20,))
    log = Log(address=b"\x01" * 20, topics=(BORROW.topic0, bytes(12) + b"\x02" * 20), data=b"", index=0)
    assert rule.account_of(log) == b"\x02" * 20
    with pytest.raises(ValueError, match="names no account"):
        PLAN.changes[0].rule((b"\x01" * 20,))


def test_a_contract_of_many_markets_is_followed_by_the_id_of_one() -> None:
    event = Event(of="pool", signature="Borrow(bytes32,address)", account=Topic(2), market=Topic(1))
    rule = event.rule((POOL,), b"\x07" * 32)
    assert rule.only == Fixed(Topic(1), b"\x07" * 32)
    with pytest.raises(ValueError, match="topic 1 has 32 bytes, not 0"):
        event.rule((POOL,))


def test_the_topic_of_an_event_is_the_hash_of_its_signature() -> None:
    transfer = Event(of="token", signature="Transfer(address,address,uint256)", account=Topic(1))
    assert transfer.topic0.hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def test_an_account_is_underwater_when_it_owes_more_than_it_has() -> None:
    verdict = Verdict(liquidatable=True, health_wad=1, collateral_base=9, debt_base=10)
    assert verdict.underwater
    assert not Verdict(liquidatable=True, health_wad=1, collateral_base=10, debt_base=10).underwater


def test_a_protocol_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"'nothing' is no protocol; there are .*aave-v3"):
        rules_of("nothing", "1")


def test_only_packages_are_protocols_whatever_modules_lie_beside_them(tmp_path: Path) -> None:
    (tmp_path / "helper.py").touch()
    (tmp_path / "two_words").mkdir()
    (tmp_path / "two_words/__init__.py").touch()
    before = kinds()
    protocols.__path__.append(str(tmp_path))
    try:
        assert set(kinds()) - set(before) == {"two-words"}
    finally:
        protocols.__path__.remove(str(tmp_path))
    assert not {"base", "integers", "names"} & set(before)


def test_every_protocol_says_what_it_is_and_who_owes_in_it() -> None:
    for name in kinds():
        kind = kind_of(name)
        assert kind.name == name
        unknown = kind.rules("a revision that nobody knows")
        assert (unknown.kind, unknown.exactness) == (name, Exactness.CHAIN)
        target = Target(pool=POOL, id=b"\x07" * 32 if kind.has_ids else b"", tokens=(TOKEN,) if kind.tokens else ())
        assert kind.index(target)
        assert all(kind.configured(target).all(event.of) for event in kind.owes)


KIND: Final = Kind(
    name="made-up", rules=lambda _: CHAIN_RULES, revision=lambda _: _revision(), owes=(BORROW,), revisions=()
)


def _revision() -> Reading[str]:
    yield ()
    return "1"


def test_a_target_that_a_protocol_cannot_use_is_refused_and_says_what_to_write() -> None:
    many = replace(KIND, has_ids=True)
    listed = replace(KIND, tokens="token", owes=(replace(BORROW, of="token"),))
    assert [one.addresses for one in KIND.index(TARGET)] == [(f"0x{POOL.hex()}",)]
    assert [one.addresses for one in listed.index(replace(TARGET, tokens=(TOKEN,)))] == [(f"0x{TOKEN.hex()}",)]
    for kind, target, said in (
        (KIND, replace(TARGET, pool=b"short"), "an address has 20 bytes"),
        (KIND, replace(TARGET, id=bytes(32)), "made-up knows no ids: leave id out"),
        (KIND, replace(TARGET, tokens=(TOKEN,)), "leave tokens out"),
        (many, TARGET, "a market of made-up is named by its id: write id"),
        (many, replace(TARGET, id=b"short"), "an id has 32 bytes, not 5"),
        (listed, TARGET, "made-up needs tokens, the contracts whose events name who owes"),
        (listed, replace(TARGET, tokens=(b"short",)), "an address has 20 bytes"),
    ):
        with pytest.raises(ValueError, match=said):
            kind.index(target)


def _log(event: Event, address: bytes, *topics: bytes) -> Log:
    return Log(address=address, topics=(event.topic0, *topics), data=b"", index=0)


def test_logs_say_who_has_to_be_read_again_and_whether_the_contracts_may_be_other_ones() -> None:
    sent = Event(of="token", signature="Transfer(address,address,uint256)", account=Topic(2))
    mine = Event(of="pool", signature="Repay(bytes32,address)", account=Topic(2), market=Topic(1))
    paused = PLAN.changes[0]
    plan = replace(PLAN, touches=(BORROW, sent, mine))
    parts = replace(PARTS, target=replace(TARGET, id=b"\x07" * 32))
    wanted = followed(plan, parts)
    assert wanted.addresses == (POOL, TOKEN)
    assert set(wanted.topics) == {each.topic0 for each in (BORROW, sent, mine, paused)}
    one, two, three, four = (bytes(12) + bytes([number]) * 20 for number in (1, 2, 3, 4))
    logs = [
        _log(BORROW, POOL, one),
        _log(BORROW, TOKEN, four),
        _log(sent, TOKEN, four, two),
        _log(mine, POOL, b"\x07" * 32, three),
        _log(mine, POOL, b"\x08" * 32, four),
        _log(sent, TOKEN, four),
        Log(address=POOL, topics=(), data=b"", index=0),
    ]
    found = touched(plan, parts, logs)
    assert (found.accounts, found.changed) == (frozenset({one[12:], two[12:], three[12:]}), False)
    assert touched(plan, parts, [_log(paused, POOL)]).changed
    assert not touched(plan, parts, [_log(paused, TOKEN)]).changed


def test_tokens_are_called_what_nobody_can_mistake() -> None:
    tokens = [bytes([number]) * 20 for number in range(1, 8)]
    said = ["WETH", "WETH", "USDC", "evil name\n", None, None, ""]
    old = {tokens[4]: b"MKR".ljust(32, b"\x00"), tokens[5]: None}
    by_token = dict(zip(tokens, said, strict=True))
    names = driven(
        names_of(tokens),
        lambda one: old[one.to] if one.read.asks.returns == OLD_SYMBOL.asks.returns else by_token[one.to],
    )
    assert names == {
        tokens[0]: "WETH-0x01010101",
        tokens[1]: "WETH-0x02020202",
        tokens[2]: "USDC",
        tokens[4]: "MKR",
    }
    parts = replace(PARTS, names=names)
    assert (parts.name(tokens[2]), parts.name(tokens[3])) == ("USDC", f"0x{tokens[3].hex()}")


@pytest.mark.parametrize(("number", "by", "up", "half"), [(0, 3, 0, 0), (7, 2, 4, 4), (5, 3, 2, 2), (4, 3, 2, 1)])
def test_quotients_round_as_their_names_say(number: int, by: int, up: int, half: int) -> None:
    assert (ceil_div(number, by), half_up_div(number, by)) == (up, half)


# -- the page about protocols


def test_the_table_lists_every_revision_that_is_known_and_how() -> None:
    told = {(kind, revision): known for kind, revision, known in ROW.findall(PAGE)}
    there = {
        (name, revision): kind_of(name).rules(revision).exactness.value
        for name in kinds()
        for revision in kind_of(name).revisions
    }
    assert told == there, "docs/reference/protocols.md lists other revisions, or says otherwise how they are known"
    assert Exactness.CHAIN.value not in there.values()


@pytest.mark.parametrize("name", kinds())
def test_every_protocol_has_a_section_and_a_revision_that_is_known(name: str) -> None:
    assert f"\n## {name}\n" in PAGE
    assert kind_of(name).revisions


def test_every_label_says_what_its_verdicts_are_called() -> None:
    for label in Exactness:
        assert re.search(rf"^\| {label.value} \| .* \| `{label.of_verdicts}` \|$", PAGE, re.MULTILINE)
