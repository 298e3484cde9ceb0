import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from airtable_oauth.app import create_app
from airtable_oauth.settings import PREFIX, Settings, decode_key, faults
from tests.helpers import CSRF, make_settings

ROOT = Path(__file__).parents[1]
NO_HOST = "must be a URL with a host name and, optionally, a valid port"
NO_URL = "must be an http or https URL with a host name"
NO_HTTPS = "must use https, except for localhost and loopback addresses"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def fault_lines(**overrides: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        make_settings(**overrides)
    return faults(caught.value)


def test_missing_settings_are_named_a_line_each() -> None:
    """A first start shows everything that is missing at once."""
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None)
    assert faults(caught.value) == [
        "AIRTABLE_OAUTH_CLIENT_ID: is missing",
        "AIRTABLE_OAUTH_REDIRECT_URI: is missing",
        "AIRTABLE_OAUTH_SCOPES: is missing",
    ]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are separated by spaces or commas, not written as JSON."""
    for name, value in {
        "CLIENT_ID": "an-id",
        "REDIRECT_URI": "https://app.example.com/auth-callback",
        "SCOPES": "data.records:read  schema.bases:read",
        "ALLOWED_ORIGINS": "https://app.example.com, https://beta.example.com",
    }.items():
        monkeypatch.setenv(PREFIX + name, value)
    settings = Settings(_env_file=None)
    assert settings.scopes == ("data.records:read", "schema.bases:read")
    assert settings.allowed_origins == ("https://app.example.com", "https://beta.example.com")


def test_settings_are_frozen() -> None:
    """They cannot change after validation."""
    settings = make_settings()
    with pytest.raises(ValidationError):
        settings.client_id = "other"  # type: ignore[misc]  # the test needs the invalid assignment


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com/auth-callback",
        "https://app.example.com/cb?tenant=a%20b",
        "http://localhost:4200/auth-callback",
        "http://127.0.0.1:4200/auth-callback",
        "https://app.example.com/a..b/cb",
    ],
)
def test_redirect_uri_is_kept_byte_for_byte(uri: str) -> None:
    """Airtable compares it byte for byte."""
    assert make_settings(redirect_uri=uri).redirect_uri == uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://app.example.com/cb", NO_HTTPS),
        ("https://app.example.com/cb#top", "must not contain a fragment (#)"),
        ("https://*.example.com/cb", "must not contain a wildcard (*)"),
        ("https://me:pw@example.com/cb", "must not contain a user name or password"),
        ("https://192.0.2.7/cb", "must have a public host name, or a loopback address"),
        ("https://intranet/cb", "must have a public host name, or a loopback address"),
        ("https://app.example.com/a/../cb", "must not contain .. in its path"),
        ("https://app.example.com/a/%2e%2E/cb", "must not contain .. in its path"),
        ("https://app.example.com/a/%252e./cb", "must not contain .. in its path"),
        ("https://app.example.com/%zz", "contains an invalid percent-encoding"),
        ("https://app.example.com/%00", "must not contain %00"),
        (
            "https://app.example.com/a b",
            "contains a space or characters that are not printable ASCII",
        ),
        ("/auth-callback", NO_URL),
        ("https://app.example.com:99999/cb", NO_URL),
    ],
)
def test_redirect_uri_that_airtable_would_refuse(uri: str, message: str) -> None:
    """Each rule of Airtable's reference has its own message."""
    assert fault_lines(redirect_uri=uri) == [f"AIRTABLE_OAUTH_REDIRECT_URI: {message}"]


