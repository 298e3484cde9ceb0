"""The format of stored records: JSON objects with a version and named fields.

Processes are updated one after another, so each must read the records of the previous and the next
release. Unknown fields are ignored. A change that older processes must not ignore gets a new
version, and they refuse the record.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from airtable_oauth.errors import UnknownRecordFormat


def decode(value: bytes, *, newest: int) -> Any:
    """Parse a stored JSON value with a version of at most `newest`.

    A value without a version predates versions and is accepted.

    Raises:
        UnknownRecordFormat: a newer version of this package wrote it.
    """
    stored = json.loads(value)
    if isinstance(stored, dict) and stored.get("v", newest) > newest:
        raise UnknownRecordFormat
    return stored


def known_fields(record: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored fields that the dataclass `record` has."""
    return {each.name: stored[each.name] for each in fields(record) if each.name in stored}
