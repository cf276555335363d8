"""`tocsin init`: look at this host and write a configuration that works, without a question."""

import json
import os
import re
import shlex
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli import _fast, _where
from tocsin.cli._invocation import program
from tocsin.errors import TocsinError, UsageError

if TYPE_CHECKING:
    from tocsin.cli._probe import Found, FoundBroker, FoundNode

_NAME = re.compile(r"[a-z0-9_-]{1,64}")
DEFAULT_URL = "http://127.0.0.1:8545"
NO_MQTT_5 = frozenset({0x01, 0x84})
"""CONNACK codes of a broker that is too old: 3.1.1's "unacceptable protocol version" and MQTT 5's own."""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("tocsin.toml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Write to standard output, touch no file.")] = False,
    site: Annotated[
        str, typer.Option("--site", metavar="NAME", help="The place; first level of every topic.")
    ] = "local",
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="This watchdog; default the host's.")
    ] = None,
) -> None:
    """Find nodes and a broker on this host and write a configuration that works. Asks nothing."""
    from tocsin.cli import _probe  # noqa: PLC0415 - loads an HTTP client

    for option, value in (("--site", site), ("--name", name)):
        if value is not None and not _NAME.fullmatch(value):
            raise UsageError(f"{option} {value}: a name has 1 to 64 of a-z, 0-9, _ and -")
    if not (only_print or force) and file.exists():
        raise TocsinError(f"{file} is there already; --force overwrites it, --print shows what would be written")
    found = _probe.discover(ipc_paths=[os.path.expanduser(path) for path in _probe.IPC_PATHS])  # noqa: PTH111
    text = configuration(found, site=site, name=name or host_name(), folders=folders(os.environ, os.geteuid()))
    report = "\n".join(findings(found)) + "\n"
    if only_print:
        sys.stderr.write(report)
        _fast.print_out(text)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as out:
            os.fchmod(out.fileno(), 0o640)
            out.write(text)
    except OSError as error:
        raise TocsinError(f"{file}: {error.strerror}") from None
    _fast.print_out(f"{report}\n{file} is written. Next:\n\n" + next_steps(file, found))


def configuration(found: "Found", *, site: str, name: str, folders: tuple[str, str]) -> str:
    """Return the text of a configuration for what was found."""
    lines = [
        "# Written by `tocsin init` for what answered on this host. Every key: docs/reference/configuration.md",
        "schema = 1",
        "",
        "[watchdog]",
        f'site = "{site}"',
        f'name = "{name}"',
        f"state_dir = {json.dumps(folders[0])}",
        f"runtime_dir = {json.dumps(folders[1])}",
        "",
        *_broker_lines(found.broker),
    ]
    by_chain: dict[int, list[FoundNode]] = {}
    for node in found.nodes:
        by_chain.setdefault(node.chain_id, []).append(node)
    for chain_id, nodes in by_chain.items():
        lines += ["", *_chain_lines(chain_id, nodes)]
    if not by_chain:
        lines += ["", *_placeholder_lines()]
    return "\n".join(lines) + "\n"


def _chain_lines(chain_id: int, nodes: "list[FoundNode]") -> Iterator[str]:
    profile = _profiles().get(chain_id)
    name = profile or f"chain-{chain_id}"
    yield "[[chain]]"
    yield f'name = "{name}"'
    yield f"id = {chain_id}"
    if profile:
        yield f'profile = "{profile}"'
    else:
        measured = next((node.block_time_s for node in nodes if node.block_time_s), None)
        origin = "measured over 100 blocks" if measured else "a guess: set the time between two blocks"
        yield f'block_time = "{duration(measured or 12.0)}"  # {origin}'
    taken: set[str] = set()
    for node in nodes:
        yield from ("", *_node_lines(node, _unique(_slug(node.client) or "node", taken)))
    yield ""
    yield from _ANOTHER


def _node_lines(node: "FoundNode", name: str) -> Iterator[str]:
    yield "  [[chain.node]]"
    yield f'  name = "{name}"'
    yield f"  url = {json.dumps(node.url)}"
    if node.ws:
        yield f'  ws = "{node.ws}"'
    yield "  own = true"
    client = _slug(node.client)
    if client:
        yield f'  client = "{client}"'


_ANOTHER = (
    "  # One node alone is never corroborated. Nodes of two other providers make a quorum:",
    "  # [[chain.node]]",
    '  # name = "provider"',
    '  # url = { env = "PROVIDER_URL" }  # keeps the key in it out of this file',
)


