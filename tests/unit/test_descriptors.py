"""The limit of open files: raised as far as it goes, and told when it is too low for a configuration."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.watchdog import NodeAt, toml

from tocsin.config.load import load
from tocsin.config.registry import registry_of
from tocsin.config.tree import Tree
from tocsin.detect import REGISTRY
from tocsin.runtime.descriptors import MOST, needed, shortage

ASK = (
    "import resource\nfrom tocsin.runtime.descriptors import raise_limit\nprint(raise_limit(), *resource.getrlimit(7))"
)


def in_a_process(soft: int, hard: int) -> list[int]:
    """Return what `raise_limit` says in a process with these limits, and which it has then."""
    done = subprocess.run(
        ["sh", "-c", f'ulimit -Sn {min(soft, hard)}; ulimit -Hn {hard}; exec "$@"', "sh", sys.executable, "-c", ASK],
        check=True,
        capture_output=True,
        text=True,
    )
    return [int(word) for word in done.stdout.split()]


@pytest.fixture
def hard() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    assert in_a_process(256, 3_000) == [3_000, 3_000, 3_000]


def test_no_more_is_taken_than_anybody_needs(hard: int) -> None:
    most = hard if 0 <= hard <= MOST else MOST
    assert in_a_process(256, hard)[:2] == [most, most]


def test_a_limit_that_is_high_enough_is_left_alone() -> None:
    assert in_a_process(2_000, 2_000) == [2_000, 2_000, 2_000]


def tree(folder: Path, count: int) -> Tree:
    nodes = {f"n{at}": NodeAt(url="http://127.0.0.1:1", more='ws = "ws://127.0.0.1:1"') for at in range(count)}
    file = folder / "tocsin.toml"
    file.write_text(toml(folder, nodes))
    return load(file, registry=registry_of(REGISTRY), environ={}).tree


def test_every_node_counts_with_all_its_connections_and_what_is_too_few_is_told_with_what_to_do(tmp_path: Path) -> None:
    one, more = tree(tmp_path, 1), tree(tmp_path, 11)
    assert needed(more) - needed(one) == 10 * 5
    assert shortage(more, needed(more)) == ""
    told = shortage(more, needed(more) - 1)
    assert f"up to {needed(more)} files and sockets may have to be open, {needed(more) - 1} are allowed" in told
    assert "LimitNOFILE=" in told
