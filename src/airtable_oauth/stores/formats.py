"""How records are written: JSON objects with a version and named fields.

Processes are updated one after the other, so each reads what the version before and after it wrote.
A field that a process does not know is ignored. A change that older processes must not ignore gets
a new version, and they refuse the record.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from airtable_oauth.errors import UnknownRecordFormat


def decode(value: bytes, *, newest: int) -> Any:
    """Parse a stored JSON value, whose version may be `newest` at most.

    A value without a version comes from before there were any, and is returned as it is.

    Raises:
        UnknownRecordFormat: a newer version of this package wrote it.
    """
    stored = json.loads(value)
    if isinstance(stored, dict) and stored.get("v", newest) > newest:
        raise UnknownRecordFormat
    return stored


def known_fields(record: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The stored fields that a dataclass has."""
    return {each.name: stored[each.name] for each in fields(record) if each.name in stored}
