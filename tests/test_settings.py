import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airtable_oauth.settings import PREFIX, Settings, decode_key, faults
from tests.helpers import make_settings

ROOT = Path(__file__).parents[1]
NO_HOST = "must be a URL with a host name, and a valid port if any"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def fault_lines(**overrides: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        make_settings(**overrides)
    return faults(caught.value)


def test_missing_settings_are_named_a_line_each() -> None:
    """Whoever starts the service for the first time sees everything that is missing at once."""
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None)
    assert faults(caught.value) == [
        "AIRTABLE_OAUTH_CLIENT_ID: is missing",
        "AIRTABLE_OAUTH_REDIRECT_URI: is missing",
        "AIRTABLE_OAUTH_SCOPES: is missing",
    ]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are delimited by spaces or commas, never JSON."""
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
    """Nothing changes them once they are validated."""
    settings = make_settings()
    with pytest.raises(ValidationError):
        settings.client_id = "other"  # type: ignore[misc]  # that it cannot is the point


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
    """Airtable compares it so."""
    assert make_settings(redirect_uri=uri).redirect_uri == uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://app.example.com/cb", "must use https, except for localhost and loopback"),
        ("https://app.example.com/cb#top", "takes no fragment"),
        ("https://*.example.com/cb", "takes no wildcard"),
        ("https://me:pw@example.com/cb", "takes no user name or password"),
        ("https://192.0.2.7/cb", "needs a public host name; of addresses only loopback ones work"),
        ("https://intranet/cb", "needs a public host name; of addresses only loopback ones work"),
        ("https://app.example.com/a/../cb", "takes no .. in its path"),
        ("https://app.example.com/a/%2e%2E/cb", "takes no .. in its path"),
        ("https://app.example.com/a/%252e./cb", "takes no .. in its path"),
        ("https://app.example.com/%zz", "holds an invalid percent-encoding"),
        ("https://app.example.com/%00", "takes no %00"),
        ("https://app.example.com/a b", "holds characters that are not printable"),
        ("/auth-callback", "must be an absolute http(s) URL"),
        ("https://app.example.com:99999/cb", "must be an absolute http(s) URL"),
    ],
)
def test_redirect_uri_that_airtable_would_refuse(uri: str, message: str) -> None:
    """Each rule of Airtable's reference is a readable line."""
    assert fault_lines(redirect_uri=uri) == [f"AIRTABLE_OAUTH_REDIRECT_URI: {message}"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("client_id", "with:colon", "holds characters that are not allowed, or none"),
        ("client_secret", "tab\there", "holds characters that are not printable"),
        ("scopes", " ", "needs at least one scope"),
        ("scopes", "a:read a:read", "names a scope twice, which Airtable refuses"),
        ("scopes", 'a"b', "holds a malformed scope"),
        ("allowed_origins", "*", "takes no wildcard: list each origin"),
        ("allowed_origins", "https://*.example.com", "takes no wildcard: list each origin"),
        ("allowed_origins", "null", "takes no null origin: any sandboxed page has it"),
        ("allowed_origins", "http://app.example.com", "takes http only for localhost and loopback"),
        (
            "public_url",
            "http://api.example.com",
            "must use https, except on localhost and loopback",
        ),
        ("public_url", "api.example.com", "must be an absolute http(s) URL"),
        ("public_url", "https://api.example.com/?x=1", "takes no user, query or fragment"),
        ("airtable_url", "http://airtable.com", "must use https, except on localhost and loopback"),
        (
            "store_url",
            "mysql://db",
            "must begin with memory://, redis://, rediss://, sqlite://, postgresql://",
        ),
        ("webhook_url", "http://host.example", "must use https, except on localhost and loopback"),
        ("webhook_url", "host.example/hook", "must be an absolute http(s) URL"),
        ("store_url", "sqlite://", "needs a file: sqlite:///path/to/file.db"),
        ("store_url", "redis://host:port", NO_HOST),
        ("store_url", "postgresql:///name", NO_HOST),
        ("login_ttl", "601", "input should be less than or equal to 600"),
        ("upstream_timeout", "0", "input should be greater than 0"),
        ("name", "Air table", "holds characters that are not allowed, or none"),
    ],
)
def test_faulty_setting_is_one_readable_line(field: str, value: str, message: str) -> None:
    """It names the variable and what is wrong with it."""
    assert fault_lines(**{field: value}) == [f"{PREFIX}{field.upper()}: {message}"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://App.example.com",
        "https://app.example.com:443",
        "app.example.com",
        "https://me@app.example.com",
    ],
)
def test_origin_that_no_browser_sends(origin: str) -> None:
    """It would never match, and somebody would wonder why."""
    assert fault_lines(allowed_origins=origin) == [
        "AIRTABLE_OAUTH_ALLOWED_ORIGINS: takes origins as browsers send them: https://host[:port]"
    ]


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "is missing"),
        ("aGVsbG8=", "is malformed or too short"),
        ("whsec_aGVsbG8=", "is malformed or too short"),
        ("whsec_%%%", "is malformed or too short"),
    ],
)
def test_webhook_needs_a_strong_secret(secret: str, message: str) -> None:
    """Who could guess it could tell the host anything."""
    assert fault_lines(webhook_url="https://host.example/h", webhook_secret=secret) == [
        f"AIRTABLE_OAUTH_WEBHOOK_SECRET: {message}: make one with `airtable-oauth keys webhook`"
    ]


def test_persistent_store_needs_a_key() -> None:
    """What leaves the process is sealed."""
    assert fault_lines(store_url="redis://localhost") == [
        "AIRTABLE_OAUTH_ENCRYPTION_KEYS: is missing, and this store needs it: make one with "
        "`airtable-oauth keys new`"
    ]
    assert make_settings(store_url="redis://localhost", encryption_keys=KEY).encryption_keys


@pytest.mark.parametrize(
    "key", ["short", "A" * 43, "AAECAwQFBgcICQoLDA0ODw", f"{KEY}!", f"{KEY},{'B' * 43}", "pässwörd"]
)
def test_weak_or_malformed_key_is_refused(key: str) -> None:
    """A passphrase, a short key or a repeated byte is no key."""
    assert fault_lines(encryption_keys=key) == [
        "AIRTABLE_OAUTH_ENCRYPTION_KEYS: holds a key that is malformed or weak: make each with "
        "`airtable-oauth keys new`"
    ]


def test_key_decodes_to_its_bytes() -> None:
    """Base64url without padding, 32 bytes."""
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
    """A settings object that is printed gives nothing away."""
    shown = repr(
        make_settings(
            client_secret="CANARY-1", store_url="redis://:CANARY-2@h", encryption_keys=KEY
        )
    )
    assert "CANARY" not in shown
    assert KEY not in shown


def test_patience_covers_two_operations_of_the_store() -> None:
    """Three seconds by default; it follows the time-out."""
    assert make_settings().store_patience == 3
    assert make_settings(store_timeout=6).store_patience == 12.2
    for seconds in (0, 61):
        assert fault_lines(store_timeout=seconds)
    assert fault_lines(store_pool_size=0)


@pytest.mark.parametrize("document", ["README.md", ".env.example"])
def test_every_setting_is_documented(document: str) -> None:
    """By its full name, in both places, and nothing there is made up."""
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", (ROOT / document).read_text()))
    assert named == {PREFIX + name.upper() for name in Settings.model_fields}
