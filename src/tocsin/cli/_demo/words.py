"""How the demo speaks: one line for all that happens and for every alert, and what to type meanwhile and next."""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tocsin.cli import _words
from tocsin.cli._demo import scene
from tocsin.cli._demo.ears import Event
from tocsin.cli._invocation import program, short
from tocsin.clock import NS, Clock
from tocsin.mqtt.embedded import HOST, EmbeddedBroker
from tocsin.wire import alertline

_BOLD: Final = "1"
_COLOURS: Final = {"RESOLVED": "32", "info": "36", "warning": "33", "critical": "31"}
_COLUMN: Final = 46


class Teller:
    """Writes to the terminal; times count from its making."""

    def __init__(self, clock: Clock, write: Callable[[str], None], *, colour: bool) -> None:
        self.colour: Final = colour
        self._clock = clock
        self._began_ns = clock.monotonic_ns()
        self._write = write

    def say(self, *lines: str) -> None:
        """Write lines as they are."""
        self._write("".join(f"{line}\n" for line in lines))

    def mark(self, text: str) -> None:
        """Tell what happens, with the time since the start."""
        self.say(f"{self._time()}  {text}")

    def act(self, text: str) -> None:
        """Tell what the story itself does now."""
        self.mark(self._paint(f"now {text}", _BOLD))

    def alert(self, event: Event) -> None:
        """Tell one event of the stream."""
        state, severity, detector, summary = alert_cells(event)
        how = self._paint(f"{state:<8} {severity:<8}", _COLOURS.get(state) or _COLOURS.get(severity, ""))
        self.mark(f"{how} {detector:<10}  {summary}")

    def page(self, text: str) -> None:
        """Show what another command prints, set apart."""
        self.say("", *(f"    {line}".rstrip() for line in text.rstrip().splitlines()), "")

    def _time(self) -> str:
        tenths = (self._clock.monotonic_ns() - self._began_ns) * 10 // NS
        return f"{tenths // 10:>4}.{tenths % 10} s"

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colour and colour else text


def alert_cells(event: Event) -> tuple[str, str, str, str]:
    """Return state, severity, detector and what is to be said of an event, fit for a terminal."""
    data: dict[str, Any] = event.get("data") or {}
    state = _words.clean(str(data.get("state"))).upper()
    summary = str(data.get("summary"))
    if state == "RESOLVED":
        summary = f"{subject(data)}: over after {alertline.lasted(data)}"
    return (
        state,
        _words.clean(str(data.get("severity"))),
        _words.clean(str(data.get("detector"))),
        _words.clean(summary),
    )


def subject(data: dict[str, Any]) -> str:
    """Return the node that an alert is about, else its chain."""
    labels: dict[str, Any] = data.get("labels") or {}
    return str(labels.get("node") or labels.get("chain") or scene.WATCHDOG).removeprefix(f"{scene.SITE}.")


# -- what to type


def meanwhile(folder: Path, config: Path, broker: EmbeddedBroker | None, root: str) -> Iterator[str]:
    """Yield what can be typed in another shell as long as the demo runs."""
    at = f"--runtime-dir {shlex.quote(str(scene.runtime_dir(folder)))}"
    yield "In another shell, as long as this runs:"
    yield ""
    yield f"  {program()} status {at}"
    yield f"  {program()} events tail --follow {at}"
    if broker is not None:
        yield f"  {subscriber(broker, root)}"
    yield f"  {program()} doctor --config {shlex.quote(str(config))}"
    yield f"  less {shlex.quote(str(config))}"
    yield ""


def afterwards(*, kept: bool) -> Iterator[str]:
    """Yield what can be typed when the story is over."""
    yield "What to type next:"
    yield ""
    if not kept:
        yield _with_note(f"  {program()} demo --keep", "the same, and it stays up for you to look around")
    yield _with_note(f"  {program()} init", "find the nodes of this host and write a configuration for them")
    yield _with_note(f"  {program()} run", "watch them")
    yield ""


def _with_note(command: str, note: str) -> str:
    return f"{command:<{_COLUMN}}  {note}"


def subscriber(broker: EmbeddedBroker, root: str) -> str:
    """Return a command that prints what the daemon publishes, with whatever tool is there."""
    if shutil.which("mosquitto_sub") is not None:
        return f"mosquitto_sub -V mqttv5 -h {HOST} -p {broker.port} -v -t '{root}#'"
    code = (
        "import paho.mqtt.subscribe as s; s.callback(lambda c, u, m: print(m.topic, m.payload.decode()), "
        f"'{root}#', hostname='{HOST}', port={broker.port}, protocol=5, clean_session=None)"
    )
    return f'{short(Path(sys.executable))} -c "{code}"'
