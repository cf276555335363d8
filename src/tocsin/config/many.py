"""Which tables of a configuration there may be several of."""

from typing import Final

MANY: Final = frozenset(
    (
        *((name,) for name in ("chain", "provider", "price_gateway", "silence", "maintenance", "consumer", "notify")),
        *((name,) for name in ("market", "account")),
        *(("chain", name) for name in ("node", "beacon", "contract", "feed", "index")),
        *(("chain", "contract", name) for name in ("role", "balance", "allowance")),
        ("chain", "index", "event"),
    )
)
"""By their paths without indices: their brackets are double, `[[chain.node]]`."""
