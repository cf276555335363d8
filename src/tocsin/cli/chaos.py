"""`tocsin chaos`: stand before real nodes and make them fail, to see what an alert looks like before it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from tocsin.errors import ControlError, UsageError
from tocsin.secret import SecretUrl

if TYPE_CHECKING:
    from tocsin.testing import FaultProxy
    from tocsin.testing.rehearsal import Step

CONTROL_PORT: Final = 7546
_ASK_TIMEOUT_S: Final = 5.0
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")

app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["--help", "-h"]})

ControlAt = Annotated[
    int, typer.Option("--control", metavar="PORT", min=0, max=65535, help="Loopback port where faults are changed.")
]


@app.callback(invoke_without_command=True)
def chaos(
    context: typer.Context,
    node: Annotated[
        list[str] | None,
        typer.Option("--node", metavar="NAME=URL[,WS_URL]", help="A node to stand before. Give it once for each."),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS", help="Where the proxied nodes listen.")
    ] = "127.0.0.1",
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="NODE=FAULT", help="A fault from the start: b=stale:5."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="For faults with a chance: the same seed, the same strokes.")] = 0,
    script: Annotated[
        Path | None, typer.Option("--script", metavar="FILE", help="Lines of: WHEN NODE FAULT, or WHEN NODE clear.")
    ] = None,
    control: ControlAt = CONTROL_PORT,
) -> None:
    """Stand before nodes and make them faulty, until interrupted.

    Point Tocsin at the printed addresses instead of the nodes themselves. Change faults meanwhile with `tocsin chaos
    set NODE FAULT`, `tocsin chaos clear [NODE]` and `tocsin chaos list`; `tocsin chaos faults` explains them all.
    """
    if context.invoked_subcommand is not None:
        return
    upstreams = _named(node or (), "--node", "NAME=URL")
    if not upstreams:
        raise UsageError("no node to stand before; give --node NAME=URL")
    _check_address(listen)
    asyncio.run(_serve(upstreams, _faults_by_node(fault or (), upstreams), listen, seed, script, control))


@app.command("set")
def set_fault(
    node: Annotated[str, typer.Argument(help="The node's name.")],
    fault: Annotated[list[str], typer.Argument(help="NAME[:ARGUMENT][@CHANCE]; several stand together.")],
    *,
    control: ControlAt = CONTROL_PORT,
) -> None:
    """Give a running proxy's node these faults, and no others."""
    _print_node(node, _ask(control, "PUT", f"/faults/{quote(node, safe='')}", {"faults": fault}))


@app.command("clear")
def clear(
    node: Annotated[str | None, typer.Argument(help="The node's name; all nodes without.")] = None,
    *,
    control: ControlAt = CONTROL_PORT,
) -> None:
    """Heal a node, or all of them."""
    for name in [node] if node is not None else _ask(control, "GET", "/faults"):
        _print_node(name, _ask(control, "DELETE", f"/faults/{quote(name, safe='')}"))


@app.command("list")
def list_nodes(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with a versioned schema.")] = False,
    control: ControlAt = CONTROL_PORT,
) -> None:
    """Show the nodes of a running proxy and their faults."""
    nodes = _ask(control, "GET", "/faults")
    if as_json:
        _say(json.dumps({"schema": 1, "nodes": nodes}, indent=2))
        return
    for name, shown in nodes.items():
        _print_node(name, shown)


@app.command("faults")
def faults() -> None:
    """Explain every fault."""
    from tocsin.testing import FAULTS  # noqa: PLC0415 - loads aiohttp

    for name, kind in FAULTS.items():
        summary = (kind.__doc__ or "").partition("\n\n")[0].replace("\n    ", " ")
        _say(f"{name:<15} {summary}")
        if kind.usage:
            _say(f"{'':<15} {name}:{kind.usage}")


# -- the command line's texts


