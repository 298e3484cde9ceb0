"""What `airtable-oauth check` finds: what is right, what is not, and what to do about it."""

import difflib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

import httpx
from dotenv import dotenv_values
from pydantic import ValidationError

from airtable_oauth.airtable import Airtable, new_transport
from airtable_oauth.errors import AirtableOAuthError, ClientRefused
from airtable_oauth.integration import airtable_of
from airtable_oauth.pkce import code_verifier
from airtable_oauth.protocol import parse_token_response
from airtable_oauth.settings import PREFIX, Settings, faults
from airtable_oauth.stores import Store
from airtable_oauth.stores.connect import open_store

_MAX_SKEW_SECONDS = 30
_AIRTABLE_SCOPES = {
    *(
        f"data.{what}:{verb}"
        for what in ("records", "recordComments")
        for verb in ("read", "write")
    ),
    *("schema.bases:read", "schema.bases:write", "webhook:manage", "block:manage"),
    *(f"workspacesAndBases:{verb}" for verb in ("read", "write", "manage")),
    *("workspacesAndBases.shares:manage", "user.email:read"),
    *(f"enterprise.{what}:{verb}" for what in ("account", "user") for verb in ("read", "write")),
    *("enterprise.groups:read", "enterprise.groups:manage", "enterprise.exports:manage"),
    *("enterprise.scim.usersAndGroups:manage", "enterprise.auditLogs:read"),
    *("enterprise.changeEvents:read", "hyperDB.records:read", "hyperDB.records:write"),
}
_SECOND_LEVEL = {"ac", "co", "com", "edu", "gov", "net", "org"}
_OTLP = "OTEL_EXPORTER_OTLP_"
_KUBERNETES = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT")


class Level(StrEnum):
    """How a finding weighs."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report. None of them holds a secret."""

    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.level:8} {self.text}"


async def examine(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    online: bool = False,
    store: Store | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Finding]:
    """Everything worth saying about these settings, in the order of a login."""
    for check in (
        *(_variables, _redirect_uri, _origins, _site, _scheme, _scopes),
        *(_client, _workers, _telemetry),
    ):
        for finding in check(settings, environment):
            yield finding
    try:
        yield await _store(store or open_store(settings), settings, clock)
    except ModuleNotFoundError as error:
        yield Finding(Level.FAULT, str(error))
    if online:
        yield await _airtable(airtable_of(settings, transport or new_transport()))


def malformed(error: ValidationError) -> list[Finding]:
    """What is wrong with settings that could not even be read."""
    return [Finding(Level.FAULT, fault) for fault in faults(error)]


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def _warning(setting: str, text: str) -> Finding:
    return Finding(Level.WARNING, f"{PREFIX}{setting}: {text}")


def _fault(setting: str, text: str) -> Finding:
    return Finding(Level.FAULT, f"{PREFIX}{setting}: {text}")


