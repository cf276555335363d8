"""The story: one node forks, another one stalls, both are healed; and whether the daemon told it so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from tocsin.cli import _client, _report
from tocsin.cli._demo import scene
from tocsin.cli._demo.ears import Event
from tocsin.cli._demo.scene import FORKS, STALLS, Scene
from tocsin.cli._demo.words import Teller, subject
from tocsin.clock import SystemClock
from tocsin.errors import TocsinError

FORK: Final = "node.fork"
STALL: Final = "node.stale"

_SLACK_S: Final = 30.0
"""What a busy machine may take on top of everything."""
_ASK_S: Final = 2.0
_LOOK_S: Final = 0.25
_SLOTS: Final = 20
"""Any alert of this story comes and goes in fewer slots."""

Key = tuple[str, str]


class Alerts:
    """What the stream has said so far: which alerts are open, by detector and subject, and which are over."""

    def __init__(self) -> None:
        self.open: dict[Key, str] = {}
        """With their severity."""
        self.over: set[Key] = set()
        self._news = asyncio.Event()

    def take(self, event: Event) -> None:
        """Note one event."""
        data: dict[str, Any] = event.get("data") or {}
        key = (str(data.get("detector")), subject(data))
        if data.get("state") == "resolved":
            self.open.pop(key, None)
            self.over.add(key)
        elif "state" in data:
            self.open[key] = str(data.get("severity"))
        self._news.set()

    async def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Wait for what events bring about; tell whether it came in time."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return condition()
        return True


async def listen(events: AsyncIterator[Event], alerts: Alerts, teller: Teller) -> None:
    """Tell and note every event until there are no more."""
    async for event in events:
        teller.alert(event)
        alerts.take(event)


class Story:
    """Plays the scene against what the daemon says. Raises TocsinError when it goes otherwise than it should."""

    def __init__(self, on: Scene, alerts: Alerts, teller: Teller, runtime_dir: str) -> None:
        self._scene = on
        self._alerts = alerts
        self._teller = teller
        self._runtime_dir = runtime_dir
        self._limit_s = _SLOTS * on.slot_s + _SLACK_S

    async def play(self) -> None:
        """Play it all; return when everything is healed and told so."""
        await self._all_well()
        await asyncio.sleep(self._scene.slot_s)
        self._scene.fork()
        self._teller.act(f"{FORKS} forks: it follows a branch that no other node has")
        await self._firing(FORK, FORKS, "warning")
        self._scene.stall()
        self._teller.act(f"{STALLS} stalls: it answers on, but shows no new block any more")
        await self._firing(STALL, STALLS, "critical")
        await self._show_status()
        self._scene.heal()
        self._teller.act(f"both are healed: {FORKS} joins the others again, {STALLS} follows again")
        await self._resolved()

    async def _all_well(self) -> None:
        seen: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(self._limit_s):
                while seen is None or not _is_well(seen):
                    await asyncio.sleep(_LOOK_S)
                    seen = await self._status()
        except TimeoutError:
            said = "it does not answer" if seen is None else f"its status:\n{_page(seen, colour=False)}"
            raise TocsinError(f"not all was well within {self._limit_s:.0f} s; {said}") from None
        chain = seen["chains"][0]
        self._teller.mark(
            f"all is well: {len(chain['nodes'])} nodes healthy, {chain['votes']} of {chain['groups']} groups agree "
            f"on block {chain['head']['number']}"
        )

    async def _status(self) -> dict[str, Any] | None:
        """Ask the daemon; None while it cannot be asked."""
        try:
            found = await asyncio.to_thread(_client.ask, self._runtime_dir, "status", timeout_s=_ASK_S)
        except _client.Unreachable:
            return None
        return found if isinstance(found, dict) else None

    async def _show_status(self) -> None:
        found = await self._status()
        if found is not None:
            self._teller.mark("this is what `tocsin status` says to that:")
            self._teller.page(_page(found, colour=self._teller.colour))

    async def _firing(self, detector: str, node: str, severity: str) -> None:
        if not await self._alerts.until(lambda: self._alerts.open.get((detector, node)) == severity, self._limit_s):
            raise TocsinError(f"no {severity} alert {detector} about {node} came within {self._limit_s:.0f} s")

    async def _resolved(self) -> None:
        if not await self._alerts.until(lambda: not self._alerts.open, self._limit_s):
            left = ", ".join(f"{detector} about {node}" for detector, node in sorted(self._alerts.open))
            raise TocsinError(f"not resolved within {self._limit_s:.0f} s after healing: {left}")
        missing = {(FORK, FORKS), (STALL, STALLS)} - self._alerts.over
        if missing:
            raise TocsinError(f"never resolved: {', '.join(detector for detector, _ in sorted(missing))}")


def _page(document: dict[str, Any], *, colour: bool) -> str:
    now_wall_ns = SystemClock().wall_ns()
    verdict = _report.judge(document, source="socket", now_wall_ns=now_wall_ns)
    return _report.text(verdict, now_wall_ns=now_wall_ns, colour=colour)


def _is_well(document: dict[str, Any]) -> bool:
    chains = document["chains"]
    nodes = [node for chain in chains for node in chain["nodes"]]
    return (
        document["level"] == "ok"
        and [chain["name"] for chain in chains] == [scene.CHAIN]
        and all(node["state"] == "healthy" for node in nodes)
        and all(chain["votes"] == chain["groups"] for chain in chains)
    )
