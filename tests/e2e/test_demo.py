"""`tocsin demo` as a user runs it: the story, what it says to type, and that nothing of it is left."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tocsin.cli._demo import crew, scene, stage, words
from tocsin.clock import SystemClock
from tocsin.mqtt import embedded
from tocsin.runtime.configuration import read_config
from tocsin.testing import serve_nodes

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial/first-steps.md"
QUICK = ("--speed", "4", "--seed", "7")
TOLD = "that was the story"
STOPPED = 130


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tocsin", "demo", *arguments]


class Running:
    """A process whose output is read as it comes."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._lines: list[str] = []
        self._end: tuple[int, str] | None = None
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._lines.append("")
            self._news.notify_all()

    @property
    def out(self) -> str:
        return "".join(self._lines)

    def until(self, text: str) -> str:
        """Return all output up to a text; the test's own timeout bounds the wait."""
        with self._news:
            self._news.wait_for(lambda: text in self.out or self._lines[-1:] == [""])
        assert text in self.out, self.out + self.ended()[1]
        return self.out

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return exit code and standard error."""
        if self._end is None:
            assert self._process.stderr is not None
            problems = self._process.stderr.read()
            self._reader.join()
            self._end = self._process.wait(), problems
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
        return self._end

    def kill(self) -> None:
        self._process.kill()
        self.ended()


class Place:
    """Where demos run: a temporary folder of their own, by which whatever they start is known."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[Running] = []

    def run(self, command: list[str] | str, **environ: str) -> Running:
        """Start an argument list, or what was printed for a shell."""
        argv = ["/bin/sh", "-c", f"exec {command}"] if isinstance(command, str) else command
        running = Running(argv, {**os.environ, "TMPDIR": str(self.folder), **environ})
        self._running.append(running)
        return running

    def demo(self, *arguments: str, **environ: str) -> Running:
        return self.run(program(*QUICK, *arguments), **environ)

    def processes(self) -> dict[int, str]:
        """Return every process that a demo here started, or is."""
        mark, found = f"TMPDIR={self.folder}".encode(), {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    def only(self, text: str) -> int:
        """Return the one process with this text in its command line."""
        (pid,) = [pid for pid, command in self.processes().items() if text in command]
        return pid

    def assert_nothing_is_left(self) -> None:
        assert list(self.folder.iterdir()) == []
        assert self.processes() == {}

    def close(self) -> None:
        for running in self._running:
            running.kill()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place() -> Iterator[Place]:
    # Not tmp_path: the path of a UNIX socket has to fit below it.
    with tempfile.TemporaryDirectory(prefix="d-") as name:
        found = Place(Path(name))
        try:
            yield found
        finally:
            found.close()


def alerts_in(output: str) -> list[tuple[str, str, str, str]]:
    """Return state, severity, detector and subject of every alert line."""
    line = re.compile(r"^ *\d+\.\d s  (FIRING|RESOLVED|UNKNOWN) +(\w+) +([a-z_.]+) +([\w-]+)", re.MULTILINE)
    return [match.groups() for match in line.finditer(output)]  # type: ignore[misc]


def command_in(output: str, text: str) -> str:
    """Return the printed command that has this text in it."""
    return next(line.strip() for line in output.splitlines() if line.startswith("  ") and text in line)


def need(broker: str) -> None:
    if broker != crew.NO_BROKER and broker not in embedded.available():
        message = f"{broker} is not installed: apt-get install mosquitto; pip install 'tocsin[demo]'"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def assert_the_story_is_told(output: str) -> None:
    said = alerts_in(output)
    for detector, node in (("node.fork", "reth"), ("node.stale", "north-2")):
        mine = [one for one in said if one[2:] == (detector, node)]
        assert mine[0][:2] == ("FIRING", "warning")
        assert [one[0] for one in mine].count("RESOLVED") == 1
        assert mine[-1][0] == "RESOLVED"
    # A machine that is too busy for blocks this fast may make others late, but never makes them fork.
    assert {one[3] for one in said if one[2] == "node.fork"} == {"reth"}
    order = [
        "now reth forks",
        "node.fork   reth is",
        "now north-2 stalls",
        "node.stale  north-2 shows",
        "now both",
        TOLD,
    ]
    places = [output.index(text) for text in order]
    assert places == sorted(places)
    assert output.index("now both") < output.index("RESOLVED")


@pytest.mark.parametrize("broker", [pytest.param("mosquitto", marks=pytest.mark.slow), "none"])
def test_alerts_come_and_go_and_nothing_is_left(place: Place, broker: str) -> None:
    need(broker)
    demo = place.demo("--broker", broker)
    assert demo.ended() == (0, "")
    assert_the_story_is_told(demo.out)
    assert "What to type next:" in demo.out
    assert re.search(r"tocsin demo --keep .*\n.*tocsin init ", demo.out)
    assert "\x1b" not in demo.out
    assert len(told_in_the_tutorial()) > 4
    assert [line for line in told_in_the_tutorial() if line not in demo.out] == []
    place.assert_nothing_is_left()


@pytest.mark.parametrize("broker", ["mosquitto", "iotcore"])
def test_what_it_says_to_type_works(place: Place, tmp_path: Path, broker: str) -> None:
    need(broker)
    # Once with mosquitto_sub where there is one, once without: then it is a line of Python.
    path = os.environ["PATH"] if broker == "mosquitto" else str(tmp_path)
    demo = place.demo("--broker", broker, "--keep", PATH=path)
    printed = demo.until("less ")
    subscriber = place.run(command_in(printed, "/watchdog/#'"))
    demo.until("all is well")
    tail = place.run(command_in(printed, "events tail"))
    demo.until(f"It goes on until Ctrl-C.\n\n{printed[printed.index('In another shell') :]}")
    status = place.run(command_in(printed, "status"))
    assert status.ended() == (0, "")
    assert "no alerts" in status.out
    assert "6 nodes" in demo.out
    assert "schema = 1" in Path(command_in(printed, "less ").removeprefix("less ")).read_text()
    doctor = place.run(command_in(printed, "doctor"))
    assert doctor.ended()[0] == 0, doctor.out
    for said in (tail.until("resolved  node.fork"), subscriber.until("event/warning/node.lag")):
        assert "north-2 shows no new head" in said
    demo.signal(signal.SIGINT)
    assert demo.ended() == (0, "")
    assert_the_story_is_told(demo.out)
    subscriber.kill()
    tail.kill()
    place.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("broker", "moment", "number"),
    [
        ("mosquitto", "a simulated chain", signal.SIGTERM),
        ("mosquitto", "less ", signal.SIGINT),
        pytest.param("mosquitto", "all is well", signal.SIGHUP, marks=pytest.mark.slow),
        ("mosquitto", "now north-2 stalls", signal.SIGINT),
        pytest.param("mosquitto", "now both", signal.SIGTERM, marks=pytest.mark.slow),
        ("iotcore", "less ", signal.SIGTERM),
        pytest.param("iotcore", "now north-2 stalls", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("none", "less ", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("none", "now north-2 stalls", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_at_any_moment_ends_it_cleanly(place: Place, broker: str, moment: str, number: signal.Signals) -> None:
    need(broker)
    demo = place.demo("--broker", broker)
    demo.until(moment)
    # People press Ctrl-C more than once.
    for _ in range(3):
        demo.signal(number)
    assert demo.ended() == (STOPPED, "")
    assert TOLD not in demo.out
    assert "stopped before the story was over; everything is cleared away" in demo.out
    place.assert_nothing_is_left()


@pytest.mark.parametrize("broker", ["mosquitto", "iotcore", "none"])
def test_killed_it_cannot_tidy_but_leaves_no_process_behind(place: Place, broker: str) -> None:
    need(broker)
    demo = place.demo("--broker", broker)
    demo.until("all is well")
    assert len(place.processes()) == (2 if broker == "none" else 3)
    demo.signal(signal.SIGKILL)
    assert demo.ended() == (-signal.SIGKILL, "")
    while place.processes():  # the test's own timeout bounds the wait
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("victim", "why"),
    [
        (lambda place: place.only("tocsin run --config"), "the daemon was ended by signal 9; its log:"),
        (lambda place: place.only("mosquitto -c"), "the broker (mosquitto) ended or hung up; its log:"),
    ],
    ids=["daemon", "broker"],
)
def test_when_a_part_dies_it_says_why_and_clears_away(place: Place, victim: Callable[[Place], int], why: str) -> None:
    need("mosquitto")
    demo = place.demo("--broker", "mosquitto")
    demo.until("now reth forks")
    os.kill(victim(place), signal.SIGKILL)
    code, problems = demo.ended()
    assert code == 1
    assert why in problems
    assert len(problems.splitlines()) > 1
    assert "Traceback" not in problems
    place.assert_nothing_is_left()


def test_a_story_that_goes_otherwise_is_no_success(place: Place) -> None:
    demo = place.demo("--broker", "none", "--seconds", "4")
    code, problems = demo.ended()
    assert (code, problems) == (1, "tocsin: 4 s were not enough for the story\n")
    place.assert_nothing_is_left()


def test_a_temporary_folder_with_a_long_name_is_no_obstacle(place: Place) -> None:
    long = place.folder / ("x" * 90)
    long.mkdir()
    demo = place.demo("--broker", "none", TMPDIR=str(long))
    demo.until("all is well")
    folder = Path(command_in(demo.out, "less ").removeprefix("less ")).parent
    assert folder.is_dir()
    demo.signal(signal.SIGINT)
    assert demo.ended() == (STOPPED, "")
    assert not folder.exists()
    assert list(long.iterdir()) == []


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["terminal", "NO_COLOR", "dumb"])
def test_colours_are_for_terminals_whose_user_likes_them(place: Place, environ: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    plain = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        program(*QUICK, "--broker", "none"),
        env={**plain, "TERM": "xterm", "TMPDIR": str(place.folder), **environ},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while b"node.fork" not in shown:
            select.select([ours], [], [])
            shown += os.read(ours, 65536)
    finally:
        process.terminate()
        process.wait()
        os.close(ours)
    assert (b"\x1b[" in shown) == (environ == {})


def told_in_the_tutorial() -> list[str]:
    """Return what the page says that the demo prints of its own accord, without times."""
    line = re.compile(r"^ *\d+\.\d s  ((?:now|that|everything|`tocsin).*)$", re.MULTILINE)
    return line.findall(TUTORIAL.read_text())


@pytest.mark.parametrize("speed", [1, 2, 3, 4])
async def test_its_configuration_is_one_that_users_may_write(tmp_path: Path, speed: int) -> None:
    on = scene.Scene(SystemClock(), speed=speed, seed=0)
    path = tmp_path / "tocsin.toml"
    async with serve_nodes(*on.nodes.values()) as listeners:
        path.write_text(scene.configuration(on, listeners, tmp_path, "mqtt://127.0.0.1:1"))
    loaded = read_config(path, {})
    assert not loaded.warnings
    assert loaded.tree.chains[0].block_time_ns == on.slot_ns
    assert loaded.settings.chains[0].detectors["node.fork"].rejoin_slots < 32  # type: ignore[attr-defined]


def test_an_alert_is_one_line_whatever_it_says() -> None:
    written: list[str] = []
    teller = words.Teller(SystemClock(), written.append, colour=False)
    teller.alert({"data": {"state": "firing", "severity": "warning", "detector": "node.lag", "summary": "a\n\x1b[2Jb"}})
    teller.alert({})
    assert all(line.count("\n") == 1 and "\x1b" not in line for line in written)
    assert len(written) == 2


@pytest.fixture
def broken_mosquitto(tmp_path: Path) -> str:
    """Give a PATH on which mosquitto is found and does not start."""
    script = tmp_path / "mosquitto"
    script.write_text("#!/bin/sh\necho no such listener >&2\nexit 3\n")
    script.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def test_where_the_better_broker_does_not_start_it_says_so_and_takes_the_other(
    place: Place, broken_mosquitto: str
) -> None:
    need("iotcore")
    demo = place.demo(PATH=broken_mosquitto)
    shown = demo.until("all is well")
    assert "mosquitto did not start; its log:\n  no such listener\n" in shown
    assert "iotcore as MQTT 5 broker" in shown
    demo.signal(signal.SIGINT)
    assert demo.ended() == (STOPPED, "")
    place.assert_nothing_is_left()


def test_a_wanted_broker_that_does_not_start_is_an_error(place: Place, broken_mosquitto: str) -> None:
    demo = place.demo("--broker", "mosquitto", PATH=broken_mosquitto)
    assert demo.ended() == (1, "tocsin: mosquitto did not start; its log:\n  no such listener\n")
    place.assert_nothing_is_left()


async def test_without_any_broker_it_says_how_to_get_one() -> None:
    written: list[str] = []
    teller = words.Teller(SystemClock(), written.append, colour=False)
    options = stage.Options(speed=1, seed=0, seconds=None, keep=False, broker=None)
    stage._Play(options, SystemClock(), teller, stage.Interruption(None))._introduce(None)
    assert "no MQTT broker" in "".join(written)
    assert "apt-get install mosquitto, or pip install 'tocsin[demo]'" in "".join(written)


def test_an_unknown_broker_is_refused_with_those_that_are_known() -> None:
    done = subprocess.run(program("--broker", "hive"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "mosquitto, iotcore, none" in done.stderr
