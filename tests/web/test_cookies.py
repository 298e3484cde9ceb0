"""Which cookies of a request the service reads as its own."""

import pytest
from starlette.datastructures import Headers

from airtable_oauth.web.cookies import read_cookies

NAME = "__Host-airtable_session"


@pytest.mark.parametrize("disguise", [b"\xa0", b"\x85", b"\x1c", b"\x0b", b"\xc2\xa0", b'"'])
def test_only_an_exact_name_counts(disguise: bytes) -> None:
    """A browser keeps such white space as part of the name, so it is another cookie."""
    headers = Headers(raw=[(b"cookie", disguise + NAME.encode() + b"=theirs; a=b")])

    found = read_cookies(headers)

    assert NAME not in found
    assert found["a"] == "b"


@pytest.mark.parametrize(
    "lines",
    [
        [f"{NAME}=ours; {NAME}=theirs"],
        [f"{NAME}=theirs;{NAME}=ours"],
        [f"{NAME}=ours", f"{NAME}=theirs"],
        [f"{NAME}=ours; {NAME}=ours"],
    ],
)
def test_name_that_comes_twice_is_ignored(lines: list[str]) -> None:
    """The request does not say which of the two the service set."""
    headers = Headers(raw=[(b"cookie", line.encode()) for line in [*lines, "a=b"]])

    assert read_cookies(headers) == {"a": "b"}


def test_value_is_read_as_sent() -> None:
    """Values are not unquoted; spaces and tabs around names and values are removed."""
    headers = Headers(raw=[(b"cookie", b' a = b=c ;\td="e\\"; f; =g; h=')])

    assert read_cookies(headers) == {"a": "b=c", "d": '"e\\"', "": "g", "h": ""}
