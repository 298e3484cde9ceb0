"""What `airtable-oauth check` finds in the settings."""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from publicsuffixlist import PublicSuffixList

from airtable_oauth.app import require_exporter
from airtable_oauth.cli.findings import Finding, Level, fault, ok, warning
from airtable_oauth.settings import Settings
from airtable_oauth.urls import address_of, origin_of

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
_OTLP = "OTEL_EXPORTER_OTLP_"
_KUBERNETES = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT")
_LOOPBACK_NAMES = {"localhost", "127.0.0.1"}


def check_settings(
    settings: Settings, environment: Mapping[str, str], malformed: Collection[str]
) -> Iterator[Finding]:
    """Run the checks that need none of the `malformed` fields, in the order of `_CHECKS`."""
    for check, needs in _CHECKS.items():
        if needs.isdisjoint(malformed):
            yield from check(settings, environment)


def runs_every_check(malformed: Collection[str]) -> bool:
    """Whether every check of `check_settings` runs in spite of the `malformed` fields."""
    return all(needs.isdisjoint(malformed) for needs in _CHECKS.values())


def _unknown_variables(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    prefix = settings.variable("")
    known = [name.upper() for name in type(settings).model_fields]
    names = {name.upper() for name in (*environment, *_names_in_files(settings))}
    for variable in sorted(names):
        name = variable.removeprefix(prefix)
        if not variable.startswith(prefix) or name in known or _is_of_kubernetes(variable):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {prefix}{close[0]}?" if close else ""
        yield warning(variable, f"not a known setting{hint}")


def _names_in_files(settings: Settings) -> Iterator[str]:
    """The names of the variables in the `.env` file, and of the files with secrets."""
    for file in _paths(settings.model_config.get("env_file")):
        yield from dotenv_values(file)
    for folder in _paths(settings.model_config.get("secrets_dir")):
        yield from (path.name for path in folder.iterdir())


def _paths(configured: Any) -> Iterator[Path]:
    """The configured paths that exist. pydantic-settings accepts one path, several, or None."""
    several = [configured] if isinstance(configured, str | PathLike) else configured or ()
    yield from (Path(each).expanduser() for each in several if Path(each).expanduser().exists())


def _is_of_kubernetes(name: str) -> bool:
    """Whether Kubernetes sets this variable in every pod, for a service named `airtable-oauth`."""
    return any(part in name for part in _KUBERNETES)


def _redirect_uri(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    yield ok(
        f"redirect URI {settings.redirect_uri} follows Airtable's rules; register exactly this one"
    )


def _callback_page(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    """Warn about a callback route below the service's own path, which has no pages."""
    callback, api = urlsplit(settings.redirect_uri), urlsplit(settings.public_url)
    same_origin = origin_of(settings.redirect_uri) == settings.own_origin
    if same_origin and f"{callback.path}/".startswith(f"{api.path}/"):
        yield warning(
            settings.variable("redirect_uri"),
            f"is below {settings.public_url}, where `airtable-oauth serve` has no pages and would "
            "answer 404. Use the address of a page of your app. Ignore this if your app includes "
            "the routes and serves that page",
        )


def _sites(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    callback = origin_of(settings.redirect_uri)
    for origin in dict.fromkeys((callback, *settings.allowed_origins)):
        if origin == settings.own_origin:
            yield ok(f"pages and service share the origin {origin}: browsers send the cookies")
        elif _site_of(origin) == _site_of(settings.public_url):
            yield ok(f"{origin} and {settings.public_url} are one site: browsers send the cookies")
        else:
            yield fault(settings.variable("public_url"), _two_sites(settings, origin))
    if callback in (*settings.allowed_origins, settings.own_origin):
        yield ok(f"pages at {callback}, where the callback route is, may call this service")
    elif _site_of(callback) == _site_of(settings.public_url):
        yield fault(
            settings.variable("allowed_origins"),
            f"lacks {callback}, the origin of the callback route, so no login could finish. Add it",
        )


def _two_sites(settings: Settings, origin: str) -> str:
    hosts = {urlsplit(origin).hostname, urlsplit(settings.public_url).hostname}
    if hosts == _LOOPBACK_NAMES:
        variables = ", ".join(
            settings.variable(each) for each in ("redirect_uri", "allowed_origins")
        )
        return (
            f"{origin} and {settings.public_url} are two sites to a browser, which would drop the "
            f"login's cookie. Use localhost here, in {variables} and in the browser"
        )
    return (
        f"{origin} and {settings.public_url} are two sites to a browser, which would drop the "
        "login's cookie. Serve both below one domain of your own and with one scheme, or on one "
        "origin"
    )


def _site_of(url: str) -> tuple[str, str]:
    """The site of a URL, as browsers define it: its scheme and registrable domain.

    Customers of one hosting company are different sites: the private section of the Public Suffix
    List has the domains that they share.
    """
    parts = urlsplit(origin_of(url))
    host = parts.hostname or ""
    if address_of(host) is not None:
        return parts.scheme, host
    return parts.scheme, _public_suffixes().privatesuffix(host) or host


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _scheme(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    if settings.secure:
        yield ok("cookies are Secure and named __Host-…")
    elif origin_of(settings.redirect_uri).startswith("https://"):
        yield fault(
            settings.variable("public_url"),
            "is http while the pages are https. Set it to the https address that browsers use, "
            "even if a proxy terminates TLS",
        )
    else:
        yield ok("cookies are not Secure: browsers reach this service over http on this machine")


def _scopes(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    variable = settings.variable("scopes")
    if any("," in scope for scope in settings.scopes):
        yield fault(variable, "scopes are separated by spaces, not by commas")
        return
    unknown = [scope for scope in settings.scopes if scope not in _AIRTABLE_SCOPES]
    if not unknown:
        yield ok(f"scopes: {len(settings.scopes)}, all known; each must be enabled in Airtable")
    for scope in unknown:
        close = difflib.get_close_matches(scope, _AIRTABLE_SCOPES, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        yield fault(variable, f"Airtable does not have the scope {scope}.{hint}")


def _client(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    if settings.client_secret.get_secret_value():
        yield ok("confidential client: it authenticates with its secret")
    else:
        yield warning(
            settings.variable("client_secret"),
            "is empty, which is right only if the integration has no secret. If it has one, set it "
            "here. If it has none, generating one in Airtable is safer",
        )


def _node_compat(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    if settings.node_compat:
        yield warning(
            settings.variable("node_compat"),
            "is on: any browser that has the URL of Airtable's redirect can finish a login that "
            "begins at /get-authorization-url",
        )


def _workers(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    if not settings.store_url.get_secret_value().startswith("memory:"):
        return
    if environment.get("WEB_CONCURRENCY", "1") != "1":
        yield fault(
            settings.variable("store_url"),
            "memory:// belongs to one process, and WEB_CONCURRENCY asks for several: use "
            "sqlite:///…, redis://… or postgresql://…",
        )
    else:
        yield ok("memory:// with one process: a restart ends every login and connection")


def _keys(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    if settings.encryption_keys:
        yield ok(f"encryption keys: {len(settings.encryption_keys)}, none of them weak")


def _webhook(settings: Settings, _: Mapping[str, str]) -> Iterator[Finding]:
    has_url = bool(settings.webhook_url.get_secret_value())
    if has_url:
        yield ok("events of connections are posted to the webhook, signed")
    elif settings.webhook_secret.get_secret_value():
        yield warning(
            settings.variable("webhook_secret"),
            f"is set but {settings.variable('webhook_url')} is not, so no events are sent",
        )


def _telemetry(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        require_exporter(settings)
    except ModuleNotFoundError as error:
        yield Finding(Level.FAULT, str(error))
    if settings.telemetry and not any(name.startswith(_OTLP) for name in environment):
        yield warning(
            settings.variable("telemetry"),
            f"is on, but no {_OTLP}… variable says where to send spans and metrics",
        )


_CHECKS: dict[Callable[[Settings, Mapping[str, str]], Iterator[Finding]], set[str]] = {
    _unknown_variables: set(),
    _redirect_uri: {"redirect_uri"},
    _callback_page: {"redirect_uri", "public_url"},
    _sites: {"redirect_uri", "public_url", "allowed_origins"},
    _scheme: {"redirect_uri", "public_url"},
    _scopes: {"scopes"},
    _client: {"client_secret"},
    _node_compat: {"node_compat", "expose_tokens"},
    _workers: {"store_url"},
    _keys: {"encryption_keys", "store_url"},
    _webhook: {"webhook_url", "webhook_secret"},
    _telemetry: {"telemetry"},
}
"""The checks in the order in which they run, each with the fields that it needs."""
