"""`[chain.reader]`: how values are read of which there are too many to ask every node for each."""

from typing import Annotated

from pydantic import Field

from tocsin.config.table import Table
from tocsin.config.values import Address
from tocsin.model.settings import READ_AUDIT_ONE_IN, ReaderSettings


class ReaderTable(Table):
    """How many values are read at one block: from one group, and some of them held against another one."""

    audit_one_in: Annotated[int, Field(ge=0, le=1_000_000)] = READ_AUDIT_ONE_IN
    """Of the values of each reading one in so many is asked of a second group as well; 1 for all, 0 for none."""
    multicall: Address | None = None
    """A deployed Multicall3, for nodes that take no code with a question; its code is checked at each of them."""

    def settings(self) -> ReaderSettings:
        """Return it as the core has it."""
        return ReaderSettings(audit_one_in=self.audit_one_in, multicall=self.multicall or "")
