"""The host through the real daemon: a real file system, a program called systemctl, a time server, a TLS handshake."""

import json
from pathlib import Path

import jsonschema
import pytest
from tests.contract.test_rpc_tls import Certs, certs, server_context
from tests.support.rpcserver import serving
from tests.support.timeserver import TimeServer, serving_time
from tests.support.watchdog import CALM, NodeAt, toml, watchdog

from tocsin.clock import SystemClock
from tocsin.testing import SimBeacon, SimChain, SimNode, serve_beacons, serve_nodes

__all__ = ["certs"]  # a fixture

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/reference/cli-status.schema.json").read_text())


def systemctl(folder: Path) -> Path:
    """Put a systemctl on a path of its own; return the file that holds what it says the unit's state is."""
    folder.mkdir()
    state = folder / "state"
    state.write_text("active")
    program = folder / "systemctl"
    program.write_text(
        f"#!/bin/sh\nprintf 'Id=geth.service\\nLoadState=loaded\\nActiveState=%s\\nSubState=x\\n' $(cat {state})\n"
    )
    program.chmod(0o755)
    return state


def becomes(state: Path, what: str) -> None:
    state.write_text(what)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    return systemctl(tmp_path / "bin")


async def test_the_host_is_looked_at_told_and_shown(tmp_path: Path, certs: Certs, unit: Path) -> None:
    chain = SimChain(SystemClock())
    nodes = [SimNode(chain, name=name) for name in ("a", "b")]
    beacon = SimBeacon(chain)
    async with (
        serve_nodes(*nodes) as served,
        serve_beacons(beacon) as layer,
        serving(tls=server_context(certs)) as secure,
        serving_time(TimeServer(), TimeServer(ahead_ns=10**10), TimeServer()) as where,
    ):
        known = {name: NodeAt(url=listener.url, provider=name) for name, listener in served.items()}
        known["secure"] = NodeAt(
            url=f"https://127.0.0.1:{secure.port}", provider="s", more=f'ca = "{certs["ca"][1]}"\n'
        )
        host = f'[host]\nperiod = "1s"\ndisk = ["{tmp_path}"]\nunits = ["geth.service"]\nntp = {json.dumps(where)}\n'
        tables = f'[[chain.beacon]]\nname = "north"\nurl = "{layer["beacon"].url}"\nexecution = "a"\n'
        text = toml(tmp_path, known, block_time="12s", poll="1s", chain=tables, more=CALM + host)
        async with watchdog(tmp_path, text, environ={"PATH": f"{unit.parent}:/usr/bin:/bin"}) as daemon:
            daemon.start()
            now = await daemon.until_status(
                lambda now: now["host"] and all(one["days_left"] is not None for one in now["host"]["certificates"]),
                "the host was looked at",
            )
            [disk], [geth], [certificate] = (now["host"][kind] for kind in ("disks", "units", "certificates"))
            assert disk["path"] == str(tmp_path)
            assert 0 <= disk["used_permille"] <= 1000
            assert (geth["active"], certificate["days_left"], certificate["distrust"]) == ("active", 1, "")
            assert now["host"]["clock"]["state"] == "known"
            assert now["host"]["clock"]["false"] == [where[1]]

            def firing(now: dict[str, list[dict[str, object]]]) -> set[tuple[object, object]]:
                return {(one["detector"], one["severity"]) for one in now["alerts"]}

            await daemon.until_status(lambda now: ("host.cert", "critical") in firing(now), "the certificate is told")
            becomes(unit, "failed")
            await daemon.until_status(lambda now: ("host.unit", "critical") in firing(now), "the unit is told")
            becomes(unit, "active")
            await daemon.until_status(
                lambda now: not any(detector == "host.unit" for detector, _ in firing(now)), "the unit is well"
            )
            said = await daemon.command("status", "--json", "--config", str(daemon.config))
            jsonschema.validate(json.loads(said.out), SCHEMA)
            shown = (await daemon.command("status", "--config", str(daemon.config))).out
            assert "geth.service active" in shown
            assert "beacon node" in shown
            assert "north" in shown

            daemon.configure(text.replace(host, ""))
            assert (await daemon.ask("reload"))["ok"]
            now = await daemon.until_status(lambda now: now["host"] is None, "the host is watched no longer")
            assert not any(str(detector).startswith("host.") for detector, _ in firing(now))
