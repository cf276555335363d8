"""What a reload leaves of a channel: whoever may still be sending goes on, unless the way itself is another one."""

import asyncio
from pathlib import Path

from tests.support.configs import MINIMAL, loaded
from tests.support.store_kit import SMALL

from tocsin.clock import EngineClock, SystemClock
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.people import People
from tocsin.runtime.supervisor import Supervisor
from tocsin.store import Store

CHANNEL = (
    MINIMAL
    + """
[[notify]]
name = "team"
kind = "apprise"
url = "json://hooks.example/a"
"""
)


async def test_a_try_that_is_under_way_outlives_a_reload_of_anything_but_its_way(tmp_path: Path) -> None:
    clock = SystemClock()
    resolver, owner = Resolver(clock), Supervisor(clock=clock)
    async with await Store.open(tmp_path / "state", clock=clock, limits=SMALL) as store, asyncio.TaskGroup() as group:
        group.create_task(owner.run())
        people = People(
            supervisor=owner, store=store, clock=EngineClock(clock, last_t_ns=0, last_wall_ns=0), resolver=resolver
        )
        carriers = []
        for text in (
            CHANNEL,
            CHANNEL + 'group_interval = "30s"\n',
            CHANNEL.replace("example/a", "example/b"),
            MINIMAL,
            CHANNEL.replace("example/a", "example/b"),
        ):
            await people.apply(loaded(tmp_path, text))
            carriers.append(people._senders["team"].carrier if people._senders else None)
        owner.stop()
    await resolver.close()
    first, same, other, none, new = carriers
    assert first is same
    assert len({id(one) for one in (first, other, new)}) == 3
    assert none is None