SHORT_NAME = "must have 1 to 32 characters of a-z, 0-9 and -, and not begin with -"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "client_id",
            "with:colon",
            "is empty, or contains a colon, a space or characters that are not printable ASCII",
        ),
        (
            "client_secret",
            "tab\there",
            "contains a space or characters that are not printable ASCII",
        ),
        ("scopes", " ", "must name at least one scope"),
        ("scopes", "a:read a:read", "contains a scope twice, which Airtable refuses"),
        ("scopes", 'a"b', "contains a malformed scope"),
        ("allowed_origins", "*", "must not contain wildcards: list each origin"),
        (
            "allowed_origins",
            "https://*.example.com",
            "must not contain wildcards: list each origin",
        ),
        ("allowed_origins", "null", "must not contain null: any sandboxed page can send it"),
        ("allowed_origins", "http://app.example.com", NO_HTTPS),
        (
            "public_url",
            "http://api.example.com",
            NO_HTTPS,
        ),
        ("public_url", "api.example.com", NO_URL),
        (
            "public_url",
            "https://api.example.com/?x=1",
            "must not contain a user name, a query or a fragment",
        ),
        ("airtable_url", "http://airtable.com", NO_HTTPS),
        (
            "store_url",
            "mysql://db",
            "must begin with one of memory://, redis://, rediss://, sqlite://, postgresql://",
        ),
        ("webhook_url", "http://host.example", NO_HTTPS),
        ("webhook_url", "host.example/hook", NO_URL),
        ("store_url", "sqlite://", "must name a file: sqlite:///path/to/file.db"),
        ("store_url", "redis://host:port", NO_HOST),
        ("store_url", "postgresql:///name", NO_HOST),
        ("login_ttl", "601", "input should be less than or equal to 600"),
        ("upstream_timeout", "0", "input should be greater than 0"),
        ("name", "Air table", SHORT_NAME),
        ("name", "a" * 33, SHORT_NAME),
        ("name", "-a", SHORT_NAME),
        ("name", "", SHORT_NAME),
    ],
)
def test_faulty_setting_is_one_readable_line(field: str, value: str, message: str) -> None:
    """It names the variable and the mistake."""
    assert fault_lines(**{field: value}) == [f"{PREFIX}{field.upper()}: {message}"]


@pytest.mark.parametrize(
    "origin", ["https://app.example.com/path", "app.example.com", "https://me@app.example.com"]
)
def test_origin_that_no_browser_sends(origin: str) -> None:
    """It would never match."""
    assert fault_lines(allowed_origins=origin) == [
        "AIRTABLE_OAUTH_ALLOWED_ORIGINS: must list origins, without a path: https://app.example.com"
    ]


@pytest.mark.parametrize(
    ("written", "url", "origin"),
    [
        ("HTTPS://API.Example.com:443/", "https://api.example.com", "https://api.example.com"),
        ("https://api.example.com:8443/Api/", "https://api.example.com:8443/Api", None),
        ("HTTP://LocalHost:80", "http://localhost", "http://localhost"),
        ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_urls_have_one_form(written: str, url: str, origin: str | None) -> None:
    """The spelling does not matter. Paths do not change."""
    settings = make_settings(public_url=written, airtable_url=written, airtable_api_url=written)
    assert {settings.public_url, settings.airtable_url, settings.airtable_api_url} == {url}
    assert settings.own_origin == "/".join(url.split("/")[:3])
    if origin is not None:
        assert make_settings(allowed_origins=f"{written},{origin}").allowed_origins == (origin,)


async def test_spelling_of_the_public_url_costs_no_cookie_attribute() -> None:
    """Browsers still get `__Host-` and `Secure`, and the service's own origin is accepted."""
    app = create_app(make_settings(public_url="HTTPS://API.Example.com:443/"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="https://api.example.com"
    ) as client:
        begun = await client.get("/authorization-url")
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-airtable_login_")
        assert cookie.endswith("; Secure")
        answer = await client.delete(
            "/session", headers=CSRF | {"Origin": "https://api.example.com"}
        )
        assert answer.json()["error"] == "not_connected"


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("postgres://u:P%40@Host/Name", "postgresql://u:P%40@Host/Name"),
        ("postgresql+asyncpg://u:p@host/name", "postgresql://u:p@host/name"),
        ("REDIS://host", "redis://host"),
        ("sqlite+aiosqlite:///Store.db", "sqlite:///Store.db"),
        ("MEMORY://", "memory://"),
    ],
)
def test_store_urls_have_one_form(written: str, url: str) -> None:
    """Hosting providers and SQLAlchemy write them so. User, path and parameters do not change."""
    settings = make_settings(store_url=written, encryption_keys=KEY)
    assert settings.store_url.get_secret_value() == url


class OtherPrefix(Settings):
    """The settings of an app with its own variables."""

    model_config = SettingsConfigDict(env_prefix="acme_airtable_")


def test_messages_name_the_variables_that_are_read() -> None:
    """A subclass or an instance may use another prefix."""
    for settings, options, prefix in (
        (OtherPrefix, {}, "ACME_AIRTABLE_"),
        (Settings, {"_env_prefix": "SALES_"}, "SALES_"),
    ):
        wrong: Any = options | {"expose_tokens": False, "node_compat": True}
        with pytest.raises(ValidationError) as caught:
            settings(_env_file=None, **wrong)
        assert faults(caught.value) == [
            f"{prefix}CLIENT_ID: is missing",
            f"{prefix}REDIRECT_URI: is missing",
            f"{prefix}SCOPES: is missing",
            f"{prefix}NODE_COMPAT: hands tokens to browsers, so it must be off "
            "with EXPOSE_TOKENS=false",
        ]
        right: Any = options | {
            "client_id": "an-id",
            "redirect_uri": "http://localhost:4200/cb",
            "scopes": "data.records:read",
        }
        assert settings(_env_file=None, **right).variable("store_url") == f"{prefix}STORE_URL"
    assert "ACME" not in str(fault_lines(client_id=""))


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "is missing"),
        ("aGVsbG8=", "is malformed or not 24 to 64 bytes"),
        ("whsec_aGVsbG8=", "is malformed or not 24 to 64 bytes"),
        ("whsec_%%%", "is malformed or not 24 to 64 bytes"),
        (f"whsec_{'QUFB' * 22}", "is malformed or not 24 to 64 bytes"),
    ],
)
def test_webhook_needs_a_strong_secret(secret: str, message: str) -> None:
    """With a weak secret, an attacker could forge events."""
    assert fault_lines(webhook_url="https://host.example/h", webhook_secret=secret) == [
        f"AIRTABLE_OAUTH_WEBHOOK_SECRET: {message}: create one with `airtable-oauth keys webhook`"
    ]


