"""`tocsin read`: what a contract says at the agreed block, and how many independent groups of nodes say so."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import part, rows, say


def command(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of the contract.")],
    signature: Annotated[
        str,
        typer.Argument(metavar="[SIGNATURE", help="As balanceOf(address)(uint256), or 0x and the data of a call."),
    ] = "",
    args: Annotated[list[str] | None, typer.Argument(metavar="[ARGS]...]", help="One for each type.")] = None,
    *,
    slot: Annotated[
        list[str] | None, typer.Option("--slot", metavar="N", help="Also this slot, with a proof; again for more.")
    ] = None,
    block: Annotated[str, typer.Option("--block", metavar="WHICH", help="head or finalized.")] = "head",
    chain: Annotated[str, typer.Option("--chain", metavar="CHAIN", help="Where several are watched.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Read a contract at the block that the groups agree on: the value, how it is known, and who says so.

    All nodes that are well are asked, and what they return is compared byte by byte. Slots come with proofs that are
    held against the header's state root. Exit code 1 where the value is not known, the call reverts, or there is no
    code at the address.
    """
    from tocsin.chain.abi import AbiError  # noqa: PLC0415 - loaded when it is called
    from tocsin.errors import UsageError  # noqa: PLC0415

    try:
        asked = _Asked(address, signature, args or [], slot or [])
    except AbiError as error:
        raise UsageError(str(error)) from None
    if block not in ("head", "finalized"):
        raise UsageError(f"--block takes head or finalized, not {block[:40]!r}")
    request = {**asked.request, "block": block, **({"chain": chain} if chain else {})}
    found = _client.ask(daemon_dir(config, runtime_dir), "read", request)
    told = found if isinstance(found, dict) else {}
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **told, "decoded": asked.decoded(told)}, indent=2) + "\n")
    else:
        _fast.print_out("\n".join(asked.lines(told)) + "\n")
    if not is_known(told):
        raise typer.Exit(1)


def is_known(told: Mapping[str, Any]) -> bool:
    """Tell whether everything that was asked for has a value, and there is somebody to have it."""
    if is_nothing(told):
        return False
    asked = [*([part(told, "call")] if told.get("call") else []), *rows(told, "slots")]
    return bool(asked) and all(row.get("value") is not None for row in asked)


def is_nothing(told: Mapping[str, Any]) -> bool:
    """Tell whether there is nothing at the address. A precompile has no code either, but it returns something."""
    return told.get("has_code") is False and part(told, "call").get("value") in (None, "0x")


class _Asked:
    """What a command line asks for."""

    def __init__(self, address: str, signature: str, args: Sequence[str], slots: Sequence[str]) -> None:
        """Take what was typed. Raises AbiError with what is wrong."""
        from tocsin.chain import abi, abitext  # noqa: PLC0415

        to = abitext.address(address, "ADDRESS")
        self.returns: abi.Tuple | None = None
        self.request: dict[str, object] = {"address": f"0x{to.hex()}"}
        if signature[:2] == "0x":
            if args:
                raise abi.AbiError("arguments go with a signature; behind the data of a call there are none")
            data = abitext.read(abi.Simple("bytes"), signature, "SIGNATURE")
            self.request["data"] = f"0x{data.hex()}" if isinstance(data, bytes) else ""
        elif signature:
            function = abi.signature(signature)
            values = abitext.arguments(function.takes, args)
            self.returns = function.returns
            self.request["data"] = f"0x{(function.selector + abi.encode(function.takes, values)).hex()}"
        elif not slots:
            raise abi.AbiError("say what to read: a signature such as balanceOf(address)(uint256), or --slot")
        self.request["slots"] = [_slot(text) for text in slots]

    def decoded(self, told: Mapping[str, Any]) -> object:
        """Return the values that a call returned, None where they are not known, or of no types."""
        from tocsin.chain import abi, abitext  # noqa: PLC0415

        value = part(told, "call").get("value")
        if self.returns is None or not isinstance(value, str):
            return None
        try:
            return abitext.as_json(self.returns, abi.decode(self.returns, bytes.fromhex(value[2:])))
        except abi.AbiError:
            return None

    def lines(self, told: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a person reads: values first, then how they are known."""
        call, block = part(told, "call"), part(told, "block")
        if is_nothing(told):
            where = f"block {say(block, 'number')} of {say(told, 'chain')}"
            yield f"there is no code at {say(told, 'address')} at {where}: check the address, and the chain"
        elif call:
            yield from self._values(call)
            yield from _known(call)
        for row in rows(told, "slots"):
            yield f"slot {say(row, 'slot')}"
            yield f"  {say(row, 'value')}" if row.get("value") is not None else f"  not known: {say(row, 'why')}"
            proven = row.get("proven_by")
            if isinstance(proven, list) and proven and row.get("grade") == "proven":
                yield f"  proven, by {_words.clean(', '.join(map(str, proven)))}"
                yield from (f"  {line}" for line in _others(row))
            else:
                yield from (f"  {line}" for line in _known(row))
        yield f"block {say(block, 'number')} {say(block, 'hash')} ({say(block, 'lane')}) of {say(told, 'chain')}"
        for row in rows(told, "uncounted"):
            yield f"{say(row, 'node')} ({say(row, 'group')}) does not count: {say(row, 'why')}"
        heard = {one.get("node") for row in (call, *rows(told, "slots")) for one in rows(row, "said")}
        for row in rows(told, "silent"):
            yield f"{say(row, 'node')} tells {'not all' if row.get('node') in heard else 'nothing'}: {say(row, 'why')}"

    def _values(self, call: Mapping[str, Any]) -> Iterator[str]:
        from tocsin.chain import abi, abitext  # noqa: PLC0415

        value = call.get("value")
        if call.get("reverted"):
            yield f"reverts: {say(call, 'reason')}" if call.get("reason") else "reverts"
        elif not isinstance(value, str):
            yield f"not known: {say(call, 'why') or say(call, 'grade')}"
        elif self.returns is None:
            yield _words.clean(value)
        else:
            try:
                values = abi.decode(self.returns, bytes.fromhex(value[2:]))
            except abi.AbiError as error:
                yield f"{value}"
                yield f"this is not {self.returns}: {error}"
                return
            for one, each in zip(self.returns.of, values if isinstance(values, tuple) else (), strict=True):
                yield _words.clean(abitext.with_power(one, each))


def _slot(text: str) -> str:
    """Return a slot as a word of its number or its hex."""
    from tocsin.chain import abi, abitext  # noqa: PLC0415

    value = abitext.read(abi.Simple("uint", 256), text, "--slot")
    return f"0x{value:064x}" if isinstance(value, int) else ""


def _known(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield how a value is known, and who says something else."""
    why = f": {say(row, 'why')}" if row.get("why") else ""
    yield f"{say(row, 'grade')}, {say(row, 'votes')} of {say(row, 'groups')} groups{why}"
    yield from _others(row)


def _others(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield who says something else than what is known."""
    value = "reverts" if row.get("reverted") else row.get("value")
    for one in rows(row, "said"):
        if one.get("value") != value:
            yield f"{say(one, 'node')} ({say(one, 'group')}) says {say(one, 'value')}"
