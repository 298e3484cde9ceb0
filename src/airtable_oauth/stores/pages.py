"""Walks through many keys of a store in few round trips."""

from collections.abc import AsyncIterator

PAGE = 200
"""Records that are read together: few enough to decrypt in a few milliseconds."""


async def pages(keys: AsyncIterator[str]) -> AsyncIterator[list[str]]:
    """Collect keys into lists of at most `PAGE`, none of them empty."""
    page: list[str] = []
    async for key in keys:
        page.append(key)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def is_wanted(ttl: float, skip_ttl: tuple[float, float] | None) -> bool:
    """Whether a scan yields a key with this remaining time to live. See `Store.scan`."""
    return skip_ttl is None or not skip_ttl[0] < ttl < skip_ttl[1]
