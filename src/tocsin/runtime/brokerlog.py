"""What the service's log tells of the broker: why it cannot be reached, what it refuses, and that all is well again.

Whoever misses alerts looks there first. What has just begun may be over at the next look, as every start is without a
connection for a moment: told is what two looks in a row have shown, once, until nothing is wrong any more.
"""

import logging
from collections.abc import Sequence
from typing import Final

log = logging.getLogger(__name__)

_AT_ONCE: Final = 3
"""An access list that is wrong refuses every topic there is; the rest is in `tocsin status`."""

_REMEMBERED: Final = 1000


class BrokerLog:
    """Writes to the log what is news about the broker. Call `look` once a second."""

    def __init__(self) -> None:
        self._before: frozenset[str] = frozenset()
        self._told: set[str] = set()

    def look(self, trouble: Sequence[str], waiting: int) -> None:
        """Take down what is wrong now, one line each, and how many messages wait for the broker."""
        fresh = [text for text in trouble if text in self._before and text not in self._told]
        self._before = frozenset(trouble)
        for text in fresh[:_AT_ONCE]:
            log.warning("%s%s", text, f"; {_messages(waiting)} kept and will be sent" if waiting else "")
        if fresh[_AT_ONCE:]:
            log.warning("the broker: %s more of these, see tocsin status", len(fresh) - _AT_ONCE)
        self._told.update(fresh if len(self._told) < _REMEMBERED else ())
        if self._told and not trouble:
            log.info("the broker takes everything again%s", f", {_messages(waiting)} on the way" if waiting else "")
            self._told.clear()


def _messages(count: int) -> str:
    return "1 message is" if count == 1 else f"{count} messages are"
