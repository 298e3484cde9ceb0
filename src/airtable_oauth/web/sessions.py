"""Sessions of browsers. A session's cookie authorises the use of one connection."""

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
"""How many seconds a connection outlives its session. So it has to be prolonged only once an hour,
and a clock that jumps cannot end it before its session."""

_FORMAT = 1
_TOUCH_SECONDS = 60.0

Prolong = Callable[[str, float], Awaitable[None]]
"""Keeps the connection with this id at least until this time."""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in. Times are seconds since 1970 by the store's clock."""

    connection_id: str
    login_key: str
    """The key under which its login is stored."""
    created_at: float
    touched_at: float
    connection_until: float = 0.0
    """The time until which this session has prolonged its connection; 0 if it has not yet."""

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
    """Sessions in a store, under hashes of their ids."""

    store: Store
    name: str
    clock: StoreClock
    prolong: Prolong
    """Called while a session is in use, to keep its connection."""
    idle_ttl: float
    """A session ends this many seconds after its last use."""
    max_ttl: float
    """A session ends this many seconds after its creation, in any case."""
    random: RandomBytes = secrets.token_bytes

    async def create(self, *, connection_id: str, login_key: str) -> str:
        """Create a session. Returns its id, of 256 random bits.

        Raises:
            Unavailable: the store does not answer. If it stored the session all the same, the
                session expires without having been used.
        """
        session_id = base64url(self.random(32))
        now = await self.clock.now()
        session = Session(connection_id, login_key, created_at=now, touched_at=now)
        ttl = self.ends_at(session) - now
        await self.store.put(self._key(session_id), session.to_bytes(), ttl)
        return session_id

    async def get(self, session_id: str) -> Session | None:
        """The session with this id, if it has not ended. Counts as a use of the session.

        Raises:
            Unavailable: the store does not answer, or a newer version wrote the session.
        """
        entry = await self.store.get(self._key(session_id))
        if entry is None:
            return None
        session, now = Session.from_bytes(entry.value), await self.clock.now()
        if now >= self.ends_at(session):
            return None
        if now - session.touched_at < min(_TOUCH_SECONDS, self.idle_ttl / 10):
            return session
        touched = replace(session, touched_at=now)
        return touched if await self._touch(session_id, touched, entry.version) else session

    async def end(self, session_id: str) -> None:
        """End a session."""
        await self.store.pop(self._key(session_id))

    def ends_at(self, session: Session) -> float:
        """The time at which a session ends if it is not used again, in seconds since 1970."""
        return min(session.touched_at + self.idle_ttl, session.created_at + self.max_ttl)

    async def _touch(self, session_id: str, touched: Session, version: bytes) -> bool:
        """Store that the session is in use, and prolong its connection if necessary.

        Returns False if the store fails: the request goes on, and the next one tries again. If the
        session has changed meanwhile, another request has done this.
        """
        end = self.ends_at(touched)
        with suppress(Unavailable):
            if end > touched.connection_until:
                until = end + CONNECTION_GRACE
                await self.prolong(touched.connection_id, until)
                touched = replace(touched, connection_until=until)
            ttl = end - touched.touched_at
            await self.store.replace(
                self._key(session_id), touched.to_bytes(), ttl, version=version
            )
            return True
        return False

    def _key(self, session_id: str) -> str:
        return storage_key(self.name, "session", session_id)
