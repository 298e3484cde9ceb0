"""The shared store: Redis 6.2 or newer, or Valkey."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import STORE_TIMEOUT, Entry, Turn

_CONNECTIONS = 50
_PAGE = 1000
"""Keys that a scan looks at in one round trip: a millisecond of the server's time."""

_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
_DISCARD = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_TURNS = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local most, window, seconds = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local is_read, stored = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '')
if not is_read or type(stored) ~= 'table' or #stored ~= most then stored = {} end
local turns = {}
for i = 1, most do turns[i] = tonumber(stored[i]) or 0 end
local function store()
  local text = {}
  for i = 1, most do text[i] = string.format('%.6f', turns[i]) end
  local ends = math.max(unpack(turns)) + window
  redis.call('SET', KEYS[1], '[' .. table.concat(text, ', ') .. ']',
    'PX', math.max(1, math.ceil((ends - now) * 1000)))
end
"""
_RESERVE_TURN = f"""{_TURNS}
local turn = math.max(now, turns[1] + window)
local is_reserved = turn - now <= seconds
if is_reserved then
  table.remove(turns, 1)
  table.insert(turns, turn)
  store()
end
return {{string.format('%.6f', turn - now), is_reserved and 1 or 0}}
"""
_DELAY_TURNS = f"""{_TURNS}
for i = 1, most do turns[i] = math.max(turns[i], now + seconds - window) end
store()
"""
_SCAN = """
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
if #ARGV == 3 then return page end
local wanted = {}
for _, key in ipairs(page[2]) do
  local ttl = redis.call('PTTL', key)
  if ttl <= tonumber(ARGV[4]) or ttl >= tonumber(ARGV[5]) then table.insert(wanted, key) end
end
return {page[1], wanted}
"""


class RedisStore:
    """Runs one command or one script per operation, and one script per page of a scan.

    Nothing is retried: if a reply to `GETDEL` or `SET NX` is lost, the second try would report
    failure although the first one succeeded.
    """

    def __init__(
        self, url: str, *, timeout: float = STORE_TIMEOUT, pool_size: int | None = None
    ) -> None:
        """`timeout`: seconds for one operation, including the wait for a connection."""
        self._timeout = timeout
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=pool_size or _CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        value = await self._answer(self._redis.get(key))
        return None if value is None else Entry(value, value)

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `Store.get_many`."""
        values = await self._answer(self._redis.mget(keys)) if keys else []
        return [None if value is None else Entry(value, value) for value in values]

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """See `Store.put`."""
        await self._answer(self._redis.set(key, value, px=_milliseconds(ttl)))

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See `Store.add`."""
        return bool(await self._answer(self._redis.set(key, value, px=_milliseconds(ttl), nx=True)))

    async def pop(self, key: str) -> bytes | None:
        """See `Store.pop`."""
        return cast("bytes | None", await self._answer(self._redis.getdel(key)))

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        """See `Store.replace`."""
        milliseconds = "" if ttl is None else _milliseconds(ttl)
        return bool(
            await self._answer(self._redis.eval(_REPLACE, 1, key, version, value, milliseconds))
        )

    async def discard(self, key: str, *, version: bytes) -> bool:
        """See `Store.discard`."""
        return bool(await self._answer(self._redis.eval(_DISCARD, 1, key, version)))

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        """See `Store.reserve_turn`."""
        wait, is_reserved = await self._answer(
            self._redis.eval(_RESERVE_TURN, 1, key, most, window, within)
        )
        return Turn(float(wait), bool(is_reserved))

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """See `Store.delay_turns`."""
        await self._answer(self._redis.eval(_DELAY_TURNS, 1, key, most, window, seconds))

    async def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        """See `Store.scan`."""
        skipped = [_milliseconds(seconds) for seconds in skip_ttl or ()]
        cursor = b"0"
        while True:
            cursor, keys = await self._answer(
                self._redis.eval(_SCAN, 0, cursor, f"{namespace}:*", _PAGE, *skipped)
            )
            for key in keys:
                yield key.decode()
            if cursor == b"0":
                return

    async def now(self) -> float:
        """See `Store.now`."""
        seconds, microseconds = await self._answer(self._redis.time())
        return float(seconds) + float(microseconds) / 1e6

    async def configuration(self) -> dict[str, str]:
        """Return the settings that decide whether the server loses records.

        These are the settings for eviction and persistence.

        Raises:
            StoreUnavailable: the server does not answer, or its `CONFIG` command is forbidden.
        """
        names = ("maxmemory-policy", "appendonly", "appendfsync", "save")
        answer = await self._answer(self._redis.config_get(*names))
        return {_text(name): _text(value) for name, value in answer.items()}

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _answer(self, command: Awaitable[Any] | Any) -> Any:
        """Await a reply within the timeout. redis-py drops a connection with an unread reply."""
        try:
            async with asyncio.timeout(self._timeout):
                return await command
        except (RedisError, OSError) as error:
            raise StoreUnavailable(cause=cause_of(error)) from error


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _milliseconds(ttl: float) -> int:
    return max(1, round(ttl * 1000))
