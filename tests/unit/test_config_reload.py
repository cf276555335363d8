"""What a reload would change, and what it may not."""

from pathlib import Path

import pytest
from tests.support.configs import CANARY, MINIMAL, loaded

from tocsin.config.reload import Changes, changes

OTHER_CHAIN = """\
[[chain]]
name = "dev"
profile = "dev"
[[chain.node]]
name = "anvil"
url = "http://127.0.0.1:9545"
"""
BROKER = '[mqtt]\nurl = "mqtt://h"\nuser = "u"\npassword = { env = "PW" }\n'


def _changes(tmp_path: Path, old: str, new: str, environ: tuple[str, str] = ("one", "one")) -> Changes:
    return changes(loaded(tmp_path, old, {"PW": environ[0]}), loaded(tmp_path, new, {"PW": environ[1]}))


def test_equal_configurations_differ_in_nothing(tmp_path: Path) -> None:
    found = _changes(tmp_path, MINIMAL + BROKER, "# new words\n" + MINIMAL + BROKER)
    assert not found
    assert list(found.lines()) == []


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (MINIMAL, MINIMAL + OTHER_CHAIN, ["+ chain dev", "+ node dev/anvil"]),
        (MINIMAL + OTHER_CHAIN, MINIMAL, ["- chain dev", "- node dev/anvil"]),
        (MINIMAL, MINIMAL.replace('"alchemy"', '"infura"'), ["+ node ethereum/infura", "- node ethereum/alchemy"]),
        (MINIMAL, MINIMAL.replace("8545", "9545"), ["~ node ethereum/geth: url"]),
        (MINIMAL, MINIMAL + 'budget = "1k/day"\nregion = "eu"\n', ["~ node ethereum/alchemy: region, budget"]),
        (
            MINIMAL,
            MINIMAL.replace('profile = "ethereum"', 'profile = "ethereum"\npoll = "1s"'),
            ["~ chain ethereum: poll", "~ node ethereum/geth: timeout", "~ node ethereum/alchemy: timeout"],
        ),
        (MINIMAL, MINIMAL + '[detector."node.lag"]\ncritical = false\n', ["~ detector node.lag on ethereum"]),
        (MINIMAL, MINIMAL + '[detector."self.loop_lag"]\nwarning = false\n', ["~ detector self.loop_lag"]),
        (MINIMAL, MINIMAL + '[detector."node.lag"]\nwarning = { over = 3, polls = 2 }\n', []),
        (MINIMAL, MINIMAL + BROKER, ["~ broker"]),
        (MINIMAL, MINIMAL + '[journal]\nkeep = "2d"\n', ["~ journal"]),
        (MINIMAL, MINIMAL + '[journal]\nkeep = "24h"\n', []),
    ],
)
def test_each_difference_is_one_line(tmp_path: Path, old: str, new: str, lines: list[str]) -> None:
    found = _changes(tmp_path, old, new)
    assert list(found.lines()) == lines
    assert bool(found) == bool(lines)
    assert found.refused == ()


def test_a_replaced_secret_is_a_change_that_shows_no_secret(tmp_path: Path) -> None:
    found = _changes(tmp_path, MINIMAL + BROKER, MINIMAL + BROKER, (f"old-{CANARY}", f"new-{CANARY}"))
    assert found.broker_changed
    assert CANARY not in repr(found) + "".join(found.lines())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", 'environment = "test"\n', "watchdog.environment changed from prod to test: restart the daemon"),
        ("", 'state_dir = "/x"\n', "watchdog.state_dir changed from /var/lib/tocsin to /x: restart the daemon"),
        ("", 'runtime_dir = "/x"\n', "watchdog.runtime_dir changed from /run/tocsin to /x: restart the daemon"),
    ],
)
def test_what_names_files_topics_and_labels_needs_a_restart(tmp_path: Path, old: str, new: str, said: str) -> None:
    before, after = (MINIMAL.replace("[watchdog]\n", "[watchdog]\n" + text) for text in (old, new))
    [reason] = _changes(tmp_path, before, after).refused
    assert said in reason


@pytest.mark.parametrize(("old", "new"), [('"ams"', '"fra"'), ('"host-a"', '"host-b"')])
def test_another_name_needs_a_restart(tmp_path: Path, old: str, new: str) -> None:
    [reason] = _changes(tmp_path, MINIMAL, MINIMAL.replace(old, new)).refused
    assert f"changed from {old} to {new}: restart".replace('"', "") in reason


def test_another_chain_under_the_same_name_is_refused(tmp_path: Path) -> None:
    found = _changes(tmp_path, MINIMAL, MINIMAL.replace('profile = "ethereum"', 'profile = "sepolia"'))
    assert found.refused == ("chain ethereum changed its id from 1 to 11155111: give another chain another name",)
    assert [line for line in found.lines() if line.startswith("!")] == [f"! {found.refused[0]}"]
