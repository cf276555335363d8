"""What those hold whom an index names, in the daemon: read of its contract, lies named and not believed."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.broker import Mosquitto
from tests.support.liveindex import Live, alive
from tests.support.logchain import TOKEN, borrow, transfer, user
from tests.support.readchain import makes_many_calls, word
from tests.support.watchdog import Event, Watchdog, eventually, mqtt_of, reached, subscribed, watchdog

from tocsin.engine.inspection import Outcome
from tocsin.engine.recheck import Verdict, rechecked
from tocsin.mqtt.models import IndexEvent
from tocsin.testing.simstate import Change, World
from tocsin.wire import aggregator

CALL = "heldBy(bytes32)"
ASKED = f'amount = {{ contract = "0x{TOKEN.hex()}", call = "{CALL}", decimals = 2, every = "1s" }}'
EVERYTHING = "[chain.reader]\naudit_one_in = 1\n"


class Bank(Live):
    """A chain whose token says what each account holds, which changes with its transfers; who has sent all has none."""

    def __init__(self, names: str = "a b c", **more: Any) -> None:
        self.held: dict[int, int] = {}
        super().__init__(names, **more)
        makes_many_calls(self.chain)
        code = self.chain.head().world.account(TOKEN).code  # type: ignore[union-attr]
        self.chain.programs[code] = self._held_by

    @staticmethod
    def _held_by(world: World, to: bytes, data: bytes) -> bytes:
        return word(world.account(to).slots.get(int.from_bytes(data[4:]), 0))

    def log(self) -> None:
        """Let somebody send all that he has, and somebody else get something; and one be named who holds nothing."""
        one, other = self.rng.sample(range(30), 2)
        slots = {
            (TOKEN, int.from_bytes(user(one))): 0,
            (TOKEN, int.from_bytes(user(other))): self.rng.randrange(1, 10**6),
        }
        self.chain.send(Change(logs=(transfer(one, other), borrow(100 + one)), slots=slots))

    def right(self, number: int) -> tuple[int, int]:  # type: ignore[override]  # of amounts, not of the index
        """How many hold anything at a block, and how much together."""
        block = self.chain.at(number, self.chain.head())
        assert block is not None
        assert block.world is not None
        held = [value for value in block.world.account(TOKEN).slots.values() if value]
        return len(held), sum(held)


def amounts(status: dict[str, Any]) -> dict[str, Any]:
    [one] = status["chains"][0]["indexes"]
    found: dict[str, Any] = one["amounts"]
    return found


def is_read(status: dict[str, Any], *, after: int = -1) -> bool:
    found = amounts(status)
    return found["block"] is not None and found["block"]["number"] > after


def is_confirmed(status: dict[str, Any]) -> bool:
    return is_read(status) and amounts(status)["grade"] == "quorum"


async def test_amounts_are_what_the_contract_says_at_the_block_that_is_named_and_are_told(
    tmp_path: Path, broker: Mosquitto
) -> None:
    async with alive(Bank(), reorgs=True) as live, subscribed(broker) as heard:
        assert isinstance(live, Bank)
        text = live.configuration(tmp_path, broker=mqtt_of(broker), index=ASKED)
        async with watchdog(tmp_path, text) as daemon:
            daemon.start()
            first = amounts(await daemon.until_status(is_read, "amounts are read"))
            later = await daemon.until_status(
                lambda now: is_read(now, after=first["block"]["number"]), "they are read again"
            )
            for found in (first, amounts(later)):
                holding, total = live.right(found["block"]["number"])
                assert (found["holding"], int(found["total"])) == (holding, total)
                assert found["accounts"] > holding
                assert (found["unknown"], found["disputed"], found["problem"]) == (0, 0, None)
                assert found["grade"] == "uncorroborated"  # one group is believed for most of them
            said = await daemon.command("index", "status", "--config", str(daemon.config))
            assert f" by {CALL} of 0x{TOKEN.hex()}" in said.out
            told = [message for message in heard.heard if message.topic.endswith("/index/sim/debtors")]
            last = IndexEvent.model_validate_json(told[-1].payload).data.amounts
            assert last is not None
            assert last.block is not None
            assert (last.holding, int(last.total or "")) == live.right(last.block.number)
            assert not {event.data["detector"] for event in heard.events} & {"node.call_mismatch", "node.proof_invalid"}


async def can_be_checked(daemon: Watchdog, event: Event, folder: Path) -> None:
    """Check what shows that calls made as one, by code that was put in place for them, were answered wrong."""
    evidence, file = event.data["evidence"], folder / "event.json"
    file.write_bytes(event.heard.payload)
    said = await daemon.command("verify", str(file))
    assert said.code == 2, said
    assert f"as if the code at 0x{aggregator.PLACE.hex()} were the {len(aggregator.CODE)} bytes" in said.out
    assert "is what a, c said; that is the watchdog's word" in said.out
    for change, why in (
        ({"answer": evidence["expected"]}, "answer: it says 0x"),
        ({"said": evidence["expected"]}, "value: what the node said is what is held to be right"),
        ({"question": evidence["question"][:-2] + "zz"}, "question: none that reads one thing"),
        ({"header": {**evidence["header"], "gasUsed": "0x1"}}, "header: its fields do not hash to"),
    ):
        found = rechecked({**evidence, **change})
        assert found.verdict is Verdict.FAILS
        failed = [check.text for check in found.checks if check.outcome is Outcome.FAILS]
        assert [text for text in failed if text.startswith(why)], failed


@pytest.mark.timeout(300)
async def test_who_lies_about_an_amount_is_named_with_evidence_and_never_believed(
    tmp_path: Path, broker: Mosquitto
) -> None:
    def another_amount(method: str, result: Any) -> Any:
        """Say that the last of them holds more."""
        return result[:-1] + "fe"[result[-1] == "f"] if method == "eth_call" and len(result) > 2 else result

    async with alive(Bank()) as live, subscribed(broker) as heard:
        assert isinstance(live, Bank)
        text = live.configuration(tmp_path, broker=mqtt_of(broker), index=ASKED, more=EVERYTHING)
        async with watchdog(tmp_path, text) as daemon:
            daemon.start()
            # A second group is asked for each; one that does not answer in time confirms nothing.
            first = amounts(await daemon.until_status(is_confirmed, "amounts are read by two groups"))
            assert first["audited"] == first["accounts"]
            live.nodes["b"].lie = another_amount

            def named() -> set[tuple[str, str]]:
                lies = ("node.call_mismatch", "node.proof_invalid")
                return {(detector, node) for detector, node, _ in reached(heard.events) if detector in lies}

            await eventually(lambda: ("node.call_mismatch", "b") in named(), "the liar is named")
            mark = live.chain.head().number
            await daemon.until_status(lambda now: is_read(now, after=mark), "they are read on")
            assert named() == {("node.call_mismatch", "b")}
            [event] = [one for one in heard.events if one.data["detector"] == "node.call_mismatch"]
            await can_be_checked(daemon, event, tmp_path)
            assert f"0x{TOKEN.hex()}" in event.data["summary"]
            told = [message for message in heard.heard if message.topic.endswith("/index/sim/debtors")]
            for message in told:
                found = IndexEvent.model_validate_json(message.payload).data.amounts
                if found is not None and found.block is not None:
                    assert (found.holding, int(found.total or "")) == live.right(found.block.number)
