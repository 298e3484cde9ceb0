"""Validates store URLs, and translates them for asyncpg. Pure: it performs no I/O."""

from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SCHEMES = ("memory", "redis", "rediss", "sqlite", "postgresql")

_ALIASES = {
    "postgres": "postgresql",  # used by hosting providers
    "postgresql+asyncpg": "postgresql",  # used by SQLAlchemy
    "sqlite+aiosqlite": "sqlite",
}

# https://www.postgresql.org/docs/current/libpq-connect.html, "Parameter Key Words"
_ASYNCPG = {
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("application_name", "options"),
}
"""Parameters that asyncpg reads from a URL as libpq does. The last two become server settings."""
_OURS = {"ssl", "connect_timeout"}
"""Translated: SQLAlchemy's name for `sslmode`, and a limit for which asyncpg has another name."""
_IGNORED = {
    *("channel_binding", "gssencmode", "sslcompression", "sslsni", "client_encoding"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "fallback_application_name"),
}
"""Not supported by asyncpg. With `sslmode=verify-full`, no secret depends on them."""
_VALUES = {
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "target_session_attrs": {
        *("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    },
}
_REDIS = {
    *("db", "client_name", "health_check_interval", "protocol", "socket_keepalive"),
    *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs"),
    *("ssl_check_hostname",),
}
_REDIS_NUMBERS = {"db", "health_check_interval", "protocol"}


class PostgresTarget(NamedTuple):
    """The arguments for `asyncpg.connect`."""

    dsn: str
    connect_timeout: float | None
    """Seconds to connect, if the URL limits them."""


def normal_store_url(url: str) -> str:
    """Return a store URL with a scheme of `SCHEMES` in place of an alias from other software."""
    scheme, separator, place = url.partition("://")
    scheme = scheme.lower()
    return f"{_ALIASES.get(scheme, scheme)}{separator}{place}"


def fault_of(url: str) -> str | None:
    """Describe what is wrong with a store URL, or return None. Quotes only a parameter's name."""
    scheme, separator, place = normal_store_url(url).partition("://")
    if not separator or scheme not in SCHEMES:
        return "must begin with one of " + ", ".join(f"{each}://" for each in SCHEMES)
    if scheme == "memory":
        return None
    if scheme == "sqlite":
        return _fault_of_file(place)
    if not _has_host_and_port(url):
        return "must be a URL with a host name and, optionally, a valid port"
    return _fault_of_parameters(url, scheme)


def postgres_target(url: str) -> PostgresTarget:
    """Translate a URL with libpq's parameters, as hosting providers show it, for asyncpg."""
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    if "ssl" in parameters:
        parameters.setdefault("sslmode", parameters["ssl"])
    timeout = int(parameters.get("connect_timeout", 0))
    known = {name: value for name, value in parameters.items() if name in _ASYNCPG}
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(known), ""))
    return PostgresTarget(dsn, float(timeout) if timeout > 0 else None)


def _fault_of_file(place: str) -> str | None:
    if ":memory:" in place or "mode=memory" in place:
        return "is an in-memory SQLite database, which connections cannot share: use memory://"
    if len(place) < len("/x") or not place.startswith("/"):
        return "must name a file: sqlite:///path/to/file.db"
    return "is a sqlite:// URL, which must not have parameters" if "?" in place else None


def _fault_of_parameters(url: str, scheme: str) -> str | None:
    is_redis = scheme.startswith("redis")
    known = _REDIS if is_redis else _ASYNCPG | _OURS | _IGNORED
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name not in known:
            is_shown = name.isidentifier() and len(name) <= 40  # noqa: PLR2004
            parameter = f"the parameter {name}" if is_shown else "a parameter with an unusual name"
            return f"has {parameter}, which is not supported for this store"
        if not _is_valid("sslmode" if name == "ssl" else name, value, is_redis=is_redis):
            return f"has an invalid value for the parameter {name}"
    return None


def _is_valid(name: str, value: str, *, is_redis: bool) -> bool:
    if is_redis:
        return value.isdecimal() if name in _REDIS_NUMBERS else bool(value)
    if name == "connect_timeout":
        return value.removeprefix("-").isdecimal()
    return value in _VALUES.get(name, {value})


def _has_host_and_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
