"""Re-encrypts every record with the first key, and verifies the result."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from airtable_oauth.errors import UnreadableRecord
from airtable_oauth.stores import Entry
from airtable_oauth.stores.encrypted import EncryptedStore, Resealed
from airtable_oauth.stores.pages import pages

_PASSES = 5
_PASS_PAUSE = 1.0
_AT_ONCE = 8
"""Writes that run concurrently."""
_NAMED = 10


@dataclass(slots=True)
class Resealing:
    """Progress of re-encrypting the records of one integration."""

    seen: int = 0
    """Records that the first pass found. Redis's scan may find one twice, which counts twice."""
    resealed: int = 0
    """Re-encrypted with the first key by this run, in any pass."""
    left_alone: int = 0
    """Already encrypted with the first key when the first pass read them."""
    changed: int = 0
    """Changed or removed by another process during a pass; the next pass reads them again."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Number of records that the last pass could not decrypt, by error code."""
    unreadable_keys: list[str] = field(default_factory=list)
    """Storage keys of the first ten of them. They contain hashes, so they may be shown."""
    verified: bool = False
    """Whether a whole pass found nothing left to do."""

    @property
    def complete(self) -> bool:
        """Whether records were seen and all of them are encrypted with the first key."""
        return self.seen > 0 and self.verified and not self.unreadable


async def reseal_all(
    store: EncryptedStore,
    namespace: str,
    *,
    progress: Callable[[Resealing], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Resealing:
    """Encrypt every record below `namespace:` with the first key, while others use the store.

    Repeats until a whole pass finds nothing left to do, so it also finds records written meanwhile
    with another key. Gives up after five passes: a process is then still writing with another key.
    `progress` is called after each page.

    Raises:
        StoreUnavailable: the store does not answer. Run it again to do the rest.
    """
    run = Resealing()
    for number in range(_PASSES):
        if number:
            await sleep(_PASS_PAUSE)
        run.unreadable.clear()
        run.unreadable_keys.clear()
        before = run.resealed + run.changed
        async for keys in pages(store.scan(namespace)):
            outcomes = await _reseal_page(store, keys, run)
            _count(run, outcomes, first=number == 0)
            progress(run)
        if run.resealed + run.changed == before:
            run.verified = True
            break
    return run


async def _reseal_page(
    store: EncryptedStore, keys: list[str], run: Resealing
) -> list[Resealed | None]:
    """Re-encrypt a page of records: one read, and then a few writes at a time."""
    entries = list(zip(keys, await store.get_encrypted(keys), strict=True))
    outcomes: list[Resealed | None] = []
    for start in range(0, len(entries), _AT_ONCE):
        batch = entries[start : start + _AT_ONCE]
        outcomes += await asyncio.gather(*(_reseal(store, *each, run) for each in batch))
    return outcomes


async def _reseal(
    store: EncryptedStore, key: str, entry: Entry | None, run: Resealing
) -> Resealed | None:
    """Re-encrypt one record. Returns None if it cannot be decrypted."""
    try:
        return await store.reseal(key, entry)
    except UnreadableRecord as error:
        run.unreadable[error.error] += 1
        if len(run.unreadable_keys) < _NAMED:
            run.unreadable_keys.append(key)
        return None


def _count(run: Resealing, outcomes: list[Resealed | None], *, first: bool) -> None:
    run.resealed += outcomes.count(Resealed.NOW)
    run.changed += outcomes.count(Resealed.CHANGED)
    if first:
        run.seen += len(outcomes) - outcomes.count(Resealed.ABSENT)
        run.left_alone += outcomes.count(Resealed.BEFORE)
