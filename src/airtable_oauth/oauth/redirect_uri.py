"""Airtable's rules for redirect URIs. Pure: it performs no I/O."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from airtable_oauth.urls import (
    NOT_A_URL,
    NOT_HTTPS,
    NOT_PRINTABLE,
    address_of,
    decode_nested,
    is_https_or_local,
    is_loopback,
    is_printable,
    split_url,
)

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _is_name_or_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or (address_of(host) is None and "." in host.strip("."))


def _has_parent_segment(url: str) -> bool:
    path = decode_nested(urlsplit(url).path)
    return path is None or ".." in re.split(r"[/\\]", path)


# https://airtable.com/developers/web/api/oauth-reference, "Redirect URI requirements"
REDIRECT_URI_RULES: Iterable[tuple[Any, str]] = (
    (is_printable, NOT_PRINTABLE),
    (lambda uri: "*" not in uri, "must not contain a wildcard (*)"),
    (lambda uri: split_url(uri) is not None, NOT_A_URL),
    (is_https_or_local, NOT_HTTPS),
    (lambda uri: "#" not in uri, "must not contain a fragment (#)"),
    (lambda uri: "@" not in urlsplit(uri).netloc, "must not contain a user name or password"),
    (_is_name_or_loopback, "must have a public host name, or a loopback address"),
    (lambda uri: not _BAD_PERCENT.search(uri), "contains an invalid percent-encoding"),
    (lambda uri: "%00" not in uri, "must not contain %00"),
    (lambda uri: not _has_parent_segment(uri), "must not contain .. in its path"),
)
