"""`tocsin doctor` against real nodes and brokers, well and sick: each fault is named, with what to do."""

import asyncio
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.aggregatorcode import Aggregator
from tests.support.anvil import Anvil
from tests.support.artifacts import OPENZEPPELIN, Deployer, code_of
from tests.support.broker import Mosquitto, certificates
from tests.support.daemon import daemon
from tests.support.rpcserver import Request, http, serving
from tests.support.timeserver import TimeServer, serving_time

from tocsin.cli._doctor import beacons, gateways, host, nodes, people, watched
from tocsin.cli._doctor import broker as broker_check
from tocsin.cli._doctor.contracts import addresses
from tocsin.cli._doctor.result import Level, Result
from tocsin.clock import NS, EngineClock, SystemClock
from tocsin.config.load import Loaded, load
from tocsin.config.registry import registry_of
from tocsin.config.secrets import Sources
from tocsin.detect import REGISTRY
from tocsin.testing.simbeacon import SimBeacon, serve_beacons
from tocsin.testing.simchain import ChainSpec, SimChain
from tocsin.testing.simnode import SimNode, serve_nodes


def loaded(folder: Path, *, url: str = "http://127.0.0.1:1", node: str = "", chain: str = "", top: str = "") -> Loaded:
    file = folder / "tocsin.toml"
    file.write_text(
        f'schema = 1\n[watchdog]\nsite = "ams"\nname = "host-a"\nstate_dir = "{folder}/state"\n'
        f'runtime_dir = "{folder}/run"\n{top}\n[[chain]]\nname = "dev"\nid = 31337\nblock_time = "12s"\n{chain}\n'
        f'[[chain.node]]\nname = "one"\nurl = "{url}"\nown = true\n{node}\n'
    )
    return load(file, registry=registry_of(REGISTRY), environ={})


def by_subject(results: list[Result]) -> dict[str, Level]:
    return {result.subject: result.level for result in results}


async def examined(config: Loaded) -> tuple[list[Result], nodes.Stamp | None]:
    chain = config.tree.chains[0]
    return await nodes.examine(chain, chain.nodes[0], EngineClock(SystemClock()))


