"""A recording that the daemon made of real anvils gives the verdict of the scenario that was done to them."""

import asyncio
from pathlib import Path
from typing import Final

import pytest
from tests.support.broker import Mosquitto
from tests.support.rig import Place, rigged

from tocsin.lab.scenario import read, run
from tocsin.lab.scenario.recorded import replayed
from tocsin.testing.faults import parse_fault

FILE: Final = Path(__file__).parents[2] / "configs" / "scenarios" / "recorded" / "two-branches.toml"
PLACES: Final = {
    "a1": Place(anvil="left", provider="a"),
    "b1": Place(anvil="left", provider="b"),
    "c1": Place(anvil="right", provider="c"),
}


def test_the_simulated_session_gives_the_verdict() -> None:
    assert run(read(FILE)).problems() == ()


@pytest.mark.timeout(300)
async def test_a_recorded_session_of_real_nodes_gives_the_same_verdict(
    tmp_path: Path, anvil_binary: str, broker: Mosquitto
) -> None:
    async with rigged(tmp_path, anvil_binary, broker, PLACES) as rig:
        await asyncio.sleep(3)
        since = len(rig.heard.events)
        await rig.proxy.node("b1").set(parse_fault("refused"))
        await rig.until_reached({("node.unreachable", "b1", "info")}, since)
        await rig.heal()
        await rig.miner.part()
        await rig.until_reached({("node.fork", "c1", "warning")}, since)
        await rig.miner.rejoin()
        await rig.until_quiet()
        recording = tmp_path / "session.tsj"
        said = await rig.daemon.command("record", str(recording), "--last", "10m", "--config", str(rig.daemon.config))
        assert said.code == 0, said
    outcome = replayed(read(FILE), recording)
    assert outcome.problems() == ()
    assert {key[:2] for key in outcome.reached} == {("node.unreachable", "b1"), ("node.fork", "c1")}
