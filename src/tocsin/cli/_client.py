"""Asking the running daemon over its control socket. Blocking, bounded in time, standard library only."""

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any, Self

from tocsin.clock import NS, SystemClock
from tocsin.errors import ControlError

SOCKET_NAME = "control.sock"
PROTOCOL = 1
MAX_ANSWER = 16 * 1024 * 1024
ASK_S = 35.0
"""Longer than the daemon's own limit for a verb, so that its answer is heard."""

REMEDY = "--runtime-dir or --config names another place"


class Unreachable(ControlError):  # noqa: N818 - reads as the condition
    """No answer. `why`: absent (no socket), refused (nobody listens), denied, hung, garbled."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


class Refused(ControlError):  # noqa: N818 - reads as the condition
    """The daemon answered no; `code` as in `tocsin.runtime.control`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ask(runtime_dir: str, verb: str, args: Mapping[str, object] | None = None, *, timeout_s: float = ASK_S) -> Any:
    """Return the `result` of one request. Raises Unreachable or Refused, after `timeout_s` at the latest."""
    with _Line(runtime_dir, timeout_s) as line:
        line.send({"v": PROTOCOL, "verb": verb, **(args or {})})
        return _result(line.receive(runtime_dir), runtime_dir)["result"]


def stream(runtime_dir: str, verb: str, args: Mapping[str, object] | None = None) -> Iterator[Any]:
    """Yield the results of a streaming verb until the daemon ends it. Raises Unreachable or Refused."""
    with _Line(runtime_dir, None) as line:
        line.send({"v": PROTOCOL, "verb": verb, **(args or {})})
        while not (answer := _result(line.receive(runtime_dir), runtime_dir)).get("end"):
            yield answer["result"]


class _Line:
    """One connection; `timeout_s` bounds its whole life, None leaves it open."""

    def __init__(self, runtime_dir: str, timeout_s: float | None) -> None:
        self._path = f"{runtime_dir}/{SOCKET_NAME}"
        self._clock = SystemClock()
        self._end_ns = None if timeout_s is None else self._clock.monotonic_ns() + int(timeout_s * NS)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, request: Mapping[str, object]) -> None:
        self._arm()
        try:
            self._socket.connect(self._path)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise self._unreachable(error) from None

    def receive(self, runtime_dir: str) -> Any:
        while b"\n" not in self._buffer:
            self._arm()
            try:
                chunk = self._socket.recv(1 << 20)
            except OSError as error:
                raise self._unreachable(error) from None
            if not chunk or len(self._buffer) > MAX_ANSWER:
                raise Unreachable("garbled", f"the daemon in {runtime_dir} broke off its answer")
            self._buffer += chunk
        head, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return json.loads(head)
        except ValueError:
            raise Unreachable("garbled", f"the daemon in {runtime_dir} gave an answer that is no JSON") from None

    def _arm(self) -> None:
        if self._end_ns is None:
            return
        left_ns = self._end_ns - self._clock.monotonic_ns()
        if left_ns <= 0:
            raise self._unreachable(TimeoutError())
        self._socket.settimeout(left_ns / NS)

    def _unreachable(self, error: OSError) -> Unreachable:
        path = self._path
        match error:
            case FileNotFoundError() | NotADirectoryError():
                return Unreachable("absent", f"no daemon runs here: {path} is not there; {REMEDY}")
            case ConnectionRefusedError():
                return Unreachable("refused", f"no daemon runs here: nobody listens at {path}; {REMEDY}")
            case PermissionError():
                return Unreachable("denied", f"no permission to ask at {path}; be root or in its group")
            case TimeoutError() | BlockingIOError():
                return Unreachable("hung", f"the daemon does not answer at {path}")
            case _:
                return Unreachable("garbled", f"{path}: {error.strerror or error}")


def _result(answer: Any, runtime_dir: str) -> dict[str, Any]:
    """Return an answer that says yes. Raises Refused for a no, Unreachable for what is neither."""
    if isinstance(answer, dict):
        if answer.get("ok") is True and ("result" in answer or answer.get("end") is True):
            return answer
        error = answer.get("error")
        if answer.get("ok") is False and isinstance(error, dict):
            raise Refused(str(error.get("code")), str(error.get("message")))
    raise Unreachable("garbled", f"the daemon in {runtime_dir} gave an answer of another protocol")
