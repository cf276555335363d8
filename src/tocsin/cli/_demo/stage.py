"""The demo as a whole: sets the scene, starts the programs, lets the story run, and leaves nothing behind."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tocsin.cli._demo import crew, ears, scene, words
from tocsin.cli._demo.ears import BrokerEar, DaemonEar
from tocsin.cli._demo.scene import Scene
from tocsin.cli._demo.story import Alerts, Story, listen
from tocsin.cli._demo.words import Teller
from tocsin.clock import Clock
from tocsin.errors import TocsinError
from tocsin.mqtt.embedded import EmbeddedBroker
from tocsin.mqtt.tasks import first_of
from tocsin.testing import serve_nodes
from tocsin.wire import topics

ROOT: Final = topics.root(scene.SITE, scene.WATCHDOG)
STOPPED: Final = 130

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user may choose."""

    speed: int
    seed: int
    seconds: float | None
    keep: bool
    broker: str | None
    """`mosquitto`, `iotcore` or `none`; None takes what is there."""


class Interruption:
    """Cancels the task that made it: at a signal, or when its time is over. Once at most, and never while it tidies."""

    def __init__(self, seconds: float | None) -> None:
        self.by_signal = False
        self.by_time = False
        self.tidying = False
        self._seconds = seconds
        self._task = asyncio.current_task()

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Be ready for the length of a block, and end it quietly when it was us who cancelled it."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        timer = None if self._seconds is None else loop.call_later(self._seconds, self._on_time)
        try:
            yield
        except asyncio.CancelledError:
            if not (self.by_signal or self.by_time):
                raise
        finally:
            if timer is not None:
                timer.cancel()

    def _on_signal(self) -> None:
        self.by_signal = self._cancel() or self.by_signal

    def _on_time(self) -> None:
        self.by_time = self._cancel() or self.by_time

    def _cancel(self) -> bool:
        if self.tidying or self.by_signal or self.by_time or self._task is None:
            return False
        return self._task.cancel()


async def perform(options: Options, clock: Clock, teller: Teller) -> int:
    """Run the demo; return 0 when the story went as told, 130 when a signal ended it before.

    Raises TocsinError with the reason when it went otherwise.
    """
    stop = Interruption(options.seconds)
    play = _Play(options, clock, teller, stop)
    try:
        with stop.armed():
            await play.run()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    if play.told:
        teller.mark("everything is stopped and cleared away")
        teller.say("", *words.afterwards(kept=options.keep))
        return 0
    teller.mark("stopped before the story was over; everything is cleared away")
    if stop.by_time:
        raise TocsinError(f"{options.seconds:g} s were not enough for the story")
    return STOPPED


class _Play:
    """One performance."""

    def __init__(self, options: Options, clock: Clock, teller: Teller, stop: Interruption) -> None:
        self.told = False
        self._options = options
        self._scene = Scene(clock, speed=options.speed, seed=options.seed)
        self._teller = teller
        self._stop = stop

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                await self._perform(stack)
            finally:
                # From here on the stack unwinds, for whatever reason. Nothing may cut that short.
                self._stop.tidying = True

    async def _perform(self, stack: AsyncExitStack) -> None:
        folder = stack.enter_context(crew.folder())
        broker = await crew.broker(stack, folder, self._options.broker, self._teller.mark)
        config = await self._write_config(stack, folder, broker)
        self._introduce(broker)
        meanwhile = tuple(words.meanwhile(folder, config, broker, ROOT))
        self._teller.say("", *meanwhile)
        # Subscribed before the daemon lives, so that nothing that it says is missed.
        ear = await self._listening(stack, folder, broker)
        daemon = await stack.enter_async_context(crew.daemon(config))
        alerts = Alerts()
        story = Story(self._scene, alerts, self._teller, str(scene.runtime_dir(folder)))
        async with asyncio.TaskGroup() as group:
            watching = [
                group.create_task(listen(ear.events(), alerts, self._teller)),
                group.create_task(ear.lost()),
                group.create_task(daemon.ended()),
            ]
            await _played(story, daemon)
            self._teller.mark("that was the story: the alerts came, and they are over")
            if self._options.keep:
                self.told = True
                self._teller.say("", "It goes on until Ctrl-C.", "", *meanwhile)
                await asyncio.Event().wait()
            for task in watching:
                task.cancel()
        await daemon.say_goodbye()
        self.told = True

    async def _write_config(self, stack: AsyncExitStack, folder: Path, broker: EmbeddedBroker | None) -> Path:
        listeners = await stack.enter_async_context(serve_nodes(*self._scene.nodes.values()))
        for place in (scene.state_dir(folder), scene.runtime_dir(folder)):
            place.mkdir()
        config = folder / "tocsin.toml"
        url = None if broker is None else broker.url
        config.write_text(scene.configuration(self._scene, listeners, folder, url), encoding="utf-8")
        return config

    async def _listening(
        self, stack: AsyncExitStack, folder: Path, broker: EmbeddedBroker | None
    ) -> BrokerEar | DaemonEar:
        if broker is None:
            return DaemonEar(scene.runtime_dir(folder))
        return await stack.enter_async_context(ears.at_broker(broker, ROOT, folder / crew.BROKER_LOG))

    def _introduce(self, broker: EmbeddedBroker | None) -> None:
        groups: dict[str, list[str]] = {}
        for role in scene.ROLES:
            groups.setdefault(role.provider, []).append(role.name)
        shown = "; ".join(
            f"{', '.join(names)} ({'your own' if provider == 'self' else f'provider {provider}'})"
            for provider, names in groups.items()
        )
        self._teller.mark(f"a simulated chain with a block every {self._scene.slot_s:g} s")
        self._teller.mark(f"{len(scene.ROLES)} nodes in {len(groups)} groups: {shown}")
        self._teller.mark("`tocsin run` to watch them")
        if broker is not None:
            self._teller.mark(f"{broker.name} as MQTT 5 broker; every alert is shown when it arrives there")
            return
        self._teller.mark("no MQTT broker; every alert is shown when the daemon tells it at its control socket")
        if self._options.broker is None:
            self._teller.mark("to have a broker as well: apt-get install mosquitto, or pip install 'tocsin[demo]'")


async def _played(story: Story, daemon: crew.Daemon) -> None:
    """Play it; what the daemon wrote belongs to the reason why it went otherwise."""
    try:
        await story.play()
    except TocsinError as error:
        raise TocsinError(f"{error}\nthe daemon's log:\n{daemon.said()}") from None
