"""Whatever a node answers to a question for logs, it is read as what it is or refused with the reason, never raised."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.logchain import (
    BORROW,
    POOL,
    QUIET,
    RULES,
    TOKEN,
    TRANSFER,
    UNREADABLE,
    History,
    Nodes,
    borrow,
    ref,
    transfer,
    user,
    word,
)

from tocsin.chain.loganswer import Answered, BlockLogs, Refused, digest_of, read_logs, selected
from tocsin.chain.logproof import Wrong, can_hold, difference, is_audited, log_header, one_block
from tocsin.chain.logrules import EventRule, RuleSet, Topic, Word
from tocsin.model.log import Log
from tocsin.model.logquery import LogQuery, LogsAt, LogsIn

FIRST, LAST = 5, 9
HASHES = {number: f"0x{number:064x}" for number in range(FIRST, LAST + 1)}
QUERY = LogsIn(first=FIRST, last=LAST, wanted=RULES.wanted)
AT = LogsAt(block=ref(History(0).chain.head()), wanted=RULES.wanted)


def entry(number: int, tx: int, index: int, *, user_number: int = 1, data: bytes = b"") -> dict[str, Any]:
    log = transfer(user_number, 2)
    return {
        "address": f"0x{log.address.hex()}",
        "topics": [f"0x{topic.hex()}" for topic in log.topics],
        "data": f"0x{data.hex()}",
        "blockNumber": hex(number),
        "blockHash": HASHES.get(number, "0x" + "00" * 32),
        "transactionHash": "0x" + "11" * 32,
        "transactionIndex": hex(tx),
        "logIndex": hex(index),
        "removed": False,
    }


PLACES = st.sets(
    st.tuples(st.integers(FIRST, LAST), st.integers(0, 3), st.integers(0, 9)), min_size=2, max_size=12
).map(sorted)
ENTRIES = PLACES.flatmap(lambda places: st.tuples(*(st.builds(entry, *map(st.just, place)) for place in places))).map(
    list
)


def read(entries: object, query: LogQuery = QUERY) -> Answered | Refused:
    return read_logs(orjson.dumps(entries), query)


@given(ENTRIES)
def test_a_right_answer_is_read_whole_and_in_order(entries: list[dict[str, Any]]) -> None:
    found = read(entries)
    assert isinstance(found, Answered)
    assert found.count == len(entries) == sum(len(block.logs) for block in found.blocks.values())
    assert list(found.blocks) == sorted({int(one["blockNumber"], 16) for one in entries})
    assert all(block.hash == HASHES[number] for number, block in found.blocks.items())
    flat = [(number, log.index) for number, block in found.blocks.items() for log in block.logs]
    assert flat == [(int(one["blockNumber"], 16), int(one["logIndex"], 16)) for one in entries]


@given(ENTRIES, st.data())
def test_another_order_is_refused(entries: list[dict[str, Any]], data: st.DataObject) -> None:
    other = data.draw(st.permutations(entries).filter(lambda one: one != entries))
    found = read(other)
    assert isinstance(found, Refused)
    assert "out of order" in found.reason


@given(ENTRIES, st.data())
def test_a_log_that_is_told_twice_in_a_row_is_refused(entries: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    found = read([*entries[: at + 1], *entries[at:]])
    assert isinstance(found, Refused)
    assert f"log {at + 1}: a duplicate" in found.reason


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"removed": True}, "marked as removed"),
    ({"removed": "0x1"}, "marked as removed"),
    ({"blockNumber": hex(LAST + 1)}, "outside of the range"),
    ({"blockNumber": hex(2**70)}, "blockNumber: no number"),
    ({"blockNumber": None}, "blockNumber: no number"),
    ({"blockHash": None}, "blockHash: no bytes"),
    ({"blockHash": "0x12"}, "blockHash: not 32 bytes"),
    ({"address": "0x" + "99" * 20}, f"a contract that was not asked for: '0x{'99' * 20}'"),
    ({"address": "0x" + "99" * 19}, "address: not 20 bytes"),
    ({"address": "0x" + " 9" * 20}, "address: no bytes"),
    ({"address": 7}, "address: no bytes"),
    ({"topics": []}, "topics: no list of 1 to 4"),
    ({"topics": ["0x" + "e1" * 32] * 5}, "topics: no list of 1 to 4"),
    ({"topics": ["0x" + QUIET.hex()]}, f"an event that was not asked for: '0x{QUIET.hex()}'"),
    ({"topics": ["0x" + QUIET[1:].hex()]}, "topics.0: not 32 bytes"),
    ({"topics": ["0x" + TRANSFER.hex(), "0x1"]}, "topics.1: no bytes"),
    ({"topics": ["0x" + TRANSFER.hex(), {}]}, "topics.1: no bytes"),
    ({"data": "0x1"}, "data: no bytes"),
    ({"data": None}, "data: no bytes"),
    ({"logIndex": None}, "logIndex: no number"),
    ({"transactionIndex": "0x-1"}, "transactionIndex: no number"),
]


@pytest.mark.parametrize(("broken", "why"), BROKEN)
def test_a_log_that_is_none_is_refused_with_its_place(broken: dict[str, Any], why: str) -> None:
    found = read([entry(6, 0, 0), {**entry(LAST, 0, 1), **broken}])
    assert isinstance(found, Refused)
    assert found.reason.startswith("log 1")
    assert why in found.reason


def test_two_hashes_for_one_height_or_another_than_asked_are_refused() -> None:
    found = read([entry(6, 0, 0), {**entry(6, 0, 1), "blockHash": "0x" + "ab" * 32}])
    assert isinstance(found, Refused)
    assert "log 1: wrong block hash" in found.reason
    number = AT.block.number
    found = read([{**entry(number, 0, 0), "blockHash": "0x" + "ab" * 32}], AT)
    assert isinstance(found, Refused)
    assert "wrong block hash" in found.reason
    assert isinstance(read([{**entry(number, 0, 0), "blockHash": AT.block.hash}], AT), Answered)


def test_hex_may_be_spelt_in_capitals_and_means_the_same() -> None:
    plain = entry(6, 0, 0, data=b"\xab")
    shouted = {
        name: f"0x{value[2:].upper()}" if isinstance(value, str) else value
        for name, value in {**plain, "topics": None}.items()
    } | {"topics": [f"0x{topic[2:].upper()}" for topic in plain["topics"]]}
    assert read([plain]) == read([shouted])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.just("0x1"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(entry(5, 0, 0))), inner, max_size=9)
    ),
    max_leaves=25,
)


@given(st.binary(max_size=60) | JSON.map(orjson.dumps))
def test_anything_at_all_is_an_answer_or_refused(result: bytes) -> None:
    found = read_logs(result, QUERY)
    assert isinstance(found, Answered | Refused)
    if isinstance(found, Refused):
        assert found.reason
        assert len(found.reason) < 400


@given(ENTRIES, st.data())
def test_one_field_that_is_anything_never_makes_the_answer_another_one_unseen(
    entries: list[dict[str, Any]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    name = data.draw(st.sampled_from(["address", "topics", "data", "blockNumber", "blockHash"]))
    changed = [{**one, name: data.draw(JSON)} if place == at else one for place, one in enumerate(entries)]
    right, found = read(entries), read(changed)
    assert isinstance(right, Answered)
    if isinstance(found, Answered) and changed[at][name] != entries[at][name]:
        assert digest_of(found.blocks) != digest_of(right.blocks)


# -- comparing


LOG = st.builds(
    Log,
    index=st.integers(0, 99),
    address=st.sampled_from([TOKEN, POOL]),
    topics=st.lists(st.sampled_from([TRANSFER, BORROW]), min_size=1, max_size=3).map(tuple),
    data=st.binary(max_size=3),
)
LOG_LISTS = st.lists(LOG, max_size=6).map(tuple)


def content(logs: tuple[Log, ...]) -> tuple[object, ...]:
    return tuple((log.address, log.topics, log.data) for log in logs)


@given(LOG_LISTS, LOG_LISTS)
def test_lists_of_logs_have_one_digest_if_they_say_the_same_and_only_then(
    one: tuple[Log, ...], other: tuple[Log, ...]
) -> None:
    alike = digest_of({5: BlockLogs("0xa", one)}) == digest_of({5: BlockLogs("0xa", other)})
    assert alike == (content(one) == content(other))
    assert digest_of({5: BlockLogs("0xa", one)}) != digest_of({6: BlockLogs("0xa", one)})
    assert digest_of({5: BlockLogs("0xa", one)}) != digest_of({5: BlockLogs("0xb", one)})


@given(LOG_LISTS, LOG_LISTS)
def test_two_lists_of_logs_differ_if_they_do_not_say_the_same_and_only_then(
    one: tuple[Log, ...], other: tuple[Log, ...]
) -> None:
    found = difference(BlockLogs("0xa", one), BlockLogs("0xa", other))
    assert (found is None) == (content(one) == content(other))


@given(LOG_LISTS.filter(bool), st.data())
def test_what_was_done_to_the_logs_is_named(truth: tuple[Log, ...], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(truth) - 1))
    right = BlockLogs("0xa", truth)
    less = difference(BlockLogs("0xa", truth[:at] + truth[at + 1 :]), right)
    assert less is not None
    assert less.wrong is Wrong.LEFT_OUT
    more = difference(BlockLogs("0xa", (*truth[:at], data.draw(LOG), *truth[at:])), right)
    assert more is not None
    assert more.wrong is Wrong.INVENTED
    shuffled = tuple(data.draw(st.permutations(truth)))
    if content(shuffled) != content(truth):
        reordered = difference(BlockLogs("0xa", shuffled), right)
        assert reordered is not None
        assert reordered.wrong is Wrong.REORDERED
    log = Log(index=0, address=truth[at].address, topics=truth[at].topics, data=truth[at].data + b"\x01")
    changed = difference(BlockLogs("0xa", (*truth[:at], log, *truth[at + 1 :])), right)
    assert changed is not None
    assert changed.wrong in (Wrong.CHANGED, Wrong.REORDERED)
    elsewhere = difference(BlockLogs("0xb", truth), right)
    assert elsewhere is not None
    assert elsewhere.wrong is Wrong.WRONG_BLOCK
    silent = difference(None, right)
    assert silent is not None
    assert silent.wrong is Wrong.LEFT_OUT


def test_no_block_that_holds_a_log_is_ruled_out_by_its_bloom() -> None:
    history = History(1)
    node = Nodes(history.chain).nodes["A"]
    held = ruled_out = 0
    for _ in range(60):
        history.grow()
        header = log_header(orjson.dumps(node.call("eth_getBlockByNumber", ["latest", False])))
        logs = [log for change in history.chain.head().changes for log in change.logs]
        asked = selected(
            [Log(index=0, address=log.address, topics=log.topics, data=log.data) for log in logs], RULES.wanted
        )
        assert can_hold(header, RULES.wanted) or not asked  # type: ignore[arg-type]
        held += bool(asked)
        ruled_out += not can_hold(header, RULES.wanted)  # type: ignore[arg-type]
    assert held > 20
    assert ruled_out > 15


@given(st.binary(max_size=9), st.integers(0, 2**40))
def test_audits_are_drawn_by_the_salt_about_as_often_as_they_are_wanted(salt: bytes, first: int) -> None:
    drawn = [number for number in range(first, first + 400) if is_audited(salt, number, 4)]
    assert 50 < len(drawn) < 160
    assert drawn != [number for number in range(first, first + 400) if is_audited(salt + b"other", number, 4)]
    assert not any(is_audited(salt, number, 0) for number in range(first, first + 9))


# -- rules


def told(*topics: bytes, data: bytes = b"") -> Log:
    return Log(index=0, address=TOKEN, topics=topics, data=data)


def rule(account: Topic | Word, *, whole: bool = False) -> EventRule:
    return EventRule(name="r", addresses=(TOKEN,), topic0=TRANSFER, account=account, whole=whole)


def test_an_account_stands_where_the_rule_says() -> None:
    padded = bytes(12) + user(7)
    assert rule(Topic(2)).account_of(told(TRANSFER, word(1), padded)) == user(7)
    assert rule(Word(1)).account_of(told(TRANSFER, data=word(1) + padded)) == user(7)
    assert rule(Word(0), whole=True).account_of(told(TRANSFER, data=b"\xff" * 32)) == b"\xff" * 32


@pytest.mark.parametrize(
    ("where", "log"),
    [
        (Topic(2), told(TRANSFER, word(1))),
        (Topic(1), told(TRANSFER, b"\xff" * 32)),
        (Word(0), told(TRANSFER, data=b"\xff" * 32)),
        (Word(1), told(TRANSFER, data=bytes(63))),
        (Word(9), told(TRANSFER)),
    ],
)
def test_where_no_account_stands_there_is_none(where: Topic | Word, log: Log) -> None:
    assert rule(where).account_of(log) is None


def test_a_log_is_of_the_rules_of_its_contract_and_event_alone() -> None:
    names = [RULES.rules[place].name for place, _ in RULES.named([told(TRANSFER, word(1), word(2))])]
    assert names == ["sender", "receiver"]
    loan = borrow(3)
    log = Log(index=0, address=POOL, topics=loan.topics, data=loan.data)
    assert [RULES.rules[place].name for place, _ in RULES.named([log])] == ["borrower", "trove"]
    assert not list(RULES.named([Log(index=0, address=POOL, topics=(TRANSFER,), data=b""), told()]))
    assert not list(RULES.named([told(UNREADABLE.topics[1])]))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: RuleSet(rules=()), "at least one event rule"),
        (lambda: RuleSet(rules=(rule(Topic(1)), rule(Topic(2)))), "a name of its own"),
        (lambda: RuleSet(rules=(rule(Topic(1)),), start=-1), "cannot start"),
        (lambda: rule(Topic(0)), "topic 1, 2 or 3"),
        (lambda: rule(Topic(4)), "topic 1, 2 or 3"),
        (lambda: rule(Word(-1)), "word -1"),
        (lambda: EventRule(name="", addresses=(TOKEN,), topic0=TRANSFER, account=Topic(1)), "no name"),
        (lambda: EventRule(name="x", addresses=(), topic0=TRANSFER, account=Topic(1)), "x: expected at least one"),
        (lambda: EventRule(name="x", addresses=(b"a",), topic0=TRANSFER, account=Topic(1)), "of 20 bytes"),
        (lambda: EventRule(name="x", addresses=(TOKEN,), topic0=b"t", account=Topic(1)), "topic 0 has 32 bytes"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_their_name(make: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


def test_other_rules_have_another_digest() -> None:
    sets = [
        RULES,
        RuleSet(rules=RULES.rules, start=1),
        RuleSet(rules=RULES.rules[::-1]),
        RuleSet(rules=RULES.rules[:-1]),
        RuleSet(rules=(rule(Topic(1)),)),
        RuleSet(rules=(rule(Topic(2)),)),
        RuleSet(rules=(rule(Word(1)),)),
        RuleSet(rules=(rule(Word(1), whole=True),)),
    ]
    assert len({one.digest for one in sets}) == len(sets)
    assert RuleSet(rules=RULES.rules).digest == RULES.digest


def test_the_question_for_one_height_is_one() -> None:
    assert one_block(7, RULES.wanted) == LogsIn(first=7, last=7, wanted=RULES.wanted)
