"""Create, update, upsert and delete records by Airtable's rules, ten at a time."""

import base64
import secrets
import string
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airtable_oauth.simulator.attachments import Attachment
from airtable_oauth.simulator.sample import Field, Record, Table

_MOST = 10
_MOST_MERGED = 3
_MOST_RECORDS = 50_000
"""The most records of a table."""
_MOST_FILE_BYTES = 5 * 1024 * 1024
_ALPHABET = string.ascii_letters + string.digits
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("number", "percent", "currency", "duration", "rating"), (int, float)),
    **dict.fromkeys(("singleLineText", "multilineText", "email", "url", "phoneNumber"), (str,)),
    **dict.fromkeys(("date", "dateTime", "singleSelect"), (str,)),
    **dict.fromkeys(("multipleSelects", "multipleRecordLinks", "multipleAttachments"), (list,)),
    "checkbox": (bool,),
}

_COMPUTED = (
    *("formula", "rollup", "count", "multipleLookupValues", "autoNumber", "button"),
    *("createdTime", "createdBy", "lastModifiedTime", "lastModifiedBy", "externalSyncSource"),
)


class WriteError(Exception):
    """A refused change: 422 with Airtable's error type `kind`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def create(table: Table, body: Any) -> list[Record]:
    """Create records from `{"records": [{"fields"}]}` or `{"fields"}`: all of them, or none."""
    made = [Record(_new_id(), _now(), _filled(_cells(table, item, body))) for item in _items(body)]
    if len(table.records) + len(made) > _MOST_RECORDS:
        message = f"A table can hold at most {_MOST_RECORDS} records."
        raise WriteError("INVALID_REQUEST_UNKNOWN", message)
    table.records.extend(made)
    return made


def update(table: Table, body: Any, *, record_id: str | None, clears: bool) -> list[Record]:
    """Change records. `clears` empties the cells that the body does not name (`PUT`)."""
    if isinstance(body, dict) and "performUpsert" in body:
        return _upsert(table, body)
    items = _items(body)
    records = _find_all(table, [record_id or item.get("id") for item in items])
    changes = [_cells(table, item, body, null=True) for item in items]
    for record, cells in zip(records, changes, strict=True):
        _change(record, cells, clears=clears)
    return records


def delete(table: Table, ids: Sequence[str]) -> list[str]:
    """Delete records. Returns their ids."""
    if not 1 <= len(ids) <= _MOST:
        raise WriteError("INVALID_REQUEST_UNKNOWN", "Specify one to ten records.")
    for record in _find_all(table, ids):
        table.records.remove(record)
    return list(ids)


def uploaded(table: Table, record: Record, field: str, body: Any) -> Attachment:
    """Add a file from `{"contentType", "file", "filename"}` to a cell and return it."""
    column = next((each for each in table.fields if field in (each.id, each.name)), None)
    if column is None:
        raise WriteError("UNKNOWN_FIELD_NAME", f"Unknown field name: {field!r}")
    if column.type != "multipleAttachments":
        message = f"Field {column.name!r} does not accept files."
        raise WriteError("INVALID_VALUE_FOR_COLUMN", message)
    parts = body if isinstance(body, dict) else {}
    kind, encoded, name = (parts.get(each) for each in ("contentType", "file", "filename"))
    if not (isinstance(kind, str) and isinstance(encoded, str) and isinstance(name, str) and name):
        raise WriteError(
            "INVALID_REQUEST_MISSING_FIELDS", "Send contentType, file and filename as text."
        )
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise WriteError("INVALID_REQUEST_UNKNOWN", "The file must be base64.") from None
    if len(data) > _MOST_FILE_BYTES:
        raise WriteError("INVALID_REQUEST_UNKNOWN", "A file must not exceed 5 MB.")
    attachment = Attachment(_new_id("att"), name, kind, data)
    record.cells[column.name] = [*record.cells.get(column.name, []), attachment]
    return attachment


def _upsert(table: Table, body: Any) -> list[Record]:
    merge_on = _merge_on(table, body["performUpsert"])
    upserted = []
    for item in _items(body):
        cells = _cells(table, item, body, null=True)
        same = [
            record
            for record in table.records
            if all(record.cells.get(name) == cells.get(name) for name in merge_on)
        ]
        if len(same) > 1:
            raise WriteError("INVALID_REQUEST_UNKNOWN", "More than one record matches.")
        if same:
            _change(same[0], cells, clears=False)
            upserted.append(same[0])
        else:
            fields = _filled(cells)
            upserted += create(table, {"fields": fields, "typecast": body.get("typecast")})
    return upserted


def _merge_on(table: Table, upsert: Any) -> list[str]:
    """The fields to merge on: an upsert changes the record that has the same values."""
    wanted = upsert.get("fieldsToMergeOn") if isinstance(upsert, dict) else None
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= _MOST_MERGED:
        message = "performUpsert.fieldsToMergeOn must be a list of one to three fields."
        raise WriteError("INVALID_REQUEST_UNKNOWN", message)
    names = [name for name in (_field_name(table, each) for each in wanted) if name is not None]
    if len(names) < len(wanted):
        raise WriteError("UNKNOWN_FIELD_NAME", "Unknown field name in fieldsToMergeOn.")
    return names


def _field_name(table: Table, name_or_id: Any) -> str | None:
    found = (field.name for field in table.fields if name_or_id in (field.name, field.id))
    return next(found, None)


def _items(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, dict):
        raise WriteError("INVALID_REQUEST_MISSING_FIELDS", "The body must be an object.")
    items = body.get("records", [body])
    if not isinstance(items, list) or not 1 <= len(items) <= _MOST:
        raise WriteError("INVALID_REQUEST_UNKNOWN", "Send one to ten records.")
    if not all(isinstance(item, dict) and isinstance(item.get("fields"), dict) for item in items):
        raise WriteError("INVALID_REQUEST_MISSING_FIELDS", "Could not find the field 'fields'.")
    return items


def _cells(
    table: Table, item: dict[str, Any], body: dict[str, Any], *, null: bool = False
) -> dict[str, Any]:
    by_name = {column.name: column for column in table.fields} | {
        column.id: column for column in table.fields
    }
    cells: dict[str, Any] = {}
    for name, value in item["fields"].items():
        if name not in by_name:
            raise WriteError("UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')
        column = by_name[name]
        if column.type in _COMPUTED:
            message = f'Field "{column.name}" cannot accept a value because the field is computed'
            raise WriteError("INVALID_VALUE_FOR_COLUMN", message)
        wanted = _TYPES.get(column.type, (object,))
        is_right = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
        if not (is_right or body.get("typecast") or (value is None and null)):
            message = f'Field "{column.name}" cannot accept the provided value'
            raise WriteError("INVALID_VALUE_FOR_COLUMN", message)
        if not body.get("typecast"):
            _refuse_new_options(column, value)
        cells[column.name] = None if _is_empty(value) else value
    return cells


def _refuse_new_options(column: Field, value: Any) -> None:
    """Refuse an option that a select field does not have. With `typecast` it would be added."""
    if column.type not in ("singleSelect", "multipleSelects") or value is None:
        return
    known = [choice["name"] for choice in (column.options or {}).get("choices", ())]
    for name in value if isinstance(value, list) else [value]:
        if name not in known:
            message = f'Insufficient permissions to create new select option ""{name}""'
            raise WriteError("INVALID_MULTIPLE_CHOICE_OPTIONS", message)


def _is_empty(value: Any) -> bool:
    """Whether the value empties a cell. Zero does not."""
    return value is None or value is False or value in ("", [])


def _change(record: Record, cells: dict[str, Any], *, clears: bool) -> None:
    record.cells = _filled(cells if clears else record.cells | cells)


def _filled(cells: dict[str, Any]) -> dict[str, Any]:
    """The cells that have a value: an answer leaves out the others."""
    return {name: value for name, value in cells.items() if value is not None}


def _find_all(table: Table, ids: Sequence[Any]) -> list[Record]:
    records = [_find(table, each) for each in ids]
    if len({record.id for record in records}) < len(records):
        raise WriteError("INVALID_RECORDS", "A request can name each record only once.")
    return records


def _find(table: Table, record_id: Any) -> Record:
    for record in table.records:
        if record.id == record_id:
            return record
    raise WriteError("ROW_DOES_NOT_EXIST", "Record ID does not exist in this table.")


def _new_id(prefix: str = "rec") -> str:
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(14))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
