"""Logs are one line a record, without secrets, whatever was logged."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.messages import ALERT, ORIGIN, changed

from tocsin.errors import UsageError
from tocsin.model.alert import AlertState, Severity
from tocsin.runtime import logs
from tocsin.secret import Secret
from tocsin.wire.envelope import alert_messages

CANARY = "c4n4ry-s3cret-value"


@pytest.fixture(autouse=True)
def _kept_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before, level


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    Secret(CANARY)
    logs.set_up("debug")
    return stream


class EchoError(Exception):
    """An exception of a foreign library that repeats what it was given."""


def raised(text: str) -> BaseException:
    error = EchoError(f"while asking http://u:{text}@host/")
    error.__cause__ = KeyError(text)
    return error


def test_a_secret_shows_neither_in_message_arguments_exception_nor_stack(out: io.StringIO) -> None:
    log = logging.getLogger("foreign")
    log.error("bare " + CANARY)  # noqa: G003 - as foreign libraries do
    log.error("arg %s %r", CANARY, {"key": CANARY})
    log.error("mapping %(key)s", {"key": CANARY})
    log.error("failed", exc_info=raised(CANARY))
    log.error("stack", stack_info=True, extra={"token": CANARY})
    text = out.getvalue()
    assert CANARY not in text
    assert text.count("***") >= 5
    assert "EchoError" in text
    assert "KeyError" in text


class Stubborn:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("message", "args"),
    [("%d nodes", ("many",)), ("%s and %s", ("one",)), ("%s", (Stubborn(),)), ("100 % wrong", (1,)), ("%(a)s", (1,))],
)
def test_a_record_that_was_put_together_wrongly_harms_nobody(
    out: io.StringIO, message: str, args: tuple[object, ...]
) -> None:
    logging.getLogger("foreign").warning(message, *args)
    assert message in out.getvalue()
    assert "do not fit" in out.getvalue()


def test_at_a_terminal_a_line_has_time_level_and_name(out: io.StringIO) -> None:
    logging.getLogger("tocsin.x").info("hello")
    assert out.getvalue().endswith("INFO tocsin.x: hello\n")
    assert not out.getvalue().startswith("<")


def test_under_journald_every_line_carries_its_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read) as reader, os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        status = os.fstat(write)
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        logs.set_up("debug")
        log = logging.getLogger("tocsin.x")
        log.debug("a")
        log.info("b")
        log.warning("c\nd")
        log.error("e", exc_info=raised("f"))
        log.critical("g")
        stream.close()
        lines = reader.read().splitlines()
    assert lines[:4] == ["<7>a", "<6>b", "<4>c", "<4>d"]
    assert all(line.startswith("<3>") for line in lines[4:-1])
    assert lines[-1] == "<2>g"


def test_a_shell_that_inherited_the_journal_is_still_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read) as reader, os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
        logs.set_up("info")
        logging.getLogger("tocsin.x").warning("hello")
        stream.close()
        assert not reader.read().startswith("<")


def test_noisy_libraries_are_kept_down_and_the_level_is_obeyed(out: io.StringIO) -> None:
    logging.getLogger("asyncio").debug("packet")
    logging.getLogger("aiohttp.client").debug("packet")
    logs.set_up("warning")
    logging.getLogger("tocsin.x").info("quiet")
    assert "packet" not in out.getvalue()
    assert "quiet" not in out.getvalue()


def test_an_unknown_level_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="debug, info, warning, error"):
        logs.set_up("loud")


class _At:
    """A loop of which only the time matters."""

    now = 0.0

    def time(self) -> float:
        return self.now


def test_a_loop_that_complains_without_end_is_logged_once_a_minute_with_the_count(out: io.StringIO) -> None:
    loop, report = _At(), logs.LoopErrors()
    for _ in range(100):
        report(loop, {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many")})  # type: ignore[arg-type]
    report(loop, {"message": f"other({CANARY}"})  # type: ignore[arg-type]
    loop.now = 61.0
    report(loop, {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many")})  # type: ignore[arg-type]
    lines = [line.partition("event loop: ")[2] for line in out.getvalue().splitlines() if "event loop" in line]
    assert lines == ["socket.accept", "other", "socket.accept (and 99 times before)"]


def event_of(severity: Severity, state: AlertState, **more: object) -> bytes:
    alert = replace(ALERT, severity=severity, state=state, **more)
    return alert_messages(changed(alert), ORIGIN)[0].payload


@pytest.mark.parametrize(
    ("severity", "state", "level"),
    [
        (Severity.INFO, AlertState.FIRING, "INFO"),
        (Severity.WARNING, AlertState.FIRING, "WARNING"),
        (Severity.CRITICAL, AlertState.FIRING, "CRITICAL"),
        (Severity.CRITICAL, AlertState.UNKNOWN, "CRITICAL"),
        (Severity.CRITICAL, AlertState.RESOLVED, "INFO"),
    ],
)
def test_an_alert_is_one_line_as_bad_as_it_is(
    out: io.StringIO, severity: Severity, state: AlertState, level: str
) -> None:
    logs.log_alert(event_of(severity, state))
    [line] = out.getvalue().splitlines()
    assert f" {level} tocsin.alerts: {severity.value.upper()}  {state.value}  node.lag  chain=eip155:1" in line
    assert line.endswith("is 4 blocks behind the agreed head  (0123456789ab)")


def test_what_a_node_says_cannot_write_lines_of_its_own_into_the_log(out: io.StringIO) -> None:
    summary = f"it says \x1b[2J\r\n<0>root logged in {CANARY}"
    logs.log_alert(event_of(Severity.WARNING, AlertState.FIRING, summary=summary))
    [line] = out.getvalue().splitlines()
    assert line.isprintable()
    assert CANARY not in line
