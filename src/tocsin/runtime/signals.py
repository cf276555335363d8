"""What a service manager says with signals: stop, and read the configuration again."""

import asyncio
import signal
from collections.abc import Callable, Mapping


class Signals:
    """Handlers for as long as the block lasts."""

    def __init__(self, handlers: Mapping[signal.Signals, Callable[[], None]]) -> None:
        self._handlers = handlers

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number, handler in self._handlers.items():
            loop.add_signal_handler(number, handler)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in self._handlers:
            loop.remove_signal_handler(number)
        loop.add_signal_handler(signal.SIGHUP, _leave)


def _leave() -> None:
    """Who is about to end reads no configuration again, and must not be killed by a hangup either."""
