"""Describes why something failed, safely for logs: the type of an exception and its code."""

import errno
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from itertools import islice

from airtable_oauth.errors import AirtableOAuthError

_MOST_LINKS = 10
_SQLSTATE = re.compile("[0-9A-Z]{5}")
_MNEMONIC = re.compile("[A-Z][A-Z0-9_]{1,60}")
_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d{1,5})\]")
_REDIS_CODES = {
    *("ASK", "BUSY", "CLUSTERDOWN", "CROSSSLOT", "ERR", "EXECABORT", "LOADING", "MASTERDOWN"),
    *("MISCONF", "MOVED", "NOAUTH", "NOPERM", "NOREPLICAS", "NOSCRIPT", "OOM", "READONLY"),
    *("TRYAGAIN", "UNKILLABLE", "WRONGPASS", "WRONGTYPE"),
}
_EAI_NAMES = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


def cause_of(error: BaseException) -> str:
    """Describe what caused an error: `asyncpg.InvalidPasswordError 28P01`, `gaierror EAI_NONAME`.

    The text is the name of an exception's type and, if it has one, its code. It never contains a
    message, because messages quote URLs, users and tokens. Drivers wrap exceptions in their own, so
    this describes the innermost one with a code, or else the innermost one.

    For an error of this package, it is the error's `cause` if it has one, or else its code.
    """
    if isinstance(error, AirtableOAuthError):
        return error.cause or error.error
    chain = [*islice(_chain(error), _MOST_LINKS)]
    coded = [link for link in chain if _code(link) is not None]
    innermost = (coded or chain)[-1]
    return " ".join(filter(None, (_type_name(type(innermost)), _code(innermost))))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes, outermost first.

    Stops at a cancellation: it is the cause of a timeout, and explains nothing.
    """
    current: BaseException | None = error
    while isinstance(current, Exception):
        yield current
        current = current.__cause__ or current.__context__


def _type_name(kind: type[BaseException]) -> str:
    """The name of a type, with its package if it is not in the standard library."""
    package = kind.__module__.partition(".")[0]
    is_standard = package in sys.stdlib_module_names
    return kind.__qualname__ if is_standard else f"{package}.{kind.__qualname__}"


def _code(error: BaseException) -> str | None:
    if type(error).__module__.startswith("redis."):
        return _redis_code(error)
    if isinstance(error, ssl.SSLError):
        return _ssl_code(error)
    if isinstance(error, socket.gaierror):
        return _EAI_NAMES.get(error.errno)
    if isinstance(error, OSError):
        return _errno_name(error)
    sqlstate = getattr(error, "sqlstate", None)
    return _matching(_SQLSTATE, sqlstate) or _sqlite_code(error)


def _redis_code(error: BaseException) -> str | None:
    """The first word of Redis's reply. redis-py removes those that it knows from the message."""
    word = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return word if word in _REDIS_CODES else None


def _ssl_code(error: ssl.SSLError) -> str | None:
    """OpenSSL's verification code, such as 18 for a self-signed certificate, or its reason."""
    verify_code = getattr(error, "verify_code", None)
    if isinstance(verify_code, int):
        return str(verify_code)
    return _matching(_MNEMONIC, getattr(error, "reason", None))


def _errno_name(error: OSError) -> str | None:
    """The name of an error number.

    If a host has several addresses, asyncio raises an error without a number. Its message quotes
    the errors of all addresses.
    """
    if error.errno is None:
        quoted = _ERRNO_IN_TEXT.search(str(error))
        return errno.errorcode.get(int(quoted[1])) if quoted else None
    return errno.errorcode.get(error.errno)


def _sqlite_code(error: BaseException) -> str | None:
    return _matching(_MNEMONIC, getattr(error, "sqlite_errorname", None))


def _matching(pattern: re.Pattern[str], code: object) -> str | None:
    return code if isinstance(code, str) and pattern.fullmatch(code) else None
