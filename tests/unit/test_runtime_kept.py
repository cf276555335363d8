"""Tasks for what a configuration names."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import SystemClock
from tocsin.runtime.kept import KeptTasks
from tocsin.runtime.supervisor import Supervisor

WANTED = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))


@given(configurations=st.lists(WANTED, max_size=5))
def test_there_is_a_task_for_each_that_is_wanted_and_it_goes_on_while_it_is_made_of_the_same(
    configurations: list[dict[str, int]],
) -> None:
    async def run() -> None:
        supervisor = Supervisor(clock=SystemClock())
        alive: dict[str, tuple[int, int]] = {}

        def begin(key: str, made: int, number: int) -> str:
            async def live() -> None:
                assert key not in alive
                alive[key] = (made, number)
                try:
                    await asyncio.Event().wait()
                finally:
                    del alive[key]

            supervisor.spawn(f"{key} #{number}", live)
            return f"{key} #{number}"

        tasks = KeptTasks(supervisor, begin)
        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor.run())
            await asyncio.sleep(0)
            for wanted in configurations:
                before = dict(alive)
                await tasks.apply(wanted)
                await asyncio.sleep(0)
                assert {key: made for key, (made, _) in alive.items()} == wanted
                for key, (made, number) in before.items():
                    assert (alive.get(key) == (made, number)) is (wanted.get(key) == made)
            supervisor.stop()

    asyncio.run(run())
