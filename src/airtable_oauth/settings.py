"""The settings, read from the environment, `.env` and Docker secrets, and validated."""

import base64
import binascii
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from airtable_oauth.oauth.redirect_uri import REDIRECT_URI_RULES
from airtable_oauth.stores import STORE_TIMEOUT
from airtable_oauth.stores.url import fault_of, normal_store_url
from airtable_oauth.urls import (
    NOT_A_URL,
    NOT_HTTPS,
    NOT_PRINTABLE,
    is_https_or_local,
    is_printable,
    normal_base_url,
    origin_of,
    split_url,
)

__all__ = ["Settings", "faults"]

PREFIX = "AIRTABLE_OAUTH_"
_PREFIX_OF_ERROR = "airtable_oauth_prefix"
"""The attribute of a `ValidationError` that holds the prefix of the variables that were read."""
_SECRETS = Path("/run/secrets")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3
WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 (only a prefix)
_WEBHOOK_KEY_BYTES = range(24, 65)
_DAY = 24 * 3600
_KEY_BYTES = 32
_KEY_MIN_DISTINCT_BYTES = 16  # 32 random bytes hold about 30 different ones


class Settings(BaseSettings):
    """The configuration of one integration. Frozen; there is no global instance.

    Each field is the variable `AIRTABLE_OAUTH_<FIELD>`. If a variable is missing or invalid,
    `Settings()` raises `pydantic.ValidationError`; `airtable_oauth.settings.faults` turns that into
    one readable line per variable, without its value.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        secrets_dir=_SECRETS if _SECRETS.is_dir() else None,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        str_strip_whitespace=True,
    )

    _prefix: str = PrivateAttr(default=PREFIX)

    def __init__(self, **values: Any) -> None:
        """Read every setting that is not in `values` from the environment.

        Raises:
            ValidationError: a variable is invalid or missing. `faults` describes it.
        """
        given = values.get("_env_prefix")
        prefix = self.model_config.get("env_prefix", "") if given is None else given
        try:
            super().__init__(**values)
        except ValidationError as error:
            setattr(error, _PREFIX_OF_ERROR, prefix)
            raise
        self._prefix = prefix

    name: str = "airtable"
    """Part of cookie names and store keys; lets two integrations share a host and a store"""

    client_id: str
    """The integration's client ID"""

    client_secret: SecretStr = SecretStr("")
    """The integration's client secret; empty for an integration without one"""

    redirect_uri: str
    """The SPA's callback route, exactly as registered with Airtable"""

    scopes: Annotated[tuple[str, ...], NoDecode]
    """The scopes to request, space-delimited; each must be enabled on the integration's page"""

    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of the SPAs that call this service, comma-separated; empty if same-origin"""

    public_url: str = "http://localhost:3000"
    """Where browsers reach this service; https makes cookies `Secure`"""

    airtable_url: str = "https://airtable.com"
    """The authorization server"""

    airtable_api_url: str = "https://api.airtable.com"
    """Airtable's Web API"""

    airtable_content_url: str = "https://content.airtable.com"
    """The part of Airtable's Web API that accepts uploads of attachments"""

    store_url: SecretStr = SecretStr("memory://")
    """`memory://`, `redis://…`, `rediss://…`, `sqlite:///file` or `postgresql://…`"""

    store_timeout: Annotated[float, Field(ge=0.1, le=60)] = STORE_TIMEOUT
    """Seconds for one store operation, including the time to connect"""

    store_pool_size: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Connections per process; by default 50 to Redis, 20 to PostgreSQL, 4 to SQLite"""

    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys from `airtable-oauth keys new`, comma-separated: the first encrypts, all decrypt"""

    login_ttl: Annotated[int, Field(ge=30, le=600)] = 600
    """Seconds from the authorization URL until the person must be back from Airtable"""

    max_pending_logins: Annotated[int, Field(ge=1)] = 100_000
    """How many logins `memory://` holds before it refuses new ones"""

    session_idle_ttl: Annotated[int, Field(ge=60, le=60 * _DAY)] = 14 * _DAY
    """Seconds until an unused session ends"""

    session_max_ttl: Annotated[int, Field(ge=60, le=365 * _DAY)] = 60 * _DAY
    """Seconds until any session ends; a connection ends at most an hour after its last session"""

    expose_tokens: bool = True
    """Whether to serve `/token-exchange` and `/token-refresh`, which hand tokens to browsers"""

    node_compat: bool = False
    """Whether to serve two routes of an older Node service; their logins are bound to no browser"""

    docs: bool = True
    """Whether to serve `/docs`, `/openapi.json` and `/`, which points to them"""

    upstream_timeout: Annotated[float, Field(gt=0, le=60)] = 10.0
    """Seconds for Airtable to answer a token request, or to begin any other answer (uploads: 60)"""

    webhook_url: SecretStr = SecretStr("")
    """Where to post signed events of connections; empty to send none"""

    webhook_secret: SecretStr = SecretStr("")
    """The key that signs these events, from `airtable-oauth keys webhook`"""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged"""

    log_format: Literal["console", "json"] = "console"
    """`console` for people, `json` for one object per line"""

    telemetry: bool = False
    """Whether to export spans and metrics with OTLP, configured by the `OTEL_…` variables"""

    forwarded_allow_ips: Annotated[tuple[str, ...], NoDecode] = ()
    """Proxies whose `X-Forwarded-For` the log trusts: addresses or networks, comma-separated"""

    def variable(self, field: str) -> str:
        """The environment variable of a field, with its prefix."""
        return f"{self._prefix}{field}".upper()

    @property
    def secure(self) -> bool:
        """Whether browsers reach this service over https."""
        return self.public_url.startswith("https://")

    @property
    def store_patience(self) -> float:
        """Seconds that a request waits for the store: twice `store_timeout`, plus 0.2."""
        return 2 * self.store_timeout + 0.2

    @property
    def own_origin(self) -> str:
        """The origin of `public_url`."""
        return origin_of(self.public_url)

    @field_validator(
        "scopes", "allowed_origins", "encryption_keys", "forwarded_allow_ips", mode="before"
    )
    @classmethod
    def _split(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        items = value.split() if info.field_name == "scopes" else value.split(",")
        return tuple(item.strip() for item in items if item.strip())

    @field_validator("name")
    @classmethod
    def _short_name(cls, value: str) -> str:
        _require(
            re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", value) is not None,
            "must have 1 to 32 characters of a-z, 0-9 and -, and not begin with -",
        )
        return value

    @field_validator("client_id")
    @classmethod
    def _printable_client_id(cls, value: str) -> str:
        _require(
            re.fullmatch(r"[\x21-\x39\x3b-\x7e]+", value) is not None,
            "is empty, or contains a colon, a space or characters that are not printable ASCII",
        )
        return value

    @field_validator("client_secret")
    @classmethod
    def _printable(cls, value: SecretStr) -> SecretStr:
        _require(is_printable(value.get_secret_value()), NOT_PRINTABLE)
        return value

    @field_validator("redirect_uri")
    @classmethod
    def _accepted_by_airtable(cls, value: str) -> str:
        for rule, message in REDIRECT_URI_RULES:
            _require(rule(value), message)
        return value

    @field_validator("scopes")
    @classmethod
    def _scope_tokens(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _require(bool(value), "must name at least one scope")
        _require(
            all(_SCOPE_TOKEN.fullmatch(scope) for scope in value), "contains a malformed scope"
        )
        _require(len(set(value)) == len(value), "contains a scope twice, which Airtable refuses")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _exact_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            _require("*" not in origin, "must not contain wildcards: list each origin")
            _require(origin != "null", "must not contain null: any sandboxed page can send it")
            _require(
                _is_origin(origin), "must list origins, without a path: https://app.example.com"
            )
            _require(is_https_or_local(origin), NOT_HTTPS)
        return tuple(dict.fromkeys(origin_of(origin) for origin in value))

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _require(all(_is_network(each) for each in value), "must list IP addresses or networks")
        return value

    @field_validator("public_url", "airtable_url", "airtable_api_url", "airtable_content_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        _require(split_url(value) is not None, NOT_A_URL)
        _require(
            not re.search(r"[?#@]", value), "must not contain a user name, a query or a fragment"
        )
        _require(is_https_or_local(value), NOT_HTTPS)
        return normal_base_url(value)

    @field_validator("store_url")
    @classmethod
    def _known_store(cls, value: SecretStr) -> SecretStr:
        url = normal_store_url(value.get_secret_value())
        fault = fault_of(url)
        _require(fault is None, fault or "")
        return SecretStr(url)

    @field_validator("encryption_keys")
    @classmethod
    def _strong_keys(
        cls, value: tuple[SecretStr, ...], info: ValidationInfo
    ) -> tuple[SecretStr, ...]:
        for key in value:
            _require(
                _is_strong(key.get_secret_value()),
                "contains a malformed or weak key: create each with `airtable-oauth keys new`",
            )
        store_url = info.data.get("store_url")
        if store_url and not store_url.get_secret_value().startswith("memory:"):
            _require(
                bool(value),
                "is missing, and this store needs it: create one with `airtable-oauth keys new`",
            )
        return value

    @field_validator("webhook_url")
    @classmethod
    def _webhook(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        _require(not url or split_url(url) is not None, NOT_A_URL)
        _require(not url or is_https_or_local(url), NOT_HTTPS)
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _webhook_secret(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        url = info.data.get("webhook_url")
        if url and url.get_secret_value():
            secret = value.get_secret_value()
            _require(bool(secret), "is missing: create one with `airtable-oauth keys webhook`")
            _require(
                _is_webhook_secret(secret),
                "is malformed or not 24 to 64 bytes: create one with `airtable-oauth keys webhook`",
            )
        return value

    @field_validator("node_compat")
    @classmethod
    def _exposes_tokens(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 (a validator)
        _require(
            not value or info.data.get("expose_tokens", True),
            "hands tokens to browsers, so it must be off with EXPOSE_TOKENS=false",
        )
        return value


def faults(error: ValidationError) -> list[str]:
    """One readable line per invalid or missing variable, with its name but never its value."""
    prefix = getattr(error, _PREFIX_OF_ERROR, PREFIX)
    return [
        f"{prefix}{fault['loc'][0]}".upper() + f": {_sentence(fault)}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def decode_key(text: str) -> bytes:
    """Decode an encryption key, as `airtable-oauth keys new` prints it, to its 32 bytes.

    Raises:
        ValueError: the text is not base64url of 32 bytes.
    """
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if len(key) != _KEY_BYTES:
        raise ValueError(f"not {_KEY_BYTES} bytes")
    return key


def decode_webhook_secret(text: str) -> bytes:
    """Decode a webhook secret in the format of Standard Webhooks: `whsec_` and base64.

    Raises:
        ValueError: the format is wrong, or the key is not 24 to 64 bytes long.
    """
    encoded = text.removeprefix(WEBHOOK_SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if encoded == text or len(key) not in _WEBHOOK_KEY_BYTES:
        raise ValueError("not a webhook secret")
    return key


def _sentence(fault: Any) -> str:
    if fault["type"] == "missing":
        return "is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 (reads as an assertion)
    if not condition:
        raise ValueError(message)


def _is_strong(text: str) -> bool:
    try:
        return len(set(decode_key(text))) >= _KEY_MIN_DISTINCT_BYTES
    except ValueError:
        return False


def _is_webhook_secret(text: str) -> bool:
    try:
        decode_webhook_secret(text)
    except ValueError:
        return False
    return True


def _is_origin(text: str) -> bool:
    parts = split_url(text)
    return parts is not None and parts.path in ("", "/") and not re.search(r"[?#@]", text)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
