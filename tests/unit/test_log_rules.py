"""From the settings of an index to its rules, and from a log to the account that it names."""

from dataclasses import replace

import pytest

from tocsin.chain.logrules import EventRule, Fixed, RuleSet, Topic, Word, event_of, rules_of
from tocsin.model.index import IndexEvent, IndexSettings
from tocsin.model.log import Log

A, B, C = bytes([0xA1]) * 20, bytes([0xB1]) * 20, bytes([0xC1]) * 20
TOPIC, OTHER = b"\xe1" * 32, b"\xe2" * 32
SETTINGS = IndexSettings(
    name="debtors",
    start=7,
    events=(
        IndexEvent(name="one", addresses=(f"0x{A.hex()}", f"0x{B.hex()}"), topic=f"0x{TOPIC.hex()}", account="topic3"),
        IndexEvent(name="two", addresses=(f"0x{A.hex()}",), topic=f"0x{OTHER.hex()}", account="data12", whole=True),
    ),
)


def test_settings_become_rules_one_for_each_event() -> None:
    rules = rules_of(SETTINGS)
    assert rules == RuleSet(
        rules=(
            EventRule(name="one", addresses=(A, B), topic0=TOPIC, account=Topic(3)),
            EventRule(name="two", addresses=(A,), topic0=OTHER, account=Word(12), whole=True),
        ),
        start=7,
    )
    assert rules.wanted.addresses == (A, B)
    assert rules.wanted.topics == (TOPIC, OTHER)
    assert rules.by_source == {(A, TOPIC): (0,), (B, TOPIC): (0,), (A, OTHER): (1,)}
    assert SETTINGS.addresses == (f"0x{A.hex()}", f"0x{B.hex()}")


def test_whatever_changes_what_an_index_holds_changes_its_name() -> None:
    first, second = SETTINGS.events
    others = [
        SETTINGS,
        replace(SETTINGS, start=8),
        replace(SETTINGS, events=(first,)),
        replace(SETTINGS, events=(second, first)),
        *(
            replace(SETTINGS, events=(replace(first, **change), second))
            for change in (
                {"name": "x"},
                {"addresses": (f"0x{A.hex()}",)},
                {"topic": f"0x{OTHER.hex()}"},
                {"account": "topic2"},
                {"account": "data3"},
                {"whole": True},
                {"only": f"topic1=0x{OTHER.hex()}"},
                {"only": f"topic2=0x{OTHER.hex()}"},
            )
        ),
    ]
    assert len({rules_of(one).digest for one in others}) == len(others)
    assert len({one.identity for one in others}) == len(others)
    same = replace(SETTINGS, span=9, audit_one_in=1, receipts_one_in=0, name="x")
    assert rules_of(same).digest == rules_of(SETTINGS).digest
    assert len(rules_of(same).digest) == 32


def test_the_order_in_which_contracts_are_named_is_no_matter() -> None:
    first, second = SETTINGS.events
    turned = replace(SETTINGS, events=(replace(first, addresses=first.addresses[::-1]), second))
    assert rules_of(turned).digest == rules_of(SETTINGS).digest


def word(tail: bytes) -> bytes:
    return tail.rjust(32, bytes(1))


@pytest.mark.parametrize(
    ("place", "whole", "topics", "data", "account"),
    [
        (Topic(1), False, (TOPIC, word(C)), b"", C),
        (Topic(2), False, (TOPIC, word(A), word(C)), b"", C),
        (Topic(3), False, (TOPIC, word(A), word(B), word(C)), b"", C),
        (Topic(3), False, (TOPIC, word(A), word(B)), b"", None),
        (Topic(1), False, (TOPIC, b"\x01" + bytes(31)), b"", None),
        (Topic(1), True, (TOPIC, b"\x01" + bytes(31)), b"", b"\x01" + bytes(31)),
        (Word(0), False, (TOPIC,), word(C) + word(A), C),
        (Word(1), False, (TOPIC,), word(A) + word(C), C),
        (Word(1), False, (TOPIC,), word(A) + word(C)[:31], None),
        (Word(1), True, (TOPIC,), word(A) + b"\xff" * 32, b"\xff" * 32),
        (Word(0), False, (TOPIC,), b"", None),
    ],
)
def test_an_account_is_read_where_the_rule_says(
    place: Topic | Word, *, whole: bool, topics: tuple[bytes, ...], data: bytes, account: bytes | None
) -> None:
    rule = EventRule(name="x", addresses=(A,), topic0=TOPIC, account=place, whole=whole)
    log = Log(index=0, address=A, topics=topics, data=data)
    assert rule.account_of(log) == account
    assert list(RuleSet(rules=(rule,)).named([log])) == [(0, account)]


