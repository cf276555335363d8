"""A packet of the time protocol: what it says is exact, what is wrong with it is found, and no bytes do harm."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.timeserver import FORMAT, stamp

from tocsin.clock import MS, NS
from tocsin.wire import sntp

NONCE = 0x0123456789ABCDEF
T1 = 1_800_000_000 * NS
SOME = {"first": 0b00_100_100, "stratum": 2, "delay": 0, "dispersion": 0, "refid": b"GPS\0", "originate": NONCE}


def packet(t2: int = T1, t3: int = T1, **changes: object) -> bytes:
    own = SOME | changes
    return FORMAT.pack(
        *(own["first"], own["stratum"], 6, -20, own["delay"], own["dispersion"], own["refid"]),
        *(stamp(t2), own["originate"], own.get("arrived", stamp(t2)), own.get("left", stamp(t3))),
    )


def test_a_request_carries_its_number_and_nothing_of_ours() -> None:
    asked = sntp.request(NONCE)
    assert len(asked) == sntp.SIZE
    assert asked[0] == 0b00_100_011
    assert asked[1:40] == bytes(39)
    assert struct.unpack("!Q", asked[40:])[0] == NONCE


@given(
    ahead_ns=st.integers(-(10**15), 10**15),
    there_ns=st.integers(0, 500 * MS),
    work_ns=st.integers(0, 500 * MS),
    back_ns=st.integers(0, 500 * MS),
)
def test_the_offset_is_right_within_half_of_the_way(ahead_ns: int, there_ns: int, work_ns: int, back_ns: int) -> None:
    t2 = T1 + there_ns + ahead_ns
    said = sntp.read(packet(t2, t2 + work_ns), NONCE, T1, T1 + there_ns + work_ns + back_ns)
    assert isinstance(said, sntp.Time)
    assert abs(said.offset_ns - ahead_ns) <= (there_ns + back_ns) // 2 + 4
    assert abs(said.distance_ns - (there_ns + back_ns) // 2) <= 4
    assert abs(said.offset_ns - ahead_ns) <= said.distance_ns + 4


@pytest.mark.parametrize("year_s", [0, 2_085_978_495, 2_085_978_497, 2_524_608_000, 4_102_444_800])
def test_time_goes_on_over_the_end_of_an_era(year_s: int) -> None:
    at = year_s * NS + 5 * NS
    said = sntp.read(packet(at + 3 * NS, at + 3 * NS), NONCE, at, at)
    assert isinstance(said, sntp.Time)
    assert abs(said.offset_ns - 3 * NS) <= 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"first": 0b11_100_100}, "not synchronised"),
        ({"stratum": 16}, "not synchronised"),
        ({"stratum": 0, "refid": b"DENY"}, "DENY"),
        ({"stratum": 0, "refid": b"\xff\x00\x1b["}, "kiss of death"),
        ({"left": 0}, "no time"),
        ({"arrived": 0}, "no time"),
        ({"delay": -1}, "no time"),
        ({"dispersion": 2 << 16}, "may be off"),
        ({"delay": 4 << 16}, "may be off"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(changes: dict[str, object], words: str) -> None:
    said = sntp.read(packet(**changes), NONCE, T1, T1)
    assert isinstance(said, sntp.Refusal)
    assert words in said.reason
    assert said.reason.isprintable()


@pytest.mark.parametrize(("code", "final"), [(b"DENY", True), (b"RSTR", True), (b"RATE", False), (bytes(4), True)])
def test_a_kiss_of_death_is_final_unless_it_asks_for_patience(code: bytes, final: bool) -> None:  # noqa: FBT001
    said = sntp.read(packet(stratum=0, refid=code), NONCE, T1, T1)
    assert isinstance(said, sntp.Refusal)
    assert said.is_final is final


@pytest.mark.parametrize(
    "changes", [{"originate": NONCE + 1}, {"originate": 0}, {"first": 0b00_100_011}, {"first": 0b00_010_100}]
)
def test_what_answers_no_request_of_ours_is_no_answer(changes: dict[str, object]) -> None:
    assert sntp.read(packet(**changes), NONCE, T1, T1) is None
    assert sntp.read(packet(stratum=0, refid=b"DENY", **changes), NONCE, T1, T1) is None


def test_a_server_that_answers_before_it_was_asked_is_not_believed() -> None:
    assert isinstance(sntp.read(packet(T1 + NS, T1), NONCE, T1, T1), sntp.Refusal)


@given(data=st.binary(max_size=100), sent=st.integers(0, 2**62), took=st.integers(0, 2**62))
def test_no_bytes_do_harm(data: bytes, sent: int, took: int) -> None:
    said = sntp.read(data, NONCE, sent, sent + took)
    assert len(data) >= sntp.SIZE or said is None
    mine = data[:24] + struct.pack("!Q", NONCE) + data[32:]
    said = sntp.read(mine, NONCE, sent, sent + took)
    assert said is None or isinstance(said, sntp.Time | sntp.Refusal)
