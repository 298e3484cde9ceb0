"""Which of the cookies that a browser sends count as ours."""

import pytest
from starlette.datastructures import Headers

from airtable_oauth.web.cookies import read_cookies

NAME = "__Host-airtable_session"


@pytest.mark.parametrize("disguise", [b"\xa0", b"\x85", b"\x1c", b"\x0b", b"\xc2\xa0", b'"'])
def test_only_an_exact_name_counts(disguise: bytes) -> None:
    """White space that a browser keeps as part of a name makes it another name."""
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
def test_name_that_comes_twice_counts_as_none(lines: list[str]) -> None:
    """In one header or in two: the request does not say which one is ours."""
    headers = Headers(raw=[(b"cookie", line.encode()) for line in [*lines, "a=b"]])

    assert read_cookies(headers) == {"a": "b"}


def test_value_is_read_as_sent() -> None:
    """Nothing is unquoted; spaces and tabs around names and values are removed."""
    headers = Headers(raw=[(b"cookie", b' a = b=c ;\td="e\\"; f; =g; h=')])

    assert read_cookies(headers) == {"a": "b=c", "d": '"e\\"', "": "g", "h": ""}
