"""Work of some milliseconds and more that is done beside the event loop, one piece at a time.

One thread for all indexes: Python runs one at a time anyway, and the loop waits for its turn once for each busy one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

_THREAD: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="logs")

P = ParamSpec("P")
T = TypeVar("T")


async def aside(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a call returns. It must not wait for anything."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, lambda: call(*args, **kwargs))
