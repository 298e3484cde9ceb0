"""Which records and cells a listing has, and in which order, by Airtable's parameters.

Of formulas, only those that name records are evaluated: `RECORD_ID()="rec…"` and `OR(…)` of these.
"""

import re
from collections.abc import Sequence
from functools import partial

from starlette.datastructures import QueryParams

from airtable_oauth.simulator.sample import Field, Record, Table

_MAX_PAGE = 100
_MOST_DIGITS = 18
_RECORD = r"""RECORD_ID\(\s*\)\s*=\s*(?:"(?:\w+)"|'(?:\w+)')"""
_SAME_RECORD = re.compile(_RECORD, re.IGNORECASE)
_ANY_RECORD = re.compile(rf"OR\(\s*{_RECORD}(?:\s*,\s*{_RECORD})*\s*\)", re.IGNORECASE)
_ID = re.compile(r"""["'](\w+)["']""")


class ListError(Exception):
    """A refused listing: 422 with Airtable's error type `kind`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def listed(table: Table, parameters: QueryParams) -> list[Record]:
    """The records that pass the filter, sorted, at most `maxRecords`."""
    records = _filtered(table.records, parameters.get("filterByFormula"))
    for field, descending in reversed(_sort(table, parameters)):
        records.sort(key=partial(_order, field), reverse=descending)
    limit = parameters.get("maxRecords", "")
    return records[: int(limit)] if is_number(limit) else records


def page_size(parameters: QueryParams) -> int:
    """How many records a page has: `pageSize`, by default 100."""
    text = parameters.get("pageSize", str(_MAX_PAGE))
    if not is_number(text) or not 1 <= int(text) <= _MAX_PAGE:
        raise ListError("INVALID_REQUEST_UNKNOWN", "pageSize must be from 1 to 100.")
    return int(text)


def shown_fields(table: Table, parameters: QueryParams) -> set[str]:
    """The names of the fields in the answer: those in `fields`, by default all."""
    wanted = parameters.getlist("fields[]")
    return {_field(table, each).name for each in wanted or [each.name for each in table.fields]}


def is_number(text: str) -> bool:
    """Whether the text is a number of at most 18 digits: `int` refuses thousands of digits."""
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _filtered(records: Sequence[Record], formula: str | None) -> list[Record]:
    if not formula:
        return list(records)
    if not (_SAME_RECORD.fullmatch(formula.strip()) or _ANY_RECORD.fullmatch(formula.strip())):
        message = 'The simulator evaluates only RECORD_ID()="rec…", and OR(…) of these.'
        raise ListError("INVALID_FILTER_BY_FORMULA", message)
    wanted = set(_ID.findall(formula))
    return [record for record in records if record.id in wanted]


def _sort(table: Table, parameters: QueryParams) -> list[tuple[Field, bool]]:
    """The fields to sort by, the most important first, and whether each is descending."""
    found: list[tuple[Field, bool]] = []
    while (wanted := parameters.get(f"sort[{len(found)}][field]")) is not None:
        direction = parameters.get(f"sort[{len(found)}][direction]", "asc")
        if direction not in ("asc", "desc"):
            raise ListError("INVALID_REQUEST_UNKNOWN", "direction must be asc or desc.")
        found.append((_field(table, wanted), direction == "desc"))
    return found


def _field(table: Table, name_or_id: str) -> Field:
    for field in table.fields:
        if name_or_id in (field.name, field.id):
            return field
    raise ListError("UNKNOWN_FIELD_NAME", f"Unknown field name: {name_or_id!r}")


def _order(field: Field, record: Record) -> tuple[int, float, str]:
    cell = record.cells.get(field.name)
    if cell is None:
        return (0, 0.0, "")
    return (1, float(cell), "") if isinstance(cell, int | float) else (2, 0.0, str(cell))
