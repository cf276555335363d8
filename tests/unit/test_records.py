"""Records are canonical, complete, and refuse what they did not write."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import orjson
import pytest

from tocsin.detect import REGISTRY
from tocsin.engine.codec import FORMAT, MOST_RESULTS, decode_event, decode_state, encode_event, encode_state
from tocsin.engine.state import ChainState, EngineState
from tocsin.errors import CorruptRecord
from tocsin.ids import digest
from tocsin.model.block import Breach, Rule
from tocsin.model.event import Booted, ConfigRevised, Orphan, Polled
from tocsin.model.observation import LATEST, Part
from tocsin.model.settings import Settings
from tocsin.wire import records
from tocsin.wire.records import Blobs, Codec


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    name: str
    size: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    children: tuple["Tree", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    one: Small | Other
    maybe: Small | None = None
    number: int | None = None
    colour: Colour = Colour.RED
    pair: tuple[str, int] = ("", 0)
    many: tuple[Small, ...] = ()
    names: frozenset[str] = frozenset()
    table: Mapping[str, Small] = field(default_factory=dict)
    any: object = None
    raw: bytes = b""
    tree: Tree = Tree()


CODEC = Codec(Small)


def round_trip(value: Everything) -> Everything:
    blobs: Blobs = {}
    record = CODEC.encode(Everything, value, blobs)
    back: Everything = CODEC.decode(Everything, record, blobs)
    assert CODEC.encode(Everything, back, {}) == record
    return back


@pytest.mark.parametrize(
    "value",
    [
        Everything(one=Other(name="x")),
        Everything(one=Small(name="x", size=4), maybe=Small(name="y"), number=0),
        Everything(one=Small(name="\u2028 \x00"), pair=("a", 2**63), many=(Small(name="1"), Small(name="2"))),
        Everything(one=Small(name="t"), table={"b": Small(name="1"), "a": Small(name="2")}),
        Everything(one=Small(name="s"), names=frozenset(map(str, range(99)))),
        Everything(one=Small(name="o"), any={"deep": [1, "x", None, True, {"p": Small(name="tagged")}]}),
        Everything(one=Small(name="r"), raw=b"\x00\xff" * 300),
        Everything(one=Small(name="r"), raw=b"#not a digest"),
        Everything(one=Small(name="w"), tree=Tree(children=(Tree(), Tree(children=(Tree(),))))),
    ],
)
def test_every_shape_comes_back_as_it_was(value: Everything) -> None:
    assert round_trip(value) == value


def test_equal_values_are_equal_bytes_whatever_the_order_of_their_keys() -> None:
    one = Everything(one=Small(name="t"), table={"b": Small(name="1"), "a": Small(name="2")}, any={"y": 1, "x": 2})
    two = Everything(one=Small(name="t"), table={"a": Small(name="2"), "b": Small(name="1")}, any={"x": 2, "y": 1})
    assert CODEC.encode(Everything, one, {}) == CODEC.encode(Everything, two, {})


def test_a_set_is_written_sorted_and_read_whatever_its_order() -> None:
    value = Everything(one=Small(name="s"), names=frozenset("cab"))
    record = CODEC.encode(Everything, value, {})
    assert b'"names":["a","b","c"]' in record
    assert CODEC.decode(Everything, record.replace(b'"a","b","c"', b'"c","a","b","a"'), {}) == value
    for wrong in (b"1", b"null", b'["a",1]', b'[["a"]]'):
        with pytest.raises(CorruptRecord):
            CODEC.decode(Everything, record.replace(b'["a","b","c"]', wrong), {})


def test_what_is_at_its_default_takes_no_room() -> None:
    assert CODEC.encode(Small, Small(name="x"), {}) == b'{"name":"x"}'


def test_small_results_stay_in_the_record_and_large_ones_are_kept_once() -> None:
    blobs: Blobs = {}
    small, large = b"x" * 128, b"x" * 129
    assert b"x" * 128 in CODEC.encode(Everything, Everything(one=Small(name=""), raw=small), blobs)
    assert blobs == {}
    CODEC.encode(Everything, Everything(one=Small(name=""), raw=large), blobs)
    CODEC.encode(Everything, Everything(one=Small(name=""), raw=large), blobs)
    assert blobs == {digest(large): large}


def test_small_results_that_are_no_text_are_kept_apart() -> None:
    blobs: Blobs = {}
    CODEC.encode(Everything, Everything(one=Small(name=""), raw=b"\xff"), blobs)
    assert list(blobs.values()) == [b"\xff"]


def test_a_body_beyond_reason_is_hashed_and_not_remembered() -> None:
    before = records._cached_digest_of.cache_info().currsize
    blobs: Blobs = {}
    CODEC.encode(Everything, Everything(one=Small(name=""), raw=b"y" * (1 << 17)), blobs)
    assert list(blobs) == [digest(b"y" * (1 << 17))]
    assert records._cached_digest_of.cache_info().currsize == before


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b"{}",
        b'{"one":{"_":"Small"}}',
        b'{"one":{"_":"Nobody","name":"x"}}',
        b'{"one":{"name":"x"}}',
        b'{"one":"x"}',
        b'{"one":[]}',
        b'{"one":{"_":["Small"],"name":"x"}}',
        b'{"one":{"_":"Small","name":1}}',
        b'{"one":{"_":"Small","name":"x","size":true}}',
        b'{"one":{"_":"Small","name":"x","size":1.0}}',
        b'{"one":{"_":"Small","name":"x","extra":1}}',
        b'{"one":{"_":"Small","name":"x"},"colour":"blue"}',
        b'{"one":{"_":"Small","name":"x"},"pair":["a"]}',
        b'{"one":{"_":"Small","name":"x"},"pair":["a",1,2]}',
        b'{"one":{"_":"Small","name":"x"},"table":[]}',
        b'{"one":{"_":"Small","name":"x"},"many":{"a":1}}',
        b'{"one":{"_":"Small","name":"x"},"many":3}',
        b'{"one":{"_":"Small","name":"x"},"raw":""}',
        b'{"one":{"_":"Small","name":"x"},"raw":7}',
        b'{"one":{"_":"Small","name":"x"},"raw":["=","x"]}',
        b'{"one":{"_":"Small","name":"x"},"raw":"#nowhere"}',
        b'{"one":{"_":"Small","name":"x"},"any":{"_":"Nobody"}}',
        b'{"one":{"_":"Small","name":"x"},"any":{"_":7}}',
        b'{"one":{"_":"Small","name":"x"}} trailing',
        b'{"one":{"_":"Small","name":"\xff"}}',
    ],
)
def test_what_no_encoder_wrote_is_refused(record: bytes) -> None:
    with pytest.raises(CorruptRecord, match="cannot be read"):
        CODEC.decode(Everything, record, {})


@pytest.mark.parametrize(
    "deep",
    [
        b'{"one":{"_":"Small","name":"x"},"any":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"one":{"_":"Small","name":"x"},"any":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}",
        b'{"one":{"_":"Small","name":"x"},"tree":' + b'{"children":[' * 500 + b"]}" * 500 + b"}",
    ],
)
def test_nesting_beyond_reason_is_refused_like_any_damage(deep: bytes) -> None:
    with pytest.raises(CorruptRecord):
        CODEC.decode(Everything, deep, {})


def many(values: int) -> bytes:
    """Return a record of so many values, most of them tiny."""
    head = b'{"one":{"_":"Small","name":"x"},"any":['
    return head + b"0," * (values - 4 - head.count(b",")) + b"0]}"


def test_more_values_than_anything_of_ours_has_are_refused_before_they_are_made() -> None:
    assert len(CODEC.decode(Everything, many(records.MOST_VALUES), {}).any) > records.MOST_VALUES - 10
    for record in (many(records.MOST_VALUES + 1), many(records.MOST_VALUES + 1)[:-1]):
        with pytest.raises(CorruptRecord, match=f"of {records.MOST_VALUES + 1} values: at most"):
            CODEC.decode(Everything, record, {})


@pytest.mark.parametrize("tiny", [b"[],", b"{},", b"[" * 50 + b"]" * 50 + b",", b'"",'])
def test_values_of_every_kind_count(tiny: bytes) -> None:
    record = b'{"one":{"_":"Small","name":"x"},"any":[' + tiny * (6_000_000 // len(tiny)) + b"0]}"
    with pytest.raises(CorruptRecord, match="values: at most"):
        CODEC.decode(Everything, record, {})


def test_long_texts_are_no_values() -> None:
    assert round_trip(Everything(one=Small(name="x" * records.MOST_VALUES * 2))).one.name[0] == "x"


HEAD = b'{"format":%d,"digest":"x","results":' % FORMAT


def test_a_snapshot_of_more_results_than_anything_of_ours_has_is_refused() -> None:
    results = b",".join(b'"%d":""' % number for number in range(MOST_RESULTS + 1))
    with pytest.raises(CorruptRecord, match="results: at most"):
        decode_state(HEAD + b"{" + results + b"}}\n{}")


def test_a_result_that_is_missing_is_said_to_be() -> None:
    event = Polled(t_ns=1, started_ns=1, chain="c", node="n", poll=1, parts=(Part(call=LATEST, result=b"z" * 500),))
    record, blobs = encode_event(event)
    assert decode_event(record, blobs) == event
    with pytest.raises(CorruptRecord, match=digest(b"z" * 500)):
        decode_event(record, {})


def test_orphans_survive_the_journal_open_or_not() -> None:
    orphan = Orphan(
        fingerprint="f",
        detector="node.lag",
        labels=(("a", "b"),),
        severity="info",
        summary="s",
        activation=1,
        count=2,
        started_wall_ns=3,
        is_open=False,
    )
    event = Booted(t_ns=1, wall_ns=2, boot="b", version="v", orphans=(orphan,))
    assert decode_event(*encode_event(event)) == event


@pytest.mark.parametrize(
    "snapshot",
    [
        b"",
        b"\n",
        b"{}\n{}",
        b"[]\n{}",
        b"null\n{}",
        HEAD + b"[]}\n{}",
        HEAD + b'{"a":1}}\n{}',
        HEAD + b'{"a":{"hex":"zz"}}}\n{}',
        HEAD + b"{}}\n{}",
        b'{"format":1,"digest":"x","results":{}}\n{}',
        encode_state(EngineState())[:-1],
        encode_state(EngineState()) + b"\n",
    ],
)
def test_a_snapshot_that_is_none_is_refused(snapshot: bytes) -> None:
    with pytest.raises(CorruptRecord):
        decode_state(snapshot)


def test_an_event_of_an_unknown_kind_or_params_is_refused() -> None:
    with pytest.raises(CorruptRecord):
        decode_event(b'{"_":"Exploded","t_ns":1}', {})
    settings = {"site": "s", "watchdog": "w", "environment": "e", "config_hash": "h", "chains": []}
    record = orjson.dumps(
        {"_": ConfigRevised.__name__, "t_ns": 1, "settings": {**settings, "detectors": {"x": {"_": "NoParams"}}}}
    )
    with pytest.raises(CorruptRecord):
        decode_event(record, {})


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 2**120, -(2**300)])
def test_a_number_of_any_size_comes_back_as_it_was(number: int) -> None:
    """A base fee that is worked out from a made-up header may have 120 bits: it must not end all snapshots."""
    value = Everything(one=Small(name="ä"), number=number, many=(Small(name="x", size=number),))
    assert round_trip(value) == value
    breach = Breach(rule=Rule.BASE_FEE, shown=1, right=number)
    chains = {"sim": ChainState(started_ns=0, breaches={"0xab": (breach,)})}
    snapshot = encode_state(EngineState(chains=chains))
    assert f'"right":{number}'.encode() in snapshot


def test_in_pieces_or_in_one_go_the_bytes_are_the_same() -> None:
    value = Everything(
        one=Small(name="ä", size=2**70),
        table={"b": Small(name="1"), "a": Small(name="\u2028", size=4), "é": Small(name="2"), "z": Small(name="3")},
        any={"b": [1, {"y": 2, "x": (3, "4")}], "a": None},
        pair=("p", 1),
        names=frozenset({"b", "a"}),
    )
    for one in (value, replace(value, one=Other(name="o"))):
        whole = CODEC.encode(Everything, one, {})
        assert [CODEC.encode(Everything, one, {}, pieces=pieces) for pieces in range(5)] == [whole] * 5


def test_encoders_that_were_made_before_give_the_same_bytes() -> None:
    fresh, value = Codec(Small), Everything(one=Small(name="s"), any=Small(name="t"), tree=Tree(children=(Tree(),)))
    fresh.prepare(Everything)
    assert fresh.encode(Everything, value, {}) == CODEC.encode(Everything, value, {})


def test_two_classes_of_one_name_are_refused_since_one_would_be_read_as_the_other() -> None:
    twin = type("Small", (), {})
    with pytest.raises(ValueError, match="two classes are called Small"):
        Codec(Small, Other, twin)
    Codec(Small, Other, Small)


def test_the_params_of_every_detector_have_a_name_of_their_own() -> None:
    names = Counter(detector.params.__name__ for detector in REGISTRY.values())
    assert [name for name, count in names.items() if count > 1] == []
    for detector in REGISTRY.values():
        held = Settings(
            site="a", watchdog="b", environment="c", chains=(), config_hash="", detectors={"x": detector.params()}
        )
        event = ConfigRevised(t_ns=0, settings=held)
        read = decode_event(*encode_event(event))
        assert isinstance(read, ConfigRevised)
        assert type(read.settings.detectors["x"]) is detector.params
