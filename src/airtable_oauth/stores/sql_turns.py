"""The statements of `SqlStore` for turns. `turns.py` does the same computation in Python.

`reserve` and `delay` each lock the newest version of a row and change it, in one statement.
PostgreSQL reads `now` before it waits for that lock. A turn may then be slightly earlier than one
that was reserved before it, but it is still a window later than the turn that it replaces.
"""

# ruff: noqa: S608 (the SQL consists of constants of this module; values are bound parameters)

from typing import NamedTuple

from sqlalchemy import TextClause, TextualSelect, text

TABLE = "airtable_oauth_entries"


class TurnStatements(NamedTuple):
    """Parameters of all statements: `key`, `empty` (a JSON array of zeros), `most`, `window`."""

    reserve: TextClause
    """Returns the seconds to wait, or no row if the turn is more than `within` seconds away."""
    ask: TextualSelect
    """Returns the seconds to wait, or no row if no turns are stored."""
    delay: TextClause
    """Delays the next turn until at least `seconds` from now."""


class _Sqlite:
    """SQLite expressions over `turns`, the text of a JSON array of times."""

    now = clock = "(julianday('now') - 2440587.5) * 86400.0"
    max = "max"
    text = f"CAST({TABLE}.value AS TEXT)"
    turns = (
        f"CASE WHEN {TABLE}.expires_at > {now} AND json_valid({text}) THEN"
        f" CASE json_array_length({text}) WHEN :most THEN {text} ELSE :empty END ELSE :empty END"
    )
    first = f"coalesce(json_extract({turns}, '$[0]'), 0)"
    last = f"json_extract({text}, '$[#-1]')"

    @staticmethod
    def push(turns: str, turn: str) -> str:
        return f"CAST(json_insert(json_remove({turns}, '$[0]'), '$[#]', {turn}) AS BLOB)"

    @staticmethod
    def delay(turns: str, earliest: str) -> str:
        later = f"max(CAST(coalesce(each.value, 0) AS REAL), {earliest})"
        return f"CAST((SELECT json_group_array({later}) FROM json_each({turns}) AS each) AS BLOB)"


class _Postgresql:
    """The same for PostgreSQL. `pattern` checks the text first: a cast of invalid text fails."""

    now = "CAST(extract(epoch FROM statement_timestamp()) AS float8)"
    clock = "CAST(extract(epoch FROM clock_timestamp()) AS float8)"
    max = "greatest"
    text = f"encode({TABLE}.value, 'escape')"
    number = r"\d{1,12}(\.\d+)?"
    pattern = rf"'^\[{number}(, ?{number}){{' || (:most - 1) || '}}\]$'"
    turns = (
        f"CASE WHEN {TABLE}.expires_at > {now} AND {text} ~ ({pattern}) THEN {text} ELSE :empty END"
    )
    array = "CAST(string_to_array(btrim({}, '[]'), ',') AS float8[])"
    first = f"({array.format(turns)})[1]"
    last = f"({array.format(text)})[:most]"

    @classmethod
    def push(cls, turns: str, turn: str) -> str:
        return cls.stored(f"({cls.array.format(turns)})[2:] || {turn}")

    @classmethod
    def delay(cls, turns: str, earliest: str) -> str:
        each = f"unnest({cls.array.format(turns)}) WITH ORDINALITY AS each(turn, number)"
        later = f"SELECT greatest(turn, {earliest}) FROM {each} ORDER BY number"
        return cls.stored(f"ARRAY({later})")

    @staticmethod
    def stored(array: str) -> str:
        return f"convert_to('[' || array_to_string({array}, ', ') || ']', 'UTF8')"


def _statements(sql: type[_Sqlite | _Postgresql]) -> TurnStatements:
    turn = f"{sql.max}({sql.now}, {sql.first} + :window)"
    earliest = f"{sql.now} + :seconds - :window"
    reserve = f"""
        INSERT INTO {TABLE} (key, value, expires_at)
        VALUES (:key, {sql.push(":empty", sql.now)}, {sql.now} + :window)
        ON CONFLICT (key) DO UPDATE SET value = {sql.push(sql.turns, turn)},
            expires_at = {sql.max}({TABLE}.expires_at, {turn} + :window)
        WHERE {turn} - {sql.now} <= :within
        RETURNING {sql.last} - {sql.clock}"""
    ask = f"SELECT {turn} - {sql.clock} FROM {TABLE} WHERE key = :key"
    delay = f"""
        INSERT INTO {TABLE} (key, value, expires_at)
        VALUES (:key, {sql.delay(":empty", earliest)}, {sql.now} + :seconds)
        ON CONFLICT (key) DO UPDATE SET value = {sql.delay(sql.turns, earliest)},
            expires_at = {sql.max}({TABLE}.expires_at, {sql.now} + :seconds)"""
    return TurnStatements(text(reserve), text(ask).columns(), text(delay))


TURNS = {"sqlite": _statements(_Sqlite), "postgresql": _statements(_Postgresql)}
