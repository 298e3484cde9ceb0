"""Sessions of the service: who has the cookie may use the connection."""

import json
import secrets
from dataclasses import dataclass, replace
from typing import Any

from airtable_oauth import pkce
from airtable_oauth.pkce import RandomBytes
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.keys import storage_key

_TOUCH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in. Times are seconds since 1970 by the store's clock."""

    connection_id: str
    login_key: str
    """Where the login lies that it came from."""
    created_at: float
    touched_at: float

    def to_bytes(self) -> bytes:
        """As it lies in the store."""
        values = [self.connection_id, self.login_key, self.created_at, self.touched_at]
        return json.dumps({"v": 1, "session": values}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Session":
        """From where it lay."""
        values: list[Any] = json.loads(data)["session"]
        return cls(*values)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions in a store, under hashes of their ids. Only ids made here are ever found."""

    store: Store
    name: str
    clock: StoreClock
    idle_ttl: float
    """Seconds after its last use."""
    max_ttl: float
    """Seconds after its beginning."""
    random: RandomBytes = secrets.token_bytes

    async def create(self, *, connection_id: str, login_key: str) -> str:
        """Begin a session; its id, of 256 random bits."""
        session_id = pkce.base64url(self.random(32))
        now = await self.clock.now()
        session = Session(connection_id, login_key, created_at=now, touched_at=now)
        await self.store.put(self._key(session_id), session.to_bytes(), self._ttl(session, now))
        return session_id

    async def get(self, session_id: str) -> Session | None:
        """The session, if it is alive. It is alive longer for having been asked for."""
        entry = await self.store.get(self._key(session_id))
        if entry is None:
            return None
        session, now = Session.from_bytes(entry.value), await self.clock.now()
        if now >= session.created_at + self.max_ttl:
            return None
        if now - session.touched_at >= _TOUCH_SECONDS:
            touched = replace(session, touched_at=now)
            # Where that does not succeed, another request of this moment has done it.
            await self.store.replace(
                self._key(session_id),
                touched.to_bytes(),
                self._ttl(touched, now),
                version=entry.version,
            )
        return session

    async def end(self, session_id: str) -> None:
        """Forget it."""
        await self.store.pop(self._key(session_id))

    def _ttl(self, session: Session, now: float) -> float:
        return min(self.idle_ttl, session.created_at + self.max_ttl - now)

    def _key(self, session_id: str) -> str:
        return storage_key(self.name, "session", session_id)