def test_persistent_store_needs_a_key() -> None:
    """Everything that leaves the process is encrypted."""
    assert fault_lines(store_url="redis://localhost") == [
        "AIRTABLE_OAUTH_ENCRYPTION_KEYS: is missing, and this store needs it: create one with "
        "`airtable-oauth keys new`"
    ]
    assert make_settings(store_url="redis://localhost", encryption_keys=KEY).encryption_keys


@pytest.mark.parametrize(
    "key", ["short", "A" * 43, "AAECAwQFBgcICQoLDA0ODw", f"{KEY}!", f"{KEY},{'B' * 43}", "pässwörd"]
)
def test_weak_or_malformed_key_is_refused(key: str) -> None:
    """A passphrase, a short key or a repeated byte is refused."""
    assert fault_lines(encryption_keys=key) == [
        "AIRTABLE_OAUTH_ENCRYPTION_KEYS: contains a malformed or weak key: create each with "
        "`airtable-oauth keys new`"
    ]


def test_key_decodes_to_its_bytes() -> None:
    """A key is 32 bytes in base64url without padding."""
    assert decode_key(KEY) == bytes(range(32))


def test_no_fault_shows_a_value() -> None:
    """Settings hold secrets, and errors end up in logs."""
    canary = "CANARY-0c4f"
    wrong: dict[str, Any] = dict.fromkeys(Settings.model_fields, f"{canary} \x07*#@")
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, **wrong)
    assert len(faults(caught.value)) > 10
    assert canary not in "\n".join(faults(caught.value))
    assert canary not in str(caught.value)


def test_secrets_do_not_show_in_repr() -> None:
    """A printed settings object must not reveal a secret."""
    shown = repr(
        make_settings(
            client_secret="CANARY-1", store_url="redis://:CANARY-2@h", encryption_keys=KEY
        )
    )
    assert "CANARY" not in shown
    assert KEY not in shown


def test_patience_covers_two_operations_of_the_store() -> None:
    """The default is three seconds. It follows the store's timeout."""
    assert make_settings().store_patience == 3
    assert make_settings(store_timeout=6).store_patience == 12.2
    for seconds in (0, 61):
        assert fault_lines(store_timeout=seconds)
    assert fault_lines(store_pool_size=0)


@pytest.mark.parametrize("document", ["README.md", ".env.example"])
def test_every_setting_is_documented(document: str) -> None:
    """Both documents list every variable by its full name, and no other."""
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", (ROOT / document).read_text()))
    assert named == {PREFIX + name.upper() for name in Settings.model_fields}
