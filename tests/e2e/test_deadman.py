"""The dead man's ping of the real daemon, to a real HTTP server: only while everything works, and never in the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, nodes_of
from tests.support.watchdog import CALM, eventually, mqtt_of, toml, watchdog

from tocsin.testing import FaultProxy

SECRET = "/ping/0f5e-a-secret-of-the-switch"


class Switch:
    """A dead man's switch: counts pings, and answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.pings: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.status = 200
        self.hangs = False
        self.over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.pings[request.method] += 1
        self.bodies.append(await request.read())
        if self.hangs:
            await self.over.wait()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def switch() -> AsyncIterator[Switch]:
    made = Switch()
    app = web.Application()
    app.router.add_route("*", SECRET, made.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        made.url = f"http://127.0.0.1:{port}{SECRET}"
        yield made
    finally:
        made.over.set()
        await runner.cleanup()


def config(folder: Path, nodes: FaultProxy, broker: Mosquitto | None, pinged: Switch, more: str = "") -> str:
    table = (
        f'{CALM}\n[self_test]\nevery = "1s"\n[deadman]\nurl = "{pinged.url}"\nevery = "1s"\ntimeout = "1s"\n{more}\n'
    )
    return toml(folder, nodes_of(nodes), broker=None if broker is None else mqtt_of(broker), chain=QUICK, more=table)


def is_in(state: str) -> Any:
    return lambda status: (status["deadman"] or {}).get("state") == state


async def test_it_goes_out_while_all_works_is_withheld_without_a_broker_and_comes_back(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    async with switch() as pinged, watchdog(tmp_path, config(tmp_path, nodes, broker, pinged)) as daemon:
        daemon.start()
        await daemon.watching()
        await eventually(lambda: pinged.pings["GET"] >= 3, "pings")
        status = await daemon.until_status(is_in("ok"), "a status that says so")
        assert status["deadman"]["last_at"] is not None
        assert SECRET not in orjson.dumps(status).decode()
        assert status["level"] == "ok"
        broker.kill()
        withheld = await daemon.until_status(is_in("withheld"), "that it is withheld")
        assert "no self-test was heard back for" in withheld["deadman"]["detail"]
        count = pinged.pings["GET"]
        await asyncio.sleep(3)
        assert pinged.pings["GET"] == count
        assert "deadman   withheld  http://127.0.0.1:" in (await daemon.command("status")).out
        broker.start()
        await eventually(lambda: pinged.pings["GET"] > count, "a ping after the broker is back")
        assert await daemon.stop() == 0


@pytest.mark.parametrize(("status", "said"), [(500, "it answered HTTP 500"), (302, "it answered HTTP 302")])
async def test_a_switch_that_does_not_take_it_is_counted_told_and_tried_again(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto, status: int, said: str
) -> None:
    async with switch() as pinged:
        pinged.status = status
        text = config(tmp_path, nodes, broker, pinged, 'method = "POST"')
        async with watchdog(tmp_path, text) as daemon:
            daemon.start()
            await daemon.watching()
            shown = await daemon.until_status(
                lambda one: is_in("failing")(one) and one["deadman"]["failed"] >= 2, "failures"
            )
            assert shown["deadman"]["detail"] == said
            assert shown["level"] == "warning"
            assert orjson.loads(pinged.bodies[0])["watchdog"] == "ams/host-a"
            pinged.status = 204
            await daemon.until_status(is_in("ok"), "a ping that worked")
            assert not pinged.pings["GET"]
            assert await daemon.stop() == 0


async def test_one_that_hangs_holds_up_nothing_else_and_a_reload_without_it_ends_it(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    async with switch() as pinged:
        pinged.hangs = True
        async with watchdog(tmp_path, config(tmp_path, nodes, broker, pinged)) as daemon:
            daemon.start()
            await daemon.watching()
            shown = await daemon.until_status(is_in("failing"), "a failure")
            assert shown["deadman"]["detail"] == "no answer within 1 s"
            assert shown["late"] == []
            daemon.configure(toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK))
            assert (await daemon.ask("reload"))["ok"]
            await daemon.until_status(lambda one: one["deadman"] is None, "no switch")
            assert await daemon.stop() == 0


async def test_without_a_broker_it_goes_out_and_the_check_of_the_configuration_says_what_it_means(
    tmp_path: Path, nodes: FaultProxy
) -> None:
    async with switch() as pinged, watchdog(tmp_path, config(tmp_path, nodes, None, pinged)) as daemon:
        daemon.start()
        await eventually(lambda: pinged.pings["GET"] >= 2, "pings")
        checked = await daemon.command("config", "check", "--config", str(daemon.config))
        assert "without [mqtt] a full pass is poll, tick and commit" in checked.out + checked.err
        assert await daemon.stop() == 0
