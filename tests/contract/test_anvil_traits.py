"""The slow questions and the trials of a real node, through the real session and the real core."""

from dataclasses import replace

import pytest
from tests.support.anvil import Anvil
from tests.support.pool import settings_for
from tests.support.rpcserver import base_clock, endpoint, engine_clock

from tocsin.clock import NS
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.effect import Fetch
from tocsin.model.event import Booted, ConfigRevised, Event, Fetched, Polled, Ticked
from tocsin.model.observation import CHAIN_ID, LATEST, hash_of
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL, Ability
from tocsin.model.view import NodeRecord
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session

SLOW = (CLIENT_VERSION, PEERS, TXPOOL)


class Core:
    """The engine at work on one real node; time is made up, answers are not."""

    def __init__(self, session: Session) -> None:
        [chain] = settings_for(("self",)).chains
        settings = replace(settings_for(("self",)), chains=(replace(chain, id=31337),))
        self.session = session
        self.state = EngineState()
        self.t_ns = 10**15
        self.polls = 0
        self.trials = 0
        self._take(Booted(t_ns=self.t_ns, wall_ns=self.t_ns, boot="b", version="test"))
        self._take(ConfigRevised(t_ns=self.t_ns, settings=settings))

    def _take(self, event: Event) -> list[Fetch]:
        done = step(self.state, event)
        self.state = done.state
        return [effect for effect in done.effects if isinstance(effect, Fetch)]

    @property
    def record(self) -> NodeRecord:
        return self.state.chains["sim"].nodes["n0"]

    async def round(self) -> None:
        self.polls += 1
        self.t_ns += 2 * NS
        answer = await self.session.ask((CHAIN_ID, LATEST))
        parts = answer.parts
        for call in SLOW if self.polls % 30 == 2 else ():
            parts += (await self.session.ask((call,))).parts
        blank = Polled(t_ns=self.t_ns, started_ns=self.t_ns - 10**6, chain="sim", node="n0", poll=self.polls)
        self._take(replace(blank, parts=parts, fault=answer.fault))
        for effect in self._take(Ticked(t_ns=self.t_ns, wall_ns=self.t_ns, chain="sim")):
            self.trials += hash_of(effect.call) is None
            event: Fetched = await self.session.fetch(effect)
            self._take(replace(event, t_ns=self.t_ns))


@pytest.mark.asyncio
async def test_what_a_real_node_can_answer_is_learnt_and_what_it_lacks_is_remembered(anvil: Anvil) -> None:
    await anvil.call("anvil_mine", hex(300))
    clock = engine_clock()
    session = Session(endpoint(anvil.url), clock=clock, resolver=Resolver(base_clock()))
    try:
        core = Core(session)
        for _ in range(120):
            await core.round()
    finally:
        await session.close()
    vitals, known = core.record.vitals, core.record.capabilities
    assert vitals.client is not None
    assert vitals.client.startswith("anvil/")
    assert vitals.pending == 0
    assert vitals.missing == (PEERS,)
    assert set(known.reach) == {Ability.STATE, Ability.PROOFS, Ability.HEADERS, Ability.RECEIPTS}
    assert known.reach[Ability.STATE].whole
    assert known.reach[Ability.HEADERS].whole
    assert known.pins[Ability.PIN_OBJECT] is True
    assert known.offered == {}
    assert core.trials < 80
    assert core.record.outcomes == 0
    assert core.record.p95_ms == 0
