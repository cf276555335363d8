"""Everything that Apprise can send to: chats, mail, phones. Its library is loaded when such a channel is configured.

It blocks, and says why something failed in its log alone. So each message has a thread of its own, which may hang
without holding anybody up; while it does, nothing more is sent through that channel. A try that took longer than it may
counts by how it ended: its message is not sent again before that is known, and not at all if it was taken after all.
"""

import asyncio
import importlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tocsin.clock import NS
from tocsin.errors import TocsinError
from tocsin.model.alert import Severity
from tocsin.notify.letter import Letter
from tocsin.notify.outcome import Later, Outcome, Sent
from tocsin.secret import Secret, redact
from tocsin.wire.quirks import clean

MISSING: Final = "Apprise is not installed; install it with: pip install 'tocsin[notify]'"
_KINDS: Final = {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}


_MOST_LATE: Final = 64
"""Messages that were taken late and whose turn did not come again; some of them never will."""


class NoApprise(TocsinError):  # noqa: N818 - reads as the condition
    """The library is missing, or does not know the URL. The message has no secret in it."""


def library() -> Any:
    """Return the module. Raises NoApprise when it is not installed."""
    try:
        return importlib.import_module("apprise")
    except ImportError as error:
        raise NoApprise(MISSING) from error


@dataclass(frozen=True, slots=True)
class _Try:
    """One call of the library: for which message, and how it ended."""

    letter: str
    outcome: asyncio.Future[Outcome]


class Apprise:
    """Sends letters to one service, which its URL names."""

    def __init__(self, url: Secret, timeout_ns: int) -> None:
        self._url = url
        self._timeout_ns = timeout_ns
        self._try: _Try | None = None
        self._late: OrderedDict[str, Sent] = OrderedDict()
        """What was taken after its time was over, by the ids of letters."""

    async def send(self, letter: Letter) -> Outcome:
        """Send a letter once. A try that hangs is left to itself, and no other begins until it ends."""
        self._note_late()
        if (late := self._late.pop(letter.id, None)) is not None:
            return late
        if self._try is None:
            self._try = self._begun(letter)
        if self._try.letter != letter.id:
            return Later(why="the try before this one still hangs")
        try:
            async with asyncio.timeout(self._timeout_ns / NS):
                outcome = await asyncio.shield(self._try.outcome)
        except TimeoutError:
            return Later(why="no answer in time")
        self._try = None
        return outcome

    def _note_late(self) -> None:
        """Take note of how a try ended for which nobody waited any more."""
        if self._try is None or not self._try.outcome.done():
            return
        outcome = self._try.outcome.result()
        if isinstance(outcome, Sent):
            self._late[self._try.letter] = outcome
            while len(self._late) > _MOST_LATE:
                self._late.popitem(last=False)
        self._try = None

    def _begun(self, letter: Letter) -> _Try:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Outcome] = loop.create_future()

        def work() -> None:
            outcome = self._sent(letter)
            try:
                loop.call_soon_threadsafe(result.set_result, outcome)
            except RuntimeError:  # the daemon has ended meanwhile
                return

        # Not one of the pool's: the daemon's own files and names wait for nobody who is slow elsewhere.
        threading.Thread(target=work, name="apprise", daemon=True).start()
        return _Try(letter.id, result)

    def _sent(self, letter: Letter) -> Outcome:
        heard: list[str] = []
        ears = _Ears(heard.append)
        log = logging.getLogger("apprise")
        try:
            apprise = library()
            log.addHandler(ears)
            service = apprise.Apprise()
            if not service.add(self._url.reveal()):
                return Later(why="Apprise does not know such a url")
            kind = _KINDS[letter.severity] if letter.firing else "success"
            taken = service.notify(title=letter.title, body=letter.text, notify_type=kind, body_format="text")
        except Exception as error:  # noqa: BLE001 - a hundred services, each with its own ways to fail
            return Later(why=clean(redact(f"{type(error).__name__}: {error}"))[:300])
        finally:
            log.removeHandler(ears)
        if taken:
            return Sent(said="Apprise says that it was taken")
        return Later(why=clean(redact("; ".join(heard[-3:])))[:300] or "Apprise says that it was not taken")


class _Ears(logging.Handler):
    """Hears what the library says of its trouble."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._own = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._own:
            self._tell(record.getMessage())
