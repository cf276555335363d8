"""A pool of three nodes that are one real anvil, driven through the real codec and the real engine in virtual time.

Blocks come when the pool says so, with the time of its clock; what nodes answer is anvil's own word.
"""

import http.client
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tests.support.anvil import Anvil
from tests.support.pool import settings_for
from tests.support.ticking import Ticking

from tocsin.model.alert import Alert
from tocsin.model.contract import ContractSettings, Watched
from tocsin.model.event import Commanded
from tocsin.testing import SimNode

CHAIN_ID = 31337
_SLOT_ROUNDS = 6
"""Polls of 2 s in a slot of 12 s."""


class AnvilPool(Ticking):
    """`Ticking` over one anvil; `mine` is what a test that deploys contracts needs of a node."""

    def __init__(self, anvil: Anvil, *contracts: ContractSettings) -> None:
        settings = settings_for(("self", "b", "c"))
        chain = replace(settings.chains[0], id=CHAIN_ID, contracts=contracts)
        super().__init__(replace(settings, chains=(chain,)))
        self.anvil = anvil
        self._place = urlsplit(anvil.url)
        self.answers = dict.fromkeys(self.nodes, self._post)

    def _post(self, _node: SimNode, request: bytes) -> bytes:
        link = http.client.HTTPConnection(self._place.hostname or "", self._place.port, timeout=30)
        try:
            link.request("POST", "/", request, {"content-type": "application/json"})
            return link.getresponse().read()
        finally:
            link.close()

    def watch(self, *contracts: ContractSettings) -> None:
        self.reload(replace(self.settings, chains=(replace(self.settings.chains[0], contracts=contracts),)))

    async def call(self, method: str, *params: Any) -> Any:
        return await self.anvil.call(method, *params)

    async def mine(self, blocks: int = 1) -> None:
        """Mine blocks, and let the pool poll through the slot of each."""
        for _ in range(blocks):
            head = int((await self.anvil.block())["timestamp"], 16)
            await self.anvil.mine(timestamp=max(head + 1, self.clock.wall_ns() // 10**9))
            self.rounds(_SLOT_ROUNDS)

    def seen(self, name: str) -> Watched:
        return self.state.chains["sim"].contracts.watched[name]

    def values(self, name: str) -> Mapping[str, str]:
        return {value: known.value for value, known in self.seen(name).latest.items()}

    def how(self, name: str) -> Mapping[str, str]:
        return {value: known.grade.value for value, known in self.seen(name).latest.items()}

    def about(self, detector: str) -> list[Alert]:
        return [alert for alert in self.alerts if alert.detector == detector]

    def ack(self, detector: str) -> None:
        [key] = {alert.fingerprint for alert in self.about(detector)}
        args = (("fingerprint", key), ("why", "planned"))
        self.take(Commanded(t_ns=self.now, wall_ns=self.clock.wall_ns(), verb="ack", by="alice", args=args))