async def test_a_real_node_is_well(anvil: Anvil, tmp_path: Path) -> None:
    await anvil.mine(1, timestamp=SystemClock().wall_ns() // NS)
    config = loaded(tmp_path, url=anvil.url, node=f'ws = "{anvil.ws_url}"\nclient = "anvil"')
    results, stamp = await examined(config)
    assert by_subject(results) == {
        "dev/one": Level.OK,
        "dev/one client": Level.OK,
        "dev/one batches": Level.OK,
        "dev/one ws": Level.OK,
    }
    assert stamp is not None
    assert watched.clock_by_heads(nodes.ages([stamp], config.tree.chains)).level is Level.OK


WATCHED = """
[[chain.contract]]
name = "{name}"
address = "{address}"
watch = ["code"]
"""


def test_of_an_account_the_tokens_have_to_have_code_and_not_the_account_itself(tmp_path: Path) -> None:
    account, token = "0x" + "aa" * 20, "0x" + "bb" * 20
    watched = f'[[chain.contract]]\nname = "hot"\naddress = "{account}"\n'
    amount = f'[[chain.contract.balance]]\nname = "usd"\ntoken = "{token}"\ndecimals = 6\nmax = 1\n'
    [chain] = loaded(tmp_path, node=watched + amount).tree.chains
    assert addresses(chain) == {token: "token of usd of hot"}


async def test_a_configured_contract_without_code_is_named_with_its_address(anvil: Anvil, tmp_path: Path) -> None:
    there, nowhere = "0x" + "11" * 20, "0x" + "22" * 20
    await anvil.call("anvil_setCode", there, "0x6001")
    await anvil.mine(2, timestamp=SystemClock().wall_ns() // NS)
    good = WATCHED.format(name="vault", address=there)
    results, _ = await examined(loaded(tmp_path, url=anvil.url, node=good))
    assert [(one.level, one.said) for one in results if "contract" in one.subject] == [
        (Level.OK, "there is code at each address (1)")
    ]
    results, _ = await examined(
        loaded(tmp_path, url=anvil.url, node=good + WATCHED.format(name="typo", address=nowhere))
    )
    [one] = [one for one in results if "contract" in one.subject]
    assert (one.level, one.subject) == (Level.FAIL, "dev/one contract typo")
    assert one.said == f"there is no code at {nowhere}"
    assert one.todo == "check the address of contract typo: is it that of another chain?"


BELOW = """
[[chain.contract]]
name = "admin"
address = "{admin}"
watch = ["owner"]
owner = {{ slot = {slot} }}
[[chain.contract]]
name = "hot"
address = "{hot}"
[[chain.contract.balance]]
name = "tkn"
token = "{token}"
decimals = {decimals}
max = "1000"
[[chain.contract.balance]]
name = "typo"
token = "0x{typo}"
decimals = 6
max = "1000"
[[chain.feed]]
name = "eth-usd"
address = "{feed}"
heartbeat = "1h"
decimals = {digits}
"""


async def test_what_the_configuration_says_of_contracts_and_feeds_is_held_against_what_a_node_tells(
    anvil: Anvil, tmp_path: Path
) -> None:
    at = Deployer(anvil)
    admin = await at.deploy(code_of(OPENZEPPELIN, "ProxyAdmin"))
    token = await at.deploy(code_of(OPENZEPPELIN, "ERC20PresetMinterPauser"), ("string", "string"), "Token", "TKN")
    feed = await Aggregator.on(at)
    now_s = SystemClock().wall_ns() // NS
    await feed.answer(1, 2000 * 10**8, now_s)
    await anvil.mine(2, timestamp=now_s)
    places = {"admin": admin, "token": token, "hot": at.sender, "feed": feed.address}
    right = BELOW.format(**places, slot=0, decimals=18, digits=8, typo=token[2:])
    results, _ = await examined(loaded(tmp_path, url=anvil.url, node=right.replace("decimals = 6", "decimals = 18")))
    assert [(one.level, one.said) for one in results if "values" in one.subject] == [
        (Level.OK, "nothing that is watched contradicts the configuration")
    ]
    wrong = BELOW.format(**places, slot=3, decimals=6, digits=18, typo="99" * 20)
    results, _ = await examined(loaded(tmp_path, url=anvil.url, node=wrong))
    nobody = f"0x{0:040x}"
    assert {one.subject: one.said for one in results if one.level is Level.FAIL} == {
        "dev/one token of typo of hot": f"there is no code at 0x{'99' * 20}",
        "dev/one contract admin": f"owner() returns {at.sender}, and the slot holds {nobody}: check the slot in the "
        "configuration",
        "dev/one contract hot": f"balance.tkn: the token {token} has 18 decimals, and 6 are configured",
        "dev/one feed eth-usd": "it has 8 decimals, and 18 are configured: check the address",
    }
    [todo] = [one.todo for one in results if "feed" in one.subject]
    assert todo == "mend the configuration, or see why it is so: tocsin explain oracle.misconfigured"


async def test_a_node_that_is_something_else_than_configured_is_said_to_be(anvil: Anvil, tmp_path: Path) -> None:
    await anvil.mine(1, timestamp=SystemClock().wall_ns() // NS)
    config = loaded(tmp_path, url=anvil.url, node='client = "geth"', chain=f'genesis_hash = "0x{"12" * 32}"')
    results, _ = await examined(config)
    assert by_subject(results)["dev/one client"] is Level.WARN
    assert by_subject(results)["dev/one genesis"] is Level.FAIL


async def test_a_node_on_another_chain_fails_and_the_two_ids_are_named(tmp_path: Path) -> None:
    chain = SimChain(SystemClock())
    async with serve_nodes(SimNode(chain)) as listeners:
        results, stamp = await examined(loaded(tmp_path, url=listeners["sim"].url))
    assert [(one.level, one.said) for one in results] == [(Level.FAIL, "it is on chain 1337, not 31337")]
    assert stamp is None


@pytest.mark.parametrize(
    ("age_s", "level"), [(0, Level.OK), (40, Level.OK), (70, Level.WARN), (7200, Level.FAIL)], ids=str
)
async def test_a_head_is_judged_by_its_age_in_block_times(
    anvil: Anvil, tmp_path: Path, age_s: int, level: Level
) -> None:
    await anvil.mine(1, timestamp=SystemClock().wall_ns() // NS - age_s)
    results, _ = await examined(loaded(tmp_path, url=anvil.url))
    assert by_subject(results)["dev/one"] is level


async def test_a_block_from_the_future_is_our_clocks_fault(anvil: Anvil, tmp_path: Path) -> None:
    await anvil.mine(1, timestamp=SystemClock().wall_ns() // NS + 600)
    config = loaded(tmp_path, url=anvil.url)
    _, stamp = await examined(config)
    assert stamp is not None
    old = nodes.Stamp(chain="dev", age_ns=3 * NS)
    verdict = watched.clock_by_heads(nodes.ages([stamp, old], config.tree.chains))
    assert (verdict.level, "clock is behind" in verdict.said) == (Level.FAIL, True)
    assert watched.clock_by_heads(nodes.ages([old], config.tree.chains)).level is Level.OK
    assert watched.clock_by_heads(()).level is Level.WARN


def answering(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handle


@pytest.mark.parametrize(
    ("answer", "kind", "todo"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "auth", "key and headers"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "auth", "key and headers"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "http-status", "path of its url"),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "rate-limited", "ask less often"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>", "not-json", "no JSON-RPC endpoint"),
        (b"", "reset", "node's log"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 15 else "",
)
async def test_every_fault_comes_with_its_remedy(tmp_path: Path, answer: bytes, kind: str, todo: str) -> None:
    server = await asyncio.start_server(answering(answer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ((result,), stamp) = await examined(loaded(tmp_path, url=f"http://127.0.0.1:{port}"))
    assert (result.level, stamp) == (Level.FAIL, None)
    assert result.said.startswith(f"{kind}: ")
    assert todo in result.todo


async def test_a_certificate_that_ends_soon_or_is_not_trusted_is_said(tmp_path: Path) -> None:
    certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        known = await watched.examine(loaded(tmp_path, url=url, node=f'ca = "{tmp_path}/ca.crt"'), os.environ)
        unknown = await watched.examine(loaded(tmp_path, url=url), os.environ)
    told = [next(one for one in found if one.subject == f"certificate of {url}") for found in (known, unknown)]
    assert [one.level for one in told] == [Level.FAIL, Level.FAIL]
    assert all(one.said.startswith("it ends in ") for one in told)  # a day or two: soon is told before distrust


async def test_time_servers_and_disks_of_the_configuration_are_looked_at_as_the_daemon_does(tmp_path: Path) -> None:
    wrong = TimeServer(ahead_ns=5 * NS)
    async with serving_time(wrong, TimeServer(ahead_ns=5 * NS), TimeServer()) as where:
        host = f'[host]\ndisk = ["{tmp_path}", "/nowhere"]\nntp = {json.dumps(where)}\n'
        found = await watched.examine(loaded(tmp_path, url="http://127.0.0.1:9", top=host), os.environ)
    levels = by_subject(found)
    assert levels[f"disk {tmp_path}"] in (Level.OK, Level.WARN, Level.FAIL)
    assert levels["disk /nowhere"] is Level.WARN
    assert levels[f"time server {where[2]}"] is Level.WARN
    clock = next(one for one in found if one.subject == "clock")
    assert (clock.level, "behind" in clock.said) == (Level.FAIL, True)


@pytest.mark.parametrize(
    ("flag", "level"), [("", Level.OK), ("syncing", Level.WARN), ("optimistic", Level.WARN), ("el_offline", Level.FAIL)]
)
async def test_a_beacon_node_is_asked_too(tmp_path: Path, flag: str, level: Level) -> None:
    beacon = SimBeacon(SimChain(SystemClock(), ChainSpec(chain_id=31337)), name="north")
    if flag:
        setattr(beacon, flag, True)
    async with serve_beacons(beacon) as listeners:
        more = f'[[chain.beacon]]\nname = "north"\nurl = "{listeners["north"].url}"\n'
        config = loaded(tmp_path, url="http://127.0.0.1:9", chain=more)
        chain = config.tree.chains[0]
        found = await beacons.examine(chain, chain.beacons[0], EngineClock(SystemClock()))
        beacon.chain_id = 1
        wrong = await beacons.examine(chain, chain.beacons[0], EngineClock(SystemClock()))
    assert by_subject(found) == {"dev/north": level}
    assert by_subject(wrong) == {"dev/north": Level.FAIL}
    [gone] = await beacons.examine(chain, chain.beacons[0], EngineClock(SystemClock()))
    assert "REST" in gone.todo


async def test_a_broker_that_lets_everybody_publish_is_well_but_said_to(broker: Mosquitto, tmp_path: Path) -> None:
    tree = loaded(tmp_path, top=f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"').tree
    assert tree.mqtt is not None
    levels = by_subject(await broker_check.examine(tree, tree.mqtt))
    assert levels["broker connect"] is levels["broker own tree"] is Level.OK
    assert levels["broker foreign trees"] is Level.WARN


async def test_a_broker_whose_acl_forbids_our_topics_fails_with_the_rule_to_add(
    broker_acl: Mosquitto, tmp_path: Path
) -> None:
    settings = broker_acl.settings()
    assert settings.password is not None
    secret = tmp_path / "password"
    secret.write_text(settings.password.reveal())
    top = (
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker_acl.port}"\nuser = "{settings.user}"\n'
        f'password = {{ file = "{secret}" }}'
    )
    config = loaded(tmp_path, top=top)
    text = (tmp_path / "tocsin.toml").read_text()
    (tmp_path / "tocsin.toml").write_text(text.replace('name = "host-a"', 'name = "stranger"'))
    stranger = load(tmp_path / "tocsin.toml", registry=registry_of(REGISTRY), environ={}).tree
    assert config.tree.mqtt is not None
    assert stranger.mqtt is not None
    welcome = await broker_check.examine(config.tree, config.tree.mqtt)
    refused = await broker_check.examine(stranger, stranger.mqtt)
    assert set(by_subject(welcome).values()) == {Level.OK}
    (failed,) = (result for result in refused if result.level is Level.FAIL)
    assert failed.todo == "let this user write tocsin/v1/ams/stranger/#"


async def test_a_broker_that_is_not_there_fails(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tree = loaded(tmp_path, top=f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"').tree
    assert tree.mqtt is not None
    assert [result.level for result in await broker_check.examine(tree, tree.mqtt)] == [Level.FAIL]


def test_a_secret_that_everybody_can_read_or_nobody_has_fails(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("canary-secret-header\n")
    config = loaded(tmp_path, node=f'headers = {{ Authorization = {{ file = "{secret}" }} }}')
    sources = Sources(environ={}, folder=tmp_path)
    secret.chmod(0o600)
    assert [one.level for one in host.secrets(config.tree, sources)] == [Level.OK]
    secret.chmod(0o644)
    (loose,) = host.secrets(config.tree, sources)
    assert (loose.level, loose.todo) == (Level.FAIL, f"chmod 600 {secret}")
    secret.unlink()
    (missing,) = host.secrets(config.tree, sources)
    assert missing.level is Level.FAIL
    assert "canary" not in f"{loose}{missing}"


def test_folders_are_looked_at_before_they_exist(tmp_path: Path) -> None:
    levels = {result.subject: result.level for result in host.folders(loaded(tmp_path).tree)}
    assert levels["runtime_dir"] is Level.OK
    assert levels["state_dir"] in (Level.OK, Level.WARN)
    (tmp_path / "run").write_text("a file")
    levels = {result.subject: result.level for result in host.folders(loaded(tmp_path).tree)}
    assert levels["runtime_dir"] is Level.FAIL


@pytest.mark.parametrize(("free", "level"), [(10**8, Level.FAIL), (10**9, Level.WARN), (10**10, Level.OK)], ids=str)
def test_the_journal_has_room_or_it_is_said(free: int, level: Level) -> None:
    assert host._space(Path("/var/lib/tocsin"), free, host.NEEDED).level is level


def test_a_configuration_that_others_can_change_fails(tmp_path: Path) -> None:
    loaded(tmp_path)
    file = tmp_path / "tocsin.toml"
    assert host.configuration_file(str(file)).level is Level.OK
    file.chmod(stat.S_IMODE(file.stat().st_mode) | stat.S_IWOTH)
    assert host.configuration_file(str(file)).level is Level.FAIL


def test_the_daemon_is_seen_running_or_not(tmp_path: Path) -> None:
    assert host.running(str(tmp_path)).level is Level.WARN
    with daemon(tmp_path):
        assert host.running(str(tmp_path)).level is Level.OK


def test_systemd_is_seen_or_missed(tmp_path: Path) -> None:
    assert host.service_manager({}, tmp_path / "none").level is Level.WARN
    assert host.service_manager({}, tmp_path).level is Level.OK
    assert host.service_manager({"NOTIFY_SOCKET": "/x"}, tmp_path / "none").level is Level.OK


def tocsin(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin", *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_report_names_what_to_mend_and_shows_no_secret(tmp_path: Path) -> None:
    loaded(tmp_path, url="http://user:canary-password@127.0.0.1:1/v2/canary-key?token=canary-token")
    plain, as_json = tocsin(tmp_path, "doctor"), tocsin(tmp_path, "doctor", "--json")
    assert plain.returncode == as_json.returncode == 1
    assert "fail  dev/one: refused" in plain.stdout
    document = json.loads(as_json.stdout)
    assert (document["schema"], document["ok"]) == (1, False)
    assert {one["level"] for one in document["results"]} <= {"ok", "warn", "fail", "skip"}
    assert "canary" not in plain.stdout + plain.stderr + as_json.stdout + as_json.stderr


def test_a_missing_secret_is_a_finding_and_a_broken_configuration_is_3_with_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text("schema = 1\n")
    broken = tocsin(tmp_path, "doctor")
    assert (broken.returncode, broken.stdout) == (3, "")
    assert "tocsin.toml" in broken.stderr
    file = tmp_path / "tocsin.toml"
    file.write_text(
        'schema = 1\n[watchdog]\nsite = "ams"\nname = "a"\n'
        '[mqtt]\nurl = "mqtt://127.0.0.1:1"\nuser = "a"\npassword = { env = "NO_SUCH_VARIABLE" }\n'
        '[[chain]]\nname = "dev"\nprofile = "dev"\n[[chain.node]]\nname = "one"\nurl = { env = "NO_SUCH_VARIABLE" }\n'
        '[[chain.node]]\nname = "two"\nurl = "http://127.0.0.1:1"\nproxy = { file = "no-such-file" }\n'
    )
    missing = tocsin(tmp_path, "doctor")
    assert missing.returncode == 1
    failed = re.findall(r"^fail  ([^:]*)", missing.stdout, re.MULTILINE)
    lacked = [
        "mqtt password (env NO_SUCH_VARIABLE)",
        "dev/one url (env NO_SUCH_VARIABLE)",
        "dev/two proxy (file no-such-file)",
    ]
    # What lacks a secret is not asked without it: what came of that would say nothing of it.
    assert [one for one in failed if not one.endswith("_dir")] == lacked
    assert re.findall(r"^skip  ([^:]*): not asked", missing.stdout, re.MULTILINE) == ["dev/one", "dev/two", "broker"]


async def test_channels_are_knocked_at_and_told_nothing(tmp_path: Path) -> None:
    knocked: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocked.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    table = '[[notify]]\nname = "team"\nkind = "webhook"\nkey = "canary-key-0123456789"\n'
    try:
        top = table + f'url = "http://127.0.0.1:{port}/canary-path"\n'
        there = await people.examine(loaded(tmp_path, top=top).tree.channels[0])
        gone = await people.examine(
            loaded(tmp_path, top=table + 'url = "https://127.0.0.1:1/canary-path"\n').tree.channels[0]
        )
    finally:
        server.close()
        await server.wait_closed()
    assert (there.level, gone.level) == (Level.OK, Level.FAIL)
    assert "tocsin notify test team" in there.said
    assert "canary" not in there.said + gone.said
    assert b"".join(knocked) == b""
    assert people.absent().level is Level.SKIP


async def test_a_price_gateway_is_asked_once_and_what_it_says_is_told(tmp_path: Path) -> None:
    now_s = SystemClock().wall_ns() // NS

    async def answer(request: Request) -> None:
        old = "old" in request.head.splitlines()[0]
        request.writer.write(http(b'{"p": 2297.5, "t": %d}' % (now_s - 3_600 if old else now_s)))

    async with serving(answer) as node:
        table = '[[price_gateway]]\nname = "g"\nprices = "eth/usd"\nprice = "%s"\ntime = "t"\nurl = "%s"\n'
        found = []
        for price, path in (("p", ""), ("p", "/old"), ("q", "")):
            [one] = loaded(tmp_path, top=table % (price, node.url + path)).tree.gateways
            found.append(await gateways.examine(one, EngineClock(SystemClock())))
    assert [one.level for one in found] == [Level.OK, Level.WARN, Level.FAIL]
    assert found[0].said.startswith("2297.5 for eth/usd, ")
    assert found[1].todo == "its price is too old to count; see max_age"
    assert found[2].said == "malformed: q is no number"
    assert len(node.requests) == 3
