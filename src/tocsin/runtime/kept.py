"""Tasks for what a configuration names: one for each, of which another one is made where what it is made of changes."""

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from tocsin.runtime.supervisor import Supervisor

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


class KeptTasks(Generic[Key, Made]):
    """Owns them. `begin` gives a task with the number to the supervisor, and returns its name: no name comes twice."""

    def __init__(self, supervisor: Supervisor, begin: Callable[[Key, Made, int], str]) -> None:
        self._supervisor = supervisor
        self._begin = begin
        self._kept: dict[Key, tuple[Made, str]] = {}
        self._begun = 0

    async def apply(self, wanted: Mapping[Key, Made]) -> None:
        """Keep a task for each of these, and no other; what is made of the same goes on."""
        for key, (made, task) in list(self._kept.items()):
            if wanted.get(key) != made:
                del self._kept[key]
                await self._supervisor.end(task)
        for key, made in wanted.items():
            if key not in self._kept:
                self._begun += 1
                self._kept[key] = (made, self._begin(key, made, self._begun))
