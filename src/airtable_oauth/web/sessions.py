"""Sessions of the service: who has the cookie may use the connection."""

import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.errors import Unavailable
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.formats import decode, known_fields
from airtable_oauth.stores.keys import storage_key

CONNECTION_GRACE = 3600.0
"""How many seconds a connection outlives its sessions: it is prolonged once an hour at most, and no
clock that jumps can leave it less."""

_FORMAT = 1
_TOUCH_SECONDS = 60.0

Prolong = Callable[[str, float], Awaitable[None]]
"""Keeps a connection, by its id, until this time at least."""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in. Times are seconds since 1970 by the store's clock."""

    connection_id: str
    login_key: str
    """Where the login is stored that it came from."""
    created_at: float
    touched_at: float
    connection_until: float = 0.0
    """Until when the connection was last prolonged for this session; 0 if it was not."""

    def to_bytes(self) -> bytes:
        """Serialise."""
        return json.dumps({"v": _FORMAT, **asdict(self)}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Session":
        """Deserialise. Fields that this version does not know are ignored.

        Raises:
            UnknownRecordFormat: a newer version of this package wrote it.
        """
        stored = decode(data, newest=_FORMAT)
        if "session" in stored:  # written before the fields had names
            return cls(*stored["session"])
        return cls(**known_fields(cls, stored))


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions in a store, under hashes of their ids. Only ids made here are ever found."""

    store: Store
    name: str
    clock: StoreClock
    prolong: Prolong
    """What keeps a session's connection alive while the session is in use."""
    idle_ttl: float
    """Seconds after its last use."""
    max_ttl: float
    """Seconds after its beginning."""
    random: RandomBytes = secrets.token_bytes

    async def create(self, *, connection_id: str, login_key: str) -> str:
        """Begin a session; its id, of 256 random bits.

        Raises:
            Unavailable: the store does not answer. If it stored the session all the same, the
                session ends unused: its id is unknown.
        """
        session_id = base64url(self.random(32))
        now = await self.clock.now()
        session = Session(connection_id, login_key, created_at=now, touched_at=now)
        ttl = self._end(session) - now
        await self.store.put(self._key(session_id), session.to_bytes(), ttl)
        return session_id

    async def get(self, session_id: str) -> Session | None:
        """The session, if it is alive. Asking for it prolongs it, and its connection.

        Raises:
            Unavailable: the store does not answer, or a newer version wrote the session.
        """
        entry = await self.store.get(self._key(session_id))
        if entry is None:
            return None
        session, now = Session.from_bytes(entry.value), await self.clock.now()
        if now >= self._end(session):
            return None
        if now - session.touched_at >= min(_TOUCH_SECONDS, self.idle_ttl / 10):
            await self._touch(session_id, replace(session, touched_at=now), entry.version)
        return session

    async def end(self, session_id: str) -> None:
        """Forget it."""
        await self.store.pop(self._key(session_id))

    async def _touch(self, session_id: str, touched: Session, version: bytes) -> None:
        """Store that the session is in use, and prolong its connection if that is due.

        A store that fails here does not fail the request: the next one tries again. A session
        that changed meanwhile was touched by another request.
        """
        end = self._end(touched)
        with suppress(Unavailable):
            if end > touched.connection_until:
                until = end + CONNECTION_GRACE
                await self.prolong(touched.connection_id, until)
                touched = replace(touched, connection_until=until)
            ttl = end - touched.touched_at
            await self.store.replace(
                self._key(session_id), touched.to_bytes(), ttl, version=version
            )

    def _end(self, session: Session) -> float:
        """When a session ends if it is not used again."""
        return min(session.touched_at + self.idle_ttl, session.created_at + self.max_ttl)

    def _key(self, session_id: str) -> str:
        return storage_key(self.name, "session", session_id)