def _variables(_settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    yield _ok("every setting has a valid form")
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted({*environment, *dotenv_values(".env")}):
        if not name.startswith(PREFIX) or name in known or _is_of_kubernetes(name):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        hint = f"; did you mean {close[0]}?" if close else ""
        yield Finding(Level.WARNING, f"{name}: there is no such setting{hint}")


def _is_of_kubernetes(name: str) -> bool:
    """Whether a service named `airtable-oauth` put this variable into every pod."""
    return any(part in name for part in _KUBERNETES)


def _redirect_uri(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    yield _ok(
        f"redirect URI {settings.redirect_uri} keeps Airtable's rules; register it exactly so"
    )


def _origins(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    origin = _origin(urlsplit(settings.redirect_uri))
    if origin in (*settings.allowed_origins, settings.own_origin):
        yield _ok(f"the callback route's origin {origin} may call this service")
        return
    yield _fault(
        "ALLOWED_ORIGINS",
        f"lacks {origin}, where the callback route is: it could not finish a login. Add it",
    )


def _site(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    api = urlsplit(settings.public_url)
    for origin in settings.allowed_origins:
        spa = urlsplit(origin)
        if _site_of(spa) == _site_of(api):
            yield _ok(
                f"{origin} and {settings.public_url} are one site: the login's cookie is kept"
            )
        elif {spa.hostname, api.hostname} == {"localhost", "127.0.0.1"}:
            yield _fault(
                "PUBLIC_URL",
                f"{origin} and {settings.public_url} are two sites to a browser, and the login's "
                "cookie would be lost. Use localhost for both, or 127.0.0.1 for both",
            )
        else:
            yield _fault(
                "PUBLIC_URL",
                f"{origin} and {settings.public_url} are two sites: browsers would not keep the "
                "login's cookie. Serve both below one domain and scheme, or on one origin",
            )


def _scheme(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    if settings.secure:
        yield _ok("cookies are Secure and named __Host-…")
    elif settings.redirect_uri.startswith("https://"):
        yield _fault(
            "PUBLIC_URL",
            "is http while the pages are https. Behind a proxy that ends TLS it is the https "
            "address that browsers use",
        )
    else:
        yield _ok("cookies are plain, as http on this machine needs them")


def _scopes(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    unknown = [scope for scope in settings.scopes if scope not in _AIRTABLE_SCOPES]
    if not unknown:
        yield _ok(f"scopes: {len(settings.scopes)}, all known; each must be enabled in Airtable")
    for scope in unknown:
        close = difflib.get_close_matches(scope, _AIRTABLE_SCOPES, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        yield _fault("SCOPES", f"{scope} is no scope of Airtable's.{hint}")


def _client(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    if settings.client_secret.get_secret_value():
        yield _ok("a confidential client: it authenticates with its secret")
    else:
        yield _warning(
            "CLIENT_SECRET",
            "is empty: right only if the integration has no secret. Generate one in Airtable",
        )
    if settings.node_compat:
        yield _warning(
            "NODE_COMPAT",
            "is on: logins of its routes can be finished by any browser that has their URL",
        )


def _workers(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    if not settings.store_url.get_secret_value().startswith("memory:"):
        yield _ok(f"encryption keys: {len(settings.encryption_keys)}, none of them weak")
    elif environment.get("WEB_CONCURRENCY", "1") != "1":
        yield _fault(
            "STORE_URL",
            "memory:// belongs to one process, and WEB_CONCURRENCY asks for several: use "
            "sqlite:///…, redis://… or postgresql://…",
        )
    else:
        yield _ok("memory:// with one process: a restart ends every login and connection")


def _telemetry(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    if settings.telemetry and not any(name.startswith(_OTLP) for name in environment):
        yield _warning("TELEMETRY", f"is on, and no {_OTLP} variable says where to send it")


async def _store(store: Store, settings: Settings, clock: Callable[[], float]) -> Finding:
    try:
        skew = abs(await store.now() - clock())
    except AirtableOAuthError:
        return _fault(
            "STORE_URL",
            "the store does not answer: is it running, are host and password right, and if it is "
            f"far away, is {PREFIX}STORE_TIMEOUT long enough?",
        )
    finally:
        await store.close()
    if skew > _MAX_SKEW_SECONDS:
        return _warning(
            "STORE_URL", f"the store's clock and ours are {skew:.0f} s apart: set both by NTP"
        )
    scheme = settings.store_url.get_secret_value().partition(":")[0]
    return _ok(f"the store ({scheme}) answers, and its clock agrees with ours")


async def _airtable(airtable: Airtable) -> Finding:
    """Ask with a code that cannot exist: all that matters is whether the client is refused."""
    form = airtable.client.exchange_form(code="airtable-oauth-check", code_verifier=code_verifier())
    try:
        status, body = await airtable.token_request(form)
        parse_token_response(status, body, grant_type=form["grant_type"], requested_scope="")
    except ClientRefused as error:
        return _fault(
            "CLIENT_ID",
            f"Airtable does not accept it with this secret ({error.error}): compare both with the "
            "integration's page",
        )
    except AirtableOAuthError as error:
        if error.status == 400:  # noqa: PLR2004 (the code is refused, as it should be)
            return _ok("Airtable accepts client ID and secret")
        return _fault("AIRTABLE_URL", f"no usable answer ({error.error}): {error.description}")
    finally:
        await airtable.aclose()
    return _fault("AIRTABLE_URL", "gives tokens for a made-up code: that is no Airtable")


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}"


def _site_of(parts: SplitResult) -> tuple[str, str]:
    """Scheme and registrable domain, near enough without the list of public suffixes."""
    labels = (parts.hostname or "").split(".")
    if labels[-1].isdecimal() or ":" in (parts.hostname or ""):
        return parts.scheme, parts.hostname or ""
    long = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL  # noqa: PLR2004
    return parts.scheme, ".".join(labels[-3 if long else -2 :])