def _placeholder_lines() -> Iterator[str]:
    yield "# No node answered on this host: put yours here."
    yield from ("[[chain]]", 'name = "ethereum"', 'profile = "ethereum"', "")
    yield from ("  [[chain.node]]", '  name = "node"', f'  url = "{DEFAULT_URL}"', "  own = true", "", *_ANOTHER)


def _broker_lines(broker: "FoundBroker | None") -> Iterator[str]:
    if broker is not None and broker.reason == 0:
        yield from ("[mqtt]", f'url = "{broker.url}"')
        return
    yield "# Without a broker alerts are kept on disk, and `tocsin status` and `tocsin events tail` show them."
    yield from ("# [mqtt]", f'# url = "{broker.url if broker else "mqtt://127.0.0.1:1883"}"  # MQTT 5')
    yield from ('# user = "tocsin"', '# password = { env = "TOCSIN_MQTT_PASSWORD" }')


def findings(found: "Found") -> Iterator[str]:
    """Yield a line for everything that was found, and for what is missing."""
    for node in found.nodes:
        ws = f", new heads at {node.ws}" if node.ws else ""
        yield f"node    {node.url}  chain {node.chain_id}, head {node.head}, {node.version or 'unknown client'}{ws}"
    if not found.nodes:
        yield "node    none answered on the usual ports and sockets of this host"
        if found.engine:
            yield "        port 8551 is open: an execution client runs here; switch its HTTP-RPC on (port 8545)"
    for url in found.beacons:
        yield f"beacon  {url}  seen, not used: Tocsin watches execution nodes"
    yield f"broker  {_broker_said(found.broker)}"


def _broker_said(broker: "FoundBroker | None") -> str:
    if broker is None:
        return "none answered at mqtt://127.0.0.1:1883"
    if broker.reason == 0:
        return f"{broker.url}  welcomes us without a user"
    if broker.reason in NO_MQTT_5:
        return f"{broker.url}  speaks no MQTT 5, so it is left out"
    return f"{broker.url}  wants a user (0x{broker.reason:02x}): fill in [mqtt]"


def next_steps(file: Path, found: "Found") -> str:
    """Return what to type next, as this program was called."""
    tocsin = program()
    named = f" --config {shlex.quote(str(file))}" if str(file) != _where.LOCAL_CONFIG else ""
    steps = [
        (f"{tocsin} config check{named}", "does it hold?"),
        (f"{tocsin} doctor{named}", "does everything answer?"),
        (f"{tocsin} run{named}", "watch"),
        (f"{tocsin} status{named}", "in another shell"),
    ]
    if not found.nodes:
        steps.insert(0, (f"edit {shlex.quote(str(file))}", "put your nodes in"))
    width = max(len(typed) for typed, _ in steps)
    return "".join(f"  {typed:<{width}}   {why}\n" for typed, why in steps)


def folders(environ: Mapping[str, str], uid: int) -> tuple[str, str]:
    """Return state and runtime directory: the system's for root, the user's own for others."""
    if uid == 0:
        return "/var/lib/tocsin", "/run/tocsin"
    home = environ.get("HOME") or str(Path.home())
    state = f"{environ.get('XDG_STATE_HOME') or home + '/.local/state'}/tocsin"
    runtime = environ.get("XDG_RUNTIME_DIR")
    return state, f"{runtime}/tocsin" if runtime else f"{state}/run"


def host_name() -> str:
    """Return this host's name as a watchdog may be called."""
    return _slug(socket.gethostname().partition(".")[0]) or "watchdog"


def duration(seconds: float) -> str:
    """Write a measured time between blocks: whole seconds, or hundredths below two."""
    return f"{round(seconds)}s" if seconds >= 1.95 else f"{max(10, round(seconds * 100) * 10)}ms"  # noqa: PLR2004


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")[:64]


_ROOM = 58
"""What of a name of 64 is left beside a number."""


def _unique(name: str, taken: set[str]) -> str:
    number = 1
    while (one := name if number == 1 else f"{name[:_ROOM]}-{number}") in taken:
        number += 1
    taken.add(one)
    return one


def _profiles() -> dict[int, str]:
    """Return the shipped profiles by chain id."""
    from tocsin.config.profile import shipped  # noqa: PLC0415 - loads pydantic

    profiles = shipped()
    return {
        tomllib.loads((profiles.folder / f"{name}.toml").read_text(encoding="utf-8"))["id"]: name
        for name in profiles.names()
    }
