"""Prices as people write them: `WETH=-20%`, a grid `WETH=-50%..0%/5%`, or a file of scenarios."""

import csv
import io
import itertools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tocsin.errors import UsageError

MOST: Final = 2_000
_WHOLE: Final = 10_000
_MOST_BYTES: Final = 60_000
"""Of a request: the control socket takes 64 kB."""
_PERCENT: Final = re.compile(r"([+-]?)([0-9]{1,5})(?:\.([0-9]{1,2}))? ?%")
_EXAMPLES: Final = "WETH=-20%, WETH=-50%..0%/5% or *=-10%"


def scenarios(shocks: Sequence[str], files: Sequence[Path]) -> list[dict[str, int]]:
    """Return scenarios: every combination of what is given for different assets, then those of the files.

    Raises UsageError with what is wrong, and where.
    """
    grids: dict[str, list[int]] = {}
    for text in shocks:
        asset, _, moves = text.partition("=")
        if not asset or not moves:
            raise UsageError(f"--shock {text[:80]!r}: write an asset and by how much its price moves, as {_EXAMPLES}")
        if asset in grids:
            raise UsageError(f"--shock {text[:80]!r}: {asset} is given twice; a grid has several moves of one asset")
        grids[asset] = _grid(moves, f"--shock {text[:80]!r}")
    count = 1
    for moves_ in grids.values():
        count *= len(moves_)
    _bounded(count, "these grids make")
    found = [dict(zip(grids, each, strict=True)) for each in itertools.product(*grids.values())] if grids else []
    for path in files:
        found += _file(path)
    if not found:
        raise UsageError(f"say which prices move: --shock {_EXAMPLES}, or --scenarios FILE")
    _bounded(len(found), "there are")
    return found


def request(found: Sequence[Mapping[str, int]]) -> dict[str, object]:
    """Return scenarios as the daemon is asked: assets once, and a row of basis points each. Raises UsageError."""
    assets = list(dict.fromkeys(asset for one in found for asset in one))
    asked: dict[str, object] = {"assets": assets, "moves": [[one.get(asset) for asset in assets] for one in found]}
    if len(json.dumps(asked)) > _MOST_BYTES:
        raise UsageError(
            f"{len(found)} scenarios of {len(assets)} assets are too many for one request: run them in parts"
        )
    return asked


def percent(text: str, where: str) -> int:
    """Return per cent, to the hundredth, as basis points. Raises UsageError."""
    found = _PERCENT.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{where}: {text[:40]!r} is no per cent to the hundredth, such as -12.5%")
    sign, whole, rest = found.groups()
    points = int(whole) * 100 + int((rest or "0").ljust(2, "0"))
    points = -points if sign == "-" else points
    if points < -_WHOLE:
        raise UsageError(f"{where}: no price falls by more than 100%")
    return points


def _grid(text: str, where: str) -> list[int]:
    """Return one move, or those from one to another in steps, both included."""
    ends, has_step, step = text.partition("/")
    first, is_range, last = ends.partition("..")
    if not is_range:
        if has_step:
            raise UsageError(f"{where}: a step goes with a range, as -50%..0%/5%")
        return [percent(first, where)]
    low, high = sorted((percent(first, where), percent(last, where)))
    by = abs(percent(step, where)) if has_step else 100
    if by == 0:
        raise UsageError(f"{where}: a step is more than 0%")
    _bounded((high - low) // by + 1, f"{where} makes")
    return list(range(low, high + 1, by))


def _bounded(count: int, what: str) -> None:
    if count > MOST:
        raise UsageError(f"{what} {count} scenarios; {MOST} can be run at once")


def _file(path: Path) -> list[dict[str, int]]:
    """Read scenarios: JSON, a list of objects; TOML, tables `[[scenario]]`; CSV, assets in the first line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    rows: Any
    try:
        if path.suffix == ".csv":
            rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(io.StringIO(text))]
        elif path.suffix == ".toml":
            rows = tomllib.loads(text).get("scenario")
        else:
            rows = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"{path}: no scenarios; write a list of objects, {{asset: per cent}}")
    _bounded(len(rows), f"{path} has")
    return [_row(row, f"{path}: scenario {at}") for at, row in enumerate(rows)]


def _row(row: Any, where: str) -> dict[str, int]:
    if not isinstance(row, Mapping) or not row:
        raise UsageError(f'{where}: no object of assets, as {{"WETH": "-20%"}}')
    found = {}
    for asset, move in row.items():
        if not isinstance(asset, str) or not isinstance(move, str):
            raise UsageError(f'{where}: {asset}: by how much a price moves is text, such as "-20%"')
        found[asset] = percent(move, f"{where}: {asset}")
    return found
