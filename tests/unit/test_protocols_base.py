import pytest

from tocsin.chain.abi import AbiError
from tocsin.chain.logrules import Topic
from tocsin.model.log import Log
from tocsin.protocols import kinds, rules_of
from tocsin.protocols.base import ChainRules, Event, Exactness, Plan, Read, Rules, UnknownRevisionError, Verdict
from tocsin.protocols.integers import ceil_div, half_up_div

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


def test_rules_of_an_unknown_revision_count_nothing_and_name_whom_to_ask() -> None:
    rules: Rules[object, object] = ChainRules(kind="made-up", revision="99", plan=PLAN)
    assert rules.exactness is Exactness.CHAIN
    for asked in (
        lambda: rules.columns(None, 0),
        lambda: rules.legs(None, None, 0),
        lambda: rules.verdict(None, None, 0),
        lambda: rules.critical_price(None, None, b"", 0),
        lambda: rules.liquidation(None, None, b"", b"", None, 0),
    ):
        with pytest.raises(UnknownRevisionError, match=r"made-up 99 .*ask health\(\)"):
            asked()


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


def test_the_topic_of_an_event_is_the_hash_of_its_signature() -> None:
    transfer = Event(of="token", signature="Transfer(address,address,uint256)", account=Topic(1))
    assert transfer.topic0.hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def test_an_account_is_underwater_when_it_owes_more_than_it_has() -> None:
    verdict = Verdict(liquidatable=True, health_wad=1, collateral_base=9, debt_base=10)
    assert verdict.underwater
    assert not Verdict(liquidatable=True, health_wad=1, collateral_base=10, debt_base=10).underwater


def test_a_protocol_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="'nothing' is no protocol"):
        rules_of("nothing", "1")
    assert not {"base", "integers"} & set(kinds())


@pytest.mark.parametrize(("number", "by", "up", "half"), [(0, 3, 0, 0), (7, 2, 4, 4), (5, 3, 2, 2), (4, 3, 2, 1)])
def test_quotients_round_as_their_names_say(number: int, by: int, up: int, half: int) -> None:
    assert (ceil_div(number, by), half_up_div(number, by)) == (up, half)
