"""Defects of our own in asking a node: each is a fault that blames nobody, and is logged once."""

import logging

from tocsin.model.observation import Fault
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import defect

log = logging.getLogger(__name__)


class Defects:
    """What nothing expected while one node was asked."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._who = f"{endpoint.chain}/{endpoint.node}"
        self._last: Fault | None = None

    def fault(self, error: Exception) -> Fault:
        """Make a fault of an exception, and log it when it is another than the last one: it will come at every poll."""
        while isinstance(error, ExceptionGroup):  # what was asked side by side
            error = error.exceptions[0]
        fault = defect(error)
        if fault != self._last:
            self._last = fault
            log.error("%s: %s", self._who, fault.detail, exc_info=error)
        return fault
