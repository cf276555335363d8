"""The benchmarks run from end to end and print what they promise. These runs are short: no figures come of them."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


async def figures_of(name: str, *options: str) -> dict[str, Any]:
    """Run a benchmark; return its last line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"benchmarks.{name}",
        "--json",
        *options,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


async def test_the_daemon_at_rest_is_measured_while_it_really_rests() -> None:
    found = await figures_of("rest", "--quick")
    assert (found["nodes"], found["alerts"], found["log_lines"]) == (20, 0, 0)
    assert found["core_share"] > 0
    assert found["rss_mb"] > found["limit_rss_mb"] / 10
    assert found["disk_kb_per_s"] > 0


async def test_no_feed_that_is_well_is_called_stale_and_each_that_falls_silent_is() -> None:
    found = await figures_of("oracle", "--rounds", "1000")
    assert (found["rounds"], found["false_alarms"], found["false_alarms_injected"]) == (1000, 0, 0)
    assert found["found"] == found["injected"] > 50


@pytest.mark.slow
async def test_polling_is_measured_with_floor_journal_and_step() -> None:
    found = await figures_of("poller", "--quick")
    rows = ("cpu_us_per_poll", "floor_ratio", "core_share_500", "sick_p99_ratio")
    assert all(found[row] > 0 for row in (*rows, "journal_us_per_poll", "step_us_per_poll"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_delivery_is_measured_in_all_its_parts() -> None:
    found = await figures_of("delivery", "--quick")
    rows = (
        "heal_p99_s",
        "drain_s",
        "storm_critical_p99_s",
        "idle_p50_ms",
        "idle_p99_ms",
        "naive_lost",
        "loop_stall_ms",
    )
    assert all(found[row] > 0 for row in rows)
    wrong = ("lost", "duplicates", "outage_lost", "away_wrong", "daemon_wrong", "broker_wrong", "poison_wrong")
    assert [found[row] for row in (*wrong, "poison_believed", "wiped_missing")] == [0] * 9


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_reading_state_is_measured_and_exact_and_costs_what_its_bytes_do() -> None:
    found = await figures_of("state", "--quick")
    assert found["bit_exact"] is True
    assert all(found[row] > 0 for row in ("reads200_cpu_ms", "reads200_floor_ms", "proof4_ms", "watch_core_share"))
    # Beside what the bytes themselves take, in the same run: 200 values pass for little more than their transport.
    assert found["reads200_cpu_ms"] < 8 * found["reads200_floor_ms"]
    assert found["reads200_bytes"] > 200 * 32
    assert found["proof4_nodes"] == 32
    assert found["watch_core_share"] < 0.05
    assert found["watch_block_ms"] > found["poll_block_ms"]
    assert found["index_vs_decode"] > 4
    assert "index_vs_web3" in found, "null where its environment was not made"
    assert found["index_vs_web3"] is None or found["index_vs_web3"] > found["index_vs_decode"]


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_at_least_85_of_100_broken_lines_of_the_chain_are_noticed_by_its_tests() -> None:
    found = await figures_of("mutation")
    modules = {path.stem for path in (ROOT / "src" / "tocsin" / "chain").glob("*.py")} - {"__init__"}
    assert set(found["modules"]) == modules, "every module was tried"
    for counts in (found, *found["modules"].values()):
        noticed = counts["killed"] + counts["timed_out"]
        assert noticed + counts["survived"] + counts["without_tests"] == counts["mutants"]
        assert noticed >= 0.85 * counts["mutants"], found["survivors"]
    assert sum(counts["mutants"] for counts in found["modules"].values()) == found["mutants"] > 1_500
