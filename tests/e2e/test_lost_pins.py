"""The real daemon whose database was damaged while a contract changed hands, and whose first node lies about that."""

from pathlib import Path

from tests.e2e.test_lying_contracts import PLACES, address_of, known
from tests.e2e.test_state_directory import damage_table
from tests.support.anvil import Lockstep
from tests.support.artifacts import Deployer, call_data
from tests.support.broker import Mosquitto
from tests.support.realpool import BOB, configured, deployed
from tests.support.rig import rigged

from tocsin.testing.faults import Lie
from tocsin.testing.jsonrpc import Json


async def test_who_took_over_a_contract_while_the_state_was_lost_is_told_of_whoever_lies_about_it(
    tmp_path: Path, anvil_binary: str, broker: Mosquitto
) -> None:
    async def prepare(pair: Lockstep) -> str:
        return configured(await deployed(pair))

    async with rigged(tmp_path, anvil_binary, broker, PLACES, prepare) as rig:
        before = await known(rig)
        [owner] = [told["owner"][0] for topic, told in before.items() if topic == "contract/sim/admin"]
        admin = await address_of(rig, "admin")
        await rig.daemon.kill()
        damage_table(rig.daemon.state_dir / "tocsin.db", "journal")
        async with rig.miner.lock:
            await Deployer(rig.miner.pair).send(admin, call_data("transferOwnership(address)", BOB))

        def as_before(truth: object, _call: Json) -> object:
            """Say that nothing was changed: in the slot, its proof, and what owner() returns."""
            text = str(truth)
            if not isinstance(truth, str | dict) or BOB[2:] not in text:
                return truth
            word = f"0x{int(owner, 16):064x}"
            if isinstance(truth, str):
                return word
            slots = [{**one, "value": owner} if BOB[2:] in str(one["value"]) else one for one in truth["storageProof"]]
            return {**truth, "storageProof": slots}

        await rig.proxy.node("own").set(Lie(tell=as_before))
        rig.daemon.start()
        event = await rig.heard.until(lambda one: one.key[0] == "contract.owner_changed", "the new owner is told")
        assert event.data["summary"] == f"admin belongs to somebody else: owner was {owner}, is {BOB}"
        await rig.heard.until(lambda one: one.key[1] == "own" and one.key[0].startswith("node."), "the liar is named")
        assert list(rig.daemon.state_dir.glob("tocsin.db.corrupt-*"))
