"""The small fakes: clocks, bus, RLP, strategies; and that the reference page names every fault."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.errors import BrokerError, PublishRefused
from tocsin.testing import FAULTS, ManualClock, MemoryBus, ScaledClock, header_hash, keccak256, rehashed, rlp
from tocsin.testing.strategies import ObservationTree, block_trees, groups, observation_trees, rpc_headers


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(monotonic_ns=5, wall_ns=100)
    clock.advance(ns=7)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (12, 107)
    clock.step_wall(ns=-50)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (12, 57)
    with pytest.raises(ValueError, match="back"):
        clock.advance(ns=-1)


def test_a_scaled_clock_agrees_at_first_and_then_runs_ahead() -> None:
    base = ManualClock(monotonic_ns=5, wall_ns=100)
    scaled = ScaledClock(base, speed=10)
    assert (scaled.monotonic_ns(), scaled.wall_ns()) == (5, 100)
    base.advance(ns=3)
    assert (scaled.monotonic_ns(), scaled.wall_ns()) == (35, 130)


# -- bus


async def test_a_bus_records_in_order_and_keeps_what_is_retained() -> None:
    bus = MemoryBus()
    await bus.publish("a/status", b"1", qos=1, retain=True, expiry_s=None, content_type="text/plain")
    await bus.publish("a/event/x", b"2", qos=0, retain=False, expiry_s=9, content_type=None)
    await bus.publish("a/status", b"3", retain=True)
    assert [message.payload for message in bus.messages] == [b"1", b"2", b"3"]
    assert bus.retained["a/status"].payload == b"3"
    assert [message.expiry_s for message in bus.on("a/event/#")] == [9]
    await bus.publish("a/status", b"", retain=True)
    assert bus.retained == {}


async def test_a_refused_topic_is_not_recorded_and_says_so() -> None:
    bus = MemoryBus()
    bus.refuse("a/b/#", "c")
    for topic in ("a/b", "a/b/c", "c"):
        with pytest.raises(PublishRefused, match=topic):
            await bus.publish(topic, b"")
    await bus.publish("a/bc", b"")
    assert [message.topic for message in bus.messages] == ["a/bc"]
    assert bus.attempts == 4


async def test_a_bus_that_is_down_takes_nothing_until_it_comes_up() -> None:
    bus = MemoryBus()
    await bus.publish("a", b"1", retain=True)
    bus.go_down()
    with pytest.raises(BrokerError):
        await bus.publish("a", b"2", retain=True)
    bus.come_up()
    assert bus.retained["a"].payload == b"1"


# -- headers


@pytest.mark.parametrize(
    ("item", "encoded"),
    [
        # Examples of the Ethereum wiki's page on RLP.
        (b"dog", "83646f67"),
        ([b"cat", b"dog"], "c88363617483646f67"),
        (b"", "80"),
        ([], "c0"),
        (b"\x0f", "0f"),
        (b"\x80", "8180"),
        (b"\x04\x00", "820400"),
        (
            b"Lorem ipsum dolor sit amet, consectetur adipisicing elit",
            "b8384c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e7365637465747572206164697069736963696e6720656c6974",
        ),
    ],
)
def test_rlp_matches_published_examples(item: bytes | list[bytes], encoded: str) -> None:
    assert rlp(item).hex() == encoded


def test_keccak_is_not_sha3() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@settings(deadline=None)
@given(header=rpc_headers(), field=st.sampled_from(["stateRoot", "extraData", "parentHash", "mixHash"]))
def test_any_change_of_a_field_changes_the_hash(header: dict[str, object], field: str) -> None:
    assert header_hash(header) == header["hash"]
    changed = rehashed(header, **{field: "0x" + "5a" * 32})
    assert changed["hash"] == header_hash(changed) != header["hash"]


# -- strategies


@settings(deadline=None)
@given(blocks=block_trees())
def test_block_trees_link_to_one_first_block(blocks: tuple[object, ...]) -> None:
    tree = ObservationTree(blocks=blocks, nodes=(), heads=())  # type: ignore[arg-type]
    assert len({block.hash for block in tree.blocks}) == len(tree.blocks)
    for block in tree.blocks:
        path = tree.path(block)
        assert path[-1] is tree.blocks[0]
        assert [ancestor.number for ancestor in path] == list(range(block.number, -1, -1))


@settings(deadline=None)
@given(tree=observation_trees(groups=3), liar=groups())
def test_lies_come_from_one_group_alone_and_link_to_nothing(tree: ObservationTree, liar: str) -> None:
    assert len(tree.groups) == 3
    lied = tree.with_lies_from(liar)
    members = {node.name for node in tree.members(liar)}
    for name, head in lied.heads:
        assert (head == tree.head(name)) != (name in members)
        assert (len(lied.path(head)) == 1 and head.number > 999) == (name in members)


# -- docs


def test_the_reference_page_has_one_row_for_each_fault_as_its_class_says(pytestconfig: pytest.Config) -> None:
    page = Path(pytestconfig.rootpath, "docs/reference/testing.md").read_text()
    table = page.partition("<!-- faults: begin -->")[2].partition("<!-- faults: end -->")[0]
    rows = []
    for name, kind in FAULTS.items():
        summary = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
        usage = kind.usage.replace("|", "\\|")
        rows.append(f"| `{name}` | {usage} | {summary} |")
    assert table.strip().splitlines()[2:] == rows
