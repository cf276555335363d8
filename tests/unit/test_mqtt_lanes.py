"""What may be sent now: urgent chains apart, each in its order, and a refusal holds up no one else."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import PublishRefused
from tocsin.model.alert import Severity
from tocsin.mqtt.lanes import Holds, chain_of, lanes
from tocsin.store import OutboxRow, Pending


def pending(seq: int, fingerprint: str = "", topic: str = "t", lane: int = 1) -> Pending:
    row = OutboxRow(
        seq=seq,
        id=str(seq),
        fingerprint=fingerprint,
        severity=Severity.INFO,
        topic=topic,
        payload=b"",
        created_wall_ns=0,
    )
    return Pending(row=row, attempts=0, durable=True, lane=lane)


ROWS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["t1", "t2", "t3"]), st.integers(0, 1)), max_size=30
).map(lambda parts: [pending(seq, fp, topic, lane) for seq, (fp, topic, lane) in enumerate(parts)])
REFUSALS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["t1", "t2", "t3"]), st.sampled_from([0x87, 0x95])),
    max_size=4,
)


def holds_of(refusals: list[tuple[str, str, int]]) -> Holds:
    holds = Holds(pause_s=10)
    for chain, topic, code in refusals:
        holds.refuse(chain, PublishRefused(topic, code, "no"), now=100)
    return holds


@given(rows=ROWS, refusals=REFUSALS)
def test_a_chain_goes_in_its_order_or_stops_at_its_first_held_row(
    rows: list[Pending], refusals: list[tuple[str, str, int]]
) -> None:
    holds = holds_of(refusals)
    urgent, others = lanes(rows, holds, now=101)
    gone = {chain_of(chain[0]): chain for chain in urgent + others}
    for fingerprint in "abcd":
        mine = [row for row in rows if row.row.fingerprint == fingerprint]
        free = []
        for row in mine:
            if holds.holds(row.row.topic, fingerprint, 101):
                break
            free.append(row)
        assert gone.get(fingerprint, []) == free


@given(rows=ROWS)
def test_nothing_is_left_out_when_nothing_is_refused_and_urgent_chains_are_apart(rows: list[Pending]) -> None:
    urgent, others = lanes(rows, Holds(pause_s=10), now=0)
    assert sorted(row.row.seq for chain in urgent + others for row in chain) == [row.row.seq for row in rows]
    assert all(any(row.lane == 0 for row in chain) for chain in urgent)
    assert all(row.lane == 1 for chain in others for row in chain)


@given(refusals=REFUSALS)
def test_after_the_pause_everything_is_tried_again(refusals: list[tuple[str, str, int]]) -> None:
    holds = holds_of(refusals)
    assert holds.next_try_s(100, 100) == (10 if refusals else None)
    assert holds.next_try_s(109, 111) == (0 if refusals else None), "it was held when it was looked at"
    assert not any(holds.holds(topic, chain, 110) for topic in ("t1", "t2", "t3") for chain in "abcd")
    assert holds.next_try_s(110, 111) is None
    assert len(holds.refused) == len({topic for _, topic, _ in refusals})


def test_a_refusal_for_size_holds_only_its_own_alert_one_by_the_acl_the_whole_topic() -> None:
    holds = holds_of([("a", "t1", 0x95)])
    assert [holds.holds("t1", chain, 101) for chain in "ab"] == [True, False]
    holds = holds_of([("a", "t1", 0x87)])
    assert [holds.holds("t1", chain, 101) for chain in "ab"] == [True, True]
    assert not holds.holds("t2", "b", 101)


def test_what_the_broker_took_is_no_longer_shown_as_refused() -> None:
    holds = holds_of([("a", "t1", 0x87)])
    assert "t1" in holds.refused[0]
    holds.release("t1", "a")
    assert holds.refused == ()
    assert not holds.holds("t1", "a", 101)


def test_rows_without_a_fingerprint_keep_the_order_of_their_topic() -> None:
    _, others = lanes([pending(2), pending(1), pending(3, topic="u")], Holds(pause_s=1), now=0)
    assert [[row.row.seq for row in chain] for chain in others] == [[1, 2], [3]]
