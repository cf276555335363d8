"""Anvils that part for real: where a quorum is left one node forked, where none is left the pool is split."""

import asyncio
from pathlib import Path

from tests.support.broker import Mosquitto
from tests.support.rig import Alerts, Place, rigged
from tests.support.watchdog import reached, subject_of

LEFT_A, LEFT_B = Place(anvil="left", provider="a"), Place(anvil="left", provider="b")
RIGHT_B, RIGHT_C = Place(anvil="right", provider="b"), Place(anvil="right", provider="c")


async def alerts_of_a_parting(folder: Path, binary: str, broker: Mosquitto, places: dict[str, Place]) -> Alerts:
    """Let the anvils part for some blocks and rejoin; return every alert of it, all of them resolved."""
    async with rigged(folder, binary, broker, places) as rig:
        await rig.miner.part()
        await rig.heard.until(lambda _: True, "somebody says something")
        await asyncio.sleep(4)
        await rig.miner.rejoin()
        await rig.until_quiet()
        names = {subject_of(event.data["labels"]) for event in rig.heard.events}
        assert names <= {"chain", *places}
        return reached(rig.heard.events)


async def test_one_node_that_leaves_two_groups_is_forked(tmp_path: Path, anvil_binary: str, broker: Mosquitto) -> None:
    places = {"a1": LEFT_A, "b1": LEFT_B, "c1": RIGHT_C}
    assert await alerts_of_a_parting(tmp_path, anvil_binary, broker, places) == {("node.fork", "c1", "warning")}


async def test_two_nodes_of_one_provider_against_one_other_group_are_a_split_and_no_verdict(
    tmp_path: Path, anvil_binary: str, broker: Mosquitto
) -> None:
    places = {"a1": LEFT_A, "b1": RIGHT_B, "b2": RIGHT_B}
    assert await alerts_of_a_parting(tmp_path, anvil_binary, broker, places) == {("pool.split", "chain", "critical")}
