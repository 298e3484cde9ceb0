"""Checks and normalises http(s) URLs. Pure: it performs no I/O."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, unquote, urlsplit

_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_MAX_DECODINGS = 3
_NAME = re.compile(r"[a-z0-9._-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


NOT_A_URL = "must be an http or https URL with a host name"
NOT_HTTPS = "must use https, except for localhost and loopback addresses"
NOT_PRINTABLE = "contains a space or characters that are not printable ASCII"


def split_url(url: str) -> SplitResult | None:
    """Split an http(s) URL with a host; None for any text that is not one."""
    if not _PRINTABLE.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises on a port that is not a number)
    except ValueError:
        return None
    return parts if parts.scheme in _DEFAULT_PORTS and _is_host(parts.hostname or "") else None


def origin_of(url: str) -> str:
    """Return the origin of a URL as a browser sends it: lower case, without the default port.

    Raises:
        ValueError: it is not an http(s) URL with a host.
    """
    parts = split_url(url)
    if parts is None:
        raise ValueError("not an http(s) URL with a host")
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{ip_address(host)}]"
    port = parts.port
    written = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{written}"


def normal_base_url(url: str) -> str:
    """Return a URL with a normalised origin, and without a query or trailing slashes.

    Raises:
        ValueError: it is not an http(s) URL with a host.
    """
    return f"{origin_of(url)}{urlsplit(url).path}".rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address refers to this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = address_of(host)
    return address is not None and address.is_loopback


def is_printable(text: str) -> bool:
    """Whether a text is printable ASCII without spaces."""
    return all("\x21" <= character <= "\x7e" for character in text)


def is_https_or_local(url: str) -> bool:
    """Whether a URL uses https or stays on this machine."""
    parts = split_url(url)
    return parts is not None and (parts.scheme == "https" or is_loopback(parts.hostname or ""))


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Parse a host as an IP address; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_host(host: str) -> bool:
    return bool(_NAME.fullmatch(host)) or (":" in host and address_of(host) is not None)


def decode_nested(text: str) -> str | None:
    """Undo percent-encoding up to three times. Returns None if the text is encoded more often."""
    for _ in range(_MAX_DECODINGS):
        text = unquote(text)
    return text if unquote(text) == text else None
