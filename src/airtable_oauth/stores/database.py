"""The table of `SqlStore`, and the interface through which `SqlStore` uses a database."""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    Executable,
    Index,
    LargeBinary,
    MetaData,
    ScalarSelect,
    String,
    Table,
    collate,
)

from airtable_oauth.stores.sql_turns import TABLE, TurnStatements

CREATE_SECONDS = 60.0
"""For creating the table and its indexes. An index may have to be built over a large table."""
CLOSE_SECONDS = 5.0
"""How long `close` waits for work that is still running."""

entries = Table(
    TABLE,
    MetaData(),
    Column("key", String(255), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False),
)
by_time = Index("airtable_oauth_entries_by_time", entries.c.expires_at)
bytewise_key = collate(entries.c.key, "C")
by_key = Index("airtable_oauth_entries_by_key", bytewise_key)
"""For ranges of keys. PostgreSQL orders the primary key by the database's collation, which may
ignore punctuation at first: `a:b` is then not between `a:` and `a;`."""


class Database(Protocol):
    """Runs statements, each in its own transaction."""

    insert: Any
    """The dialect's `insert`, which has `on_conflict_do_update`."""
    now: ColumnElement[float]
    """Its clock in seconds since 1970. Constant within a statement, so an index can be used."""
    ordered_key: ColumnElement[str]
    """The key, in the order of its bytes."""
    turns: TurnStatements

    def is_in(self, keys: ScalarSelect[str]) -> ColumnElement[bool]:
        """Whether an entry's key is one of those that the subquery returns."""
        ...

    async def create(self) -> None:
        """Create the table and its indexes, unless they exist."""
        ...

    async def execute(self, statement: Executable) -> Sequence[Any]:
        """Run a statement, and return its rows.

        If the caller is cancelled, the statement may still take effect.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
