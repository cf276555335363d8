"""Several things at once, and one error out of them."""

import asyncio
from collections.abc import Coroutine, Sequence


async def all_of(calls: Sequence[Coroutine[object, object, None]]) -> None:
    """Run them all to their end. The first that fails ends the others, and its error is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call)
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group that is not itself a group."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
