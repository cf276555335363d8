"""A node on another network under the chain's own id, through the whole core; and what clients say of their network."""

from dataclasses import replace

import orjson
import pytest
from tests.support.pool import Pool, settings_for

from tocsin.engine.quantity import network_of
from tocsin.model.event import Polled
from tocsin.model.observation import NETWORK
from tocsin.testing import SimNode


class Asked(Pool):
    """A pool whose nodes are asked for their network in every poll; `said` is what n1 answers instead, if anything."""

    instead: object = None

    def _poll(self, name: str, calls: tuple[str, ...]) -> Polled:
        return super()._poll(name, (*calls, NETWORK))

    def other(self, node: SimNode, request: bytes) -> bytes:
        asked, answers = orjson.loads(request), orjson.loads(node.answer(request))
        at = {call["id"]: call["method"] for call in asked}
        return orjson.dumps(
            [{**one, "result": self.instead} if at[one["id"]] == "net_version" else one for one in answers]
        )


def asked(network_id: int | None) -> Asked:
    settings = settings_for(("a", "b", "c"))
    pool = Asked(replace(settings, chains=(replace(settings.chains[0], network_id=network_id),)), late_ticks=0)
    pool.rounds(6)
    assert pool.said() == []
    pool.answers["n1"] = pool.other
    return pool


@pytest.mark.parametrize("said", ["1", "0x1", 1])
def test_a_node_on_another_network_is_of_another_chain_and_does_not_vote(said: object) -> None:
    pool = asked(1337)
    pool.instead = said
    pool.round()
    assert pool.said() == [("node.wrong_chain", "n1", "firing")]
    assert "network id 1 instead of 1337" in pool.alerts[0].summary
    assert pool.state.chains["sim"].head.voting_groups == 2
    pool.instead = "1337"
    pool.rounds(60)
    assert pool.said()[1] == ("node.wrong_chain", "n1", "resolved")


@pytest.mark.parametrize("said", [None, "", "mainnet", -1, {}, [], 1.5, "1" * 40])
def test_an_answer_that_is_no_network_accuses_nobody(said: object) -> None:
    pool = asked(1337)
    pool.instead = said
    pool.rounds(3)
    assert pool.said() == []


def test_where_no_network_is_configured_every_one_is_right() -> None:
    pool = asked(None)
    pool.instead = "1"
    pool.rounds(3)
    assert pool.said() == []


@pytest.mark.parametrize(
    ("said", "number"), [("1", 1), ("0x539", 1337), (56, 56), (True, None), ("-1", None), (2**64, None), ("0x", None)]
)
def test_a_number_is_read_in_all_its_forms(said: object, number: int | None) -> None:
    assert network_of(said) == number