def test_logs_of_other_contracts_or_events_or_without_a_topic_are_of_no_rule() -> None:
    rules = rules_of(SETTINGS)
    strange = [
        Log(index=0, address=C, topics=(TOPIC, word(A)), data=b""),
        Log(index=1, address=B, topics=(OTHER,), data=bytes(999)),
        Log(index=2, address=A, topics=(), data=b""),
    ]
    assert list(rules.named(strange)) == []
    assert list(rules.named([Log(index=0, address=A, topics=(OTHER,), data=bytes(32 * 13))])) == [(1, bytes(32))]


def test_one_event_may_name_two_accounts() -> None:
    ends = tuple(EventRule(name=f"{at}", addresses=(A, A), topic0=TOPIC, account=Topic(at)) for at in (1, 2))
    found = RuleSet(rules=ends).named([Log(index=0, address=A, topics=(TOPIC, word(B), word(C)), data=b"")])
    assert list(found) == [(0, B), (1, C)]


def test_one_market_of_a_contract_of_many_is_told_by_what_stands_in_a_topic() -> None:
    mine, other = word(b"\x07"), word(b"\x08")
    rule = EventRule(name="x", addresses=(A,), topic0=TOPIC, account=Topic(2), only=Fixed(Topic(1), mine))
    rules = RuleSet(rules=(rule,))
    logs = [
        Log(index=0, address=A, topics=(TOPIC, mine, word(B)), data=b""),
        Log(index=1, address=A, topics=(TOPIC, other, word(C)), data=b""),
        Log(index=2, address=A, topics=(TOPIC,), data=b""),
    ]
    assert list(rules.named(logs)) == [(0, B)]
    assert rules.wanted.first_arguments == (mine,)
    # As long as one rule wants others too, all have to be asked for.
    for free in (replace(rule, name="y", only=None), replace(rule, name="y", only=Fixed(Topic(2), mine))):
        assert RuleSet(rules=(rule, free)).wanted.first_arguments == ()
    assert rules_of(IndexSettings(name="x", start=0, events=(event_of(rule),))) == rules


@pytest.mark.parametrize("event", SETTINGS.events)
def test_a_rule_becomes_the_settings_that_it_is_made_of(event: IndexEvent) -> None:
    assert event_of(rules_of(replace(SETTINGS, events=(event,))).rules[0]) == event


@pytest.mark.parametrize("text", ["topic1", "topic0=0x" + "11" * 32, "topic1=0x11", "data1=0x" + "11" * 32])
def test_what_fixes_no_topic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fixes no topic; write it as topic1=0x and 64 digits"):
        rules_of(replace(SETTINGS, events=(replace(SETTINGS.events[0], only=text),)))


@pytest.mark.parametrize("number", [0, 4, -1])
def test_an_argument_stands_in_topic_one_to_three(number: int) -> None:
    with pytest.raises(ValueError, match=f"^topic {number}: an argument stands in topic 1, 2 or 3$"):
        Topic(number)


@pytest.mark.parametrize("number", [-1, 1024])
def test_a_word_has_a_number_that_data_may_have(number: int) -> None:
    with pytest.raises(ValueError, match=f"^word {number}: a word of the data has a number from 0 to 1023$"):
        Word(number)
    assert (Word(0).number, Word(1023).number, Topic(1).number, Topic(3).number) == (0, 1023, 1, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "^an event rule has no name$"),
        ({"addresses": ()}, "^x: expected at least one contract address of 20 bytes$"),
        ({"addresses": (A, b"short")}, "^x: expected at least one contract address of 20 bytes$"),
        ({"topic0": b"short"}, "^x: topic 0 has 32 bytes, not 5$"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    rule = EventRule(name="x", addresses=(A,), topic0=TOPIC, account=Topic(1))
    with pytest.raises(ValueError, match=said):
        replace(rule, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_rules_that_cannot_be_together_are_refused() -> None:
    rule = EventRule(name="x", addresses=(A,), topic0=TOPIC, account=Topic(1))
    for rules in ((), (rule, rule)):
        with pytest.raises(ValueError, match=r"^an index needs at least one event rule, each with a name of its own$"):
            RuleSet(rules=rules)
    with pytest.raises(ValueError, match=r"^an index cannot start at block -1$"):
        RuleSet(rules=(rule,), start=-1)
    assert RuleSet(rules=(rule,)).start == 0
