"""Reads many keys in pages, so that a walk through a store takes few round trips."""

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