def _named(given: list[str] | tuple[()], option: str, shape: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not _NAME.fullmatch(name) or not equals or not value:
            # Without the text: it may hold a URL with a key.
            raise UsageError(f"{option} is {shape}; a name has small letters, digits, _ and -")
        if name in found:
            raise UsageError(f"{option} {name}: given twice")
        found[name] = value
    return found


def _faults_by_node(given: list[str] | tuple[()], nodes: dict[str, str]) -> list[tuple[str, str]]:
    from tocsin.testing import parse_fault  # noqa: PLC0415 - loads aiohttp

    pairs = []
    for text in given:
        name, equals, fault = text.partition("=")
        if not equals:
            raise UsageError("--fault is NODE=FAULT, such as b=stale:5")
        if name not in nodes:
            raise UsageError(f"--fault: there is no such --node; there are {', '.join(nodes)}")
        parse_fault(fault)
        pairs.append((name, fault))
    return pairs


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise UsageError(f"--listen {address!r} is not an IP address; 127.0.0.1 keeps it to this machine") from None


# -- serving


async def _serve(
    nodes: dict[str, str],
    first: list[tuple[str, str]],
    listen: str,
    seed: int,
    script: Path | None,
    control: int,
) -> None:
    from tocsin.testing import Control, FaultProxy, parse_fault  # noqa: PLC0415 - loads aiohttp
    from tocsin.testing.servers import serve  # noqa: PLC0415

    steps = _read_script(script, tuple(nodes)) if script else ()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    upstreams = {name: _upstream(name, at) for name, at in nodes.items()}
    async with contextlib.AsyncExitStack() as stack:
        try:
            proxy = await stack.enter_async_context(FaultProxy(upstreams, seed=seed, host=listen))
            steering = await stack.enter_async_context(serve(Control(proxy).handle, port=control))
        except OSError as error:
            raise ControlError(f"cannot listen: {error.strerror}; --listen and --control choose other places") from None
        for name, fault in first:
            await proxy.node(name).add(parse_fault(fault))
        for name, upstream in upstreams.items():
            _say(f"{name}  {proxy.url(name)}  stands before {upstream}")
        _say(f"faults are changed at {steering.url}/faults; stop with Ctrl-C")
        await _until(stop, steps, proxy)
    _say("stopped")


def _upstream(name: str, text: str) -> Any:
    from tocsin.testing import HttpUpstream  # noqa: PLC0415 - loads aiohttp

    url, _, ws_url = text.partition(",")
    try:
        return HttpUpstream(url, ws_url=ws_url or None)
    except UsageError as error:
        raise UsageError(f"--node {name}: {error}") from None


def _read_script(path: Path, nodes: tuple[str, ...]) -> tuple[Step, ...]:
    from tocsin.testing.rehearsal import read_script  # noqa: PLC0415 - loads aiohttp

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--script {path}: {getattr(error, 'strerror', None) or 'not a text file'}") from None
    return read_script(text, name=str(path), nodes=nodes)


async def _until(stop: asyncio.Event, steps: tuple[Step, ...], proxy: FaultProxy) -> None:
    from tocsin.testing.rehearsal import play  # noqa: PLC0415 - loads aiohttp

    async with asyncio.TaskGroup() as group:
        playing = group.create_task(play(steps, proxy, _tell))
        await stop.wait()
        playing.cancel()


def _tell(step: Step) -> None:
    from tocsin.testing import parse_fault  # noqa: PLC0415 - loads aiohttp

    _say(f"{step.node}: {'healthy' if step.fault is None else parse_fault(step.fault)}")


# -- asking a running proxy


def _ask(control: int, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the control endpoint. Raises UsageError for what it refuses, ControlError when nothing answers."""
    url = f"http://127.0.0.1:{control}{path}"
    request = urllib.request.Request(url, method=verb, data=None if body is None else json.dumps(body).encode())
    # No outbound proxy of the environment may stand between us and loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_ASK_TIMEOUT_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise UsageError(_said(error)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or reason
        raise ControlError(
            f"no fault proxy answers on port {control} ({reason}); tocsin chaos starts one, --control names another"
        ) from None


def _said(error: urllib.error.HTTPError) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.load(error)["error"])
    return f"the control endpoint answers HTTP {error.code}"


def _print_node(name: str, shown: dict[str, Any]) -> None:
    faults = ", ".join(shown["faults"]) or "healthy"
    _say(f"{name}  {SecretUrl(shown['url'])}  {faults}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
