"""What a node says of itself is taken as it is meant, bounded, and never a failure."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.engine.quantity import amount_of, count_of, json_of, quantity_of
from tocsin.engine.vitals import deviation, median, observe
from tocsin.model.observation import Part, RpcError, RpcErrorKind
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL
from tocsin.model.traits import Vitals

GETH = "Geth/v1.16.8-stable/linux-amd64/go1.25.1"


def said(vitals: Vitals, t_ns: int = 0, **answers: object) -> Vitals:
    """The vitals after some answers, each a JSON value."""
    parts = {call: Part(call=call, result=orjson.dumps(answer)) for call, answer in answers.items()}
    return observe(vitals, parts, t_ns)


def refused(call: str, kind: RpcErrorKind) -> dict[str, Part]:
    return {call: Part(call=call, error=RpcError(kind=kind, code=-1, message="no"))}


def test_the_first_version_is_no_change_and_the_next_one_is() -> None:
    first = said(Vitals(), 5, client_version="A/v1.0")
    assert (first.client, first.changed_ns, first.renewed_ns) == ("A/v1.0", None, None)
    second = said(first, 9, client_version="A/v1.1")
    assert (second.changed_ns, second.renewed_ns, second.versions) == (9, 9, ("A/v1.1", "A/v1.0"))
    back = said(second, 12, client_version="A/v1.0")
    assert (back.changed_ns, back.renewed_ns, back.versions) == (12, 9, ("A/v1.0", "A/v1.1"))


def test_four_versions_are_remembered_and_the_fifth_is_news_when_it_comes_back() -> None:
    vitals = Vitals()
    for at, letter in enumerate("ABCDE"):
        vitals = said(vitals, at, client_version=f"{letter}/v1.0")
    assert vitals.versions == ("E/v1.0", "D/v1.0", "C/v1.0", "B/v1.0")
    assert said(vitals, 9, client_version="A/v1.0").renewed_ns == 9


def test_answers_are_counted_each_by_its_kind() -> None:
    vitals = Vitals()
    for _ in range(3):
        vitals = said(vitals, peers="0x3", txpool={"pending": 1})
    assert (vitals.peer_answers, vitals.pool_answers) == (3, 3)


def test_what_is_said_again_changes_nothing() -> None:
    first = said(Vitals(), client_version=GETH)
    assert said(first, 7, client_version=GETH) is first


def test_a_version_is_printable_short_and_without_secrets() -> None:
    text = said(Vitals(), client_version="x\n\x1b[31m https://user:pass@host/key " + "é" * 500).client
    assert text is not None
    assert text.isprintable()
    assert len(text) <= 200
    assert "pass" not in text


@pytest.mark.parametrize("value", [None, 5, [], {}, "", "   ", True])
def test_what_is_no_version_leaves_the_old_one(value: object) -> None:
    before = said(Vitals(), client_version=GETH)
    assert said(before, 5, client_version=value).client == GETH


@pytest.mark.parametrize(
    ("value", "peers"),
    [("0x19", 25), (25, 25), ("0x0", 0), (0, 0), ("25", None), (-1, None), (100_000, 100_000), (100_001, None)],
)
def test_peers_are_a_quantity_or_a_number_within_reason(value: object, peers: int | None) -> None:
    assert said(Vitals(), peers=value).peers == peers


def test_a_missing_method_is_remembered_until_it_answers() -> None:
    missing = observe(Vitals(), refused(TXPOOL, RpcErrorKind.METHOD_MISSING), 0)
    assert missing.missing == (TXPOOL,)
    assert observe(missing, refused(TXPOOL, RpcErrorKind.METHOD_MISSING), 5) is missing
    assert said(missing, txpool={"pending": "0x1"}).missing == ()


@pytest.mark.parametrize("kind", [kind for kind in RpcErrorKind if kind is not RpcErrorKind.METHOD_MISSING])
def test_any_other_error_says_nothing(kind: RpcErrorKind) -> None:
    before = said(Vitals(), peers="0x5")
    assert observe(before, refused(PEERS, kind), 9) is before


def filled(count: int, value: int = 1000) -> Vitals:
    vitals = Vitals()
    for at in range(count):
        vitals = said(vitals, at, txpool={"pending": hex(value + at % 7), "queued": 3})
    return vitals


def test_a_pool_is_unusual_only_when_it_is_known_what_is_usual() -> None:
    assert said(filled(29), txpool={"pending": 10**6}).deviation == 0
    assert said(filled(30), txpool={"pending": 10**6}).deviation > 60
    assert said(filled(60), txpool={"pending": 1010}).deviation < 20


def test_an_empty_pool_counts_from_the_first_zero_and_does_not_become_the_usual() -> None:
    vitals = filled(60)
    for at in range(100, 300):
        vitals = said(vitals, at, txpool={"pending": "0x0"})
    assert vitals.empty_since_ns == 100
    assert vitals.deviation > 60
    assert said(vitals, 400, txpool={"pending": 900}).empty_since_ns is None


def test_a_pool_that_is_always_empty_is_not_found_empty() -> None:
    vitals = Vitals()
    for at in range(100):
        vitals = said(vitals, at, txpool={"pending": "0x0", "queued": "0x0"})
    assert vitals.empty_since_ns is None
    assert vitals.deviation == 0


def test_a_pool_of_one_that_empties_is_found_empty_and_more_than_all_there_can_be_is_nothing() -> None:
    vitals = Vitals()
    for at in range(3):
        vitals = said(vitals, at, txpool={"pending": 1})
    assert said(vitals, 7, txpool={"pending": 0}).empty_since_ns == 7
    assert said(vitals, 7, txpool={"pending": 10**8}).pending == 10**8
    assert said(vitals, 7, txpool={"pending": 10**8 + 1}).pending == 1


def test_a_deviation_is_in_tenths_of_the_standard_deviation_that_the_median_one_means() -> None:
    usual = [1000 - 100] * 15 + [1000] + [1000 + 100] * 15
    assert median(usual) == 1000
    assert median([3, 1]) == 3
    assert deviation(usual, 1000 + 148) == 10
    assert deviation(usual, 1000 + 10 * 148) == 100
    assert deviation([2000] * 40, 2100) == 10
    assert deviation([20] * 40, 40) == 20


def test_the_usual_is_an_hour_and_no_more() -> None:
    assert len(filled(500).pendings) == 60


@given(usual=st.lists(st.integers(0, 10**8), min_size=30, max_size=60), value=st.integers(0, 10**8))
def test_a_deviation_is_an_integer_of_at_least_zero_and_grows_with_the_distance(usual: list[int], value: int) -> None:
    middle = median(usual)
    found = deviation(usual, value)
    assert type(found) is int
    assert found >= 0
    farther = value + 1000 if value >= middle else max(0, value - 1000)
    assert deviation(usual, farther) >= found


@given(
    usual=st.lists(st.integers(900, 1100), min_size=31, max_size=60),
    share=st.lists(st.integers(0, 10**8), max_size=14),
)
def test_less_than_half_of_the_past_may_be_anything(usual: list[int], share: list[int]) -> None:
    past = (share + usual)[: len(usual)]
    assert deviation(past, 1000) <= 30
    assert deviation(past, 100_000) > 60


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["pending", "x"]), inner, max_size=2),
    max_leaves=6,
)
results = st.binary(max_size=60) | json_values.map(orjson.dumps)


@given(answers=st.lists(st.tuples(st.sampled_from([CLIENT_VERSION, PEERS, TXPOOL]), results), max_size=12))
def test_any_bytes_leave_bounded_vitals(answers: list[tuple[str, bytes]]) -> None:
    vitals = Vitals()
    for at, (call, result) in enumerate(answers):
        vitals = observe(vitals, {call: Part(call=call, result=result)}, at)
    assert vitals.client is None or (len(vitals.client) <= 200 and vitals.client.isprintable())
    assert len(vitals.versions) <= 4
    assert len(vitals.pendings) <= 60
    assert vitals.peers is None or 0 <= vitals.peers <= 100_000
    assert vitals.pending is None or 0 <= vitals.pending <= 10**8


@given(raw=st.binary(max_size=40))
def test_numbers_are_read_from_any_bytes_or_not_at_all(raw: bytes) -> None:
    value = json_of(raw)
    for read in (quantity_of(value), amount_of(value), count_of(value, 100)):
        assert read is None or read >= 0
