"""`return_to`: the page to return to when a login ends. It must be a path of the same site."""

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator

_LONGEST_PATH = 2048


def _require_local(path: str | None) -> str | None:
    if path is not None and not _is_local(path):
        raise ValueError("not a local path")
    return path


def _is_local(path: str) -> bool:
    return (
        path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and not any(character <= " " or character == "\x7f" for character in path)
    )


ReturnTo = Annotated[
    str | None,
    Query(
        max_length=_LONGEST_PATH,
        description="A local path. The answer that ends the login repeats it.",
        examples=["/bases?sort=name"],
        json_schema_extra={"pattern": "^/"},
    ),
    AfterValidator(_require_local),
]
"""The query parameter `return_to`."""
