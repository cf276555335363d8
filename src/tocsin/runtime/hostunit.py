"""Asking systemd how units are, by `systemctl show`: no bus library, and a deadline."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from tocsin.model.host import UnitSample
from tocsin.wire.quirks import clean

PROPERTIES: Final = ("Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts")
_PATIENCE_S: Final = 5.0
_LARGEST: Final = 256 * 1024
_MOST_DIGITS: Final = 9


async def sample(
    units: tuple[str, ...], *, environ: Mapping[str, str] = os.environ, patience_s: float = _PATIENCE_S
) -> tuple[UnitSample, ...]:
    """Return a sample of each unit, in order. Never raises for what systemd does, or where there is none."""
    if not units:
        return ()
    program = shutil.which("systemctl", path=environ.get("PATH"))
    if program is None:
        return _unknown(units, "systemctl is not here")
    command = [program, "show", "--no-pager", f"--property={','.join(PROPERTIES)}", "--", *units]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": environ.get("PATH", ""), "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        return _unknown(units, f"systemctl cannot be run: {error.strerror}")
    try:
        async with asyncio.timeout(patience_s):
            out, err = await process.communicate()
    except TimeoutError:
        return _unknown(units, f"systemctl does not answer within {patience_s:g} s")
    finally:
        if process.returncode is None:
            # With all that it started: who else holds its output would be waited for.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        said = clean(err[:4096].decode(errors="replace")) or f"exit code {process.returncode}"
        return _unknown(units, f"systemctl says: {said}")
    return parse(units, out[:_LARGEST].decode(errors="replace"))


def parse(units: tuple[str, ...], text: str) -> tuple[UnitSample, ...]:
    """Read what `systemctl show` printed: blocks of key=value in the order of the units, an empty line between them."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    found = [block for block in blocks if block]
    if len(found) != len(units):
        return _unknown(units, f"systemctl told of {len(found)} units instead of {len(units)}")
    return tuple(_sample(unit, block) for unit, block in zip(units, found, strict=True))


def _sample(unit: str, block: Mapping[str, str]) -> UnitSample:
    if "ActiveState" not in block or "LoadState" not in block:
        return UnitSample(unit=unit, problem="systemctl does not tell its state")
    restarts = block.get("NRestarts", "")
    return UnitSample(
        unit=unit,
        load=clean(block["LoadState"])[:64],
        active=clean(block["ActiveState"])[:64],
        sub=clean(block.get("SubState", ""))[:64],
        result=clean(block.get("Result", ""))[:64],
        restarts=int(restarts) if restarts.isdecimal() and len(restarts) <= _MOST_DIGITS else 0,
    )


def _unknown(units: tuple[str, ...], problem: str) -> tuple[UnitSample, ...]:
    return tuple(UnitSample(unit=unit, problem=problem) for unit in units)
