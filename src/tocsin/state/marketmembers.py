"""Whom a log index names, as it is at this moment: of its finalized part and of the blocks above it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tocsin.chain.logrules import rules_of
from tocsin.errors import StoreError
from tocsin.model.index import IndexSettings
from tocsin.state.indexfile import IndexFile
from tocsin.state.indexlayout import Origin
from tocsin.state.marketfollow import Members

_MOST_TOLD = 300


def members_in(path: Path, settings: IndexSettings, origin: Origin) -> Members | str:
    """Return the accounts of an index, or why they are not known yet. Never raises."""
    try:
        with closing(IndexFile(path, rules_of(settings), salt=None, origin=origin)) as file:
            through, tail, accounts = file.through, file.tail(), file.accounts(with_tail=True)
    except (StoreError, sqlite3.Error) as error:
        return str(error)[:_MOST_TOLD]
    blocks = [block for block in (through, *(one.block for one in tail)) if block.hash]
    if not through.hash:
        return f"its log index is complete to block {through.number} only"
    return Members(
        accounts=frozenset(accounts),
        hashes=frozenset(block.hash for block in blocks),
        lowest=min(block.number for block in blocks),
    )
