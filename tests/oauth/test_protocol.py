import base64
import json
from typing import Any

import pytest

from airtable_oauth.errors import (
    Action,
    AirtableOAuthError,
    AuthorizationError,
    ClientRefused,
    InvalidGrant,
    RefreshConflict,
    TokenRequestRefused,
    UpstreamError,
)
from airtable_oauth.oauth.protocol import (
    Callback,
    OAuthClient,
    TokenSet,
    authorization_code,
    form_body,
    parse_token_response,
)
from tests.helpers import REDIRECT_URI

TOKENS: dict[str, Any] = {
    "access_token": "oaa.1",
    "refresh_token": "oar.1",
    "token_type": "Bearer",
    "scope": "data.records:read",
    "expires_in": 3600,
    "refresh_expires_in": 5184000,
}


def client(client_secret: str = "s3cret") -> OAuthClient:
    return OAuthClient(
        "an-id", client_secret, REDIRECT_URI, ("data.records:read", "user.email:read")
    )


def parse(body: Any, status: int = 200, grant_type: str = "refresh_token") -> TokenSet:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_token_response(status, data, grant_type=grant_type, requested_scope="as:requested")


def test_confidential_client_authenticates_with_basic() -> None:
    """Airtable requires it of a client with a secret. RFC 6749, section 2.3.1, defines it."""
    header = client("s3cret").token_headers()["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == b"an-id:s3cret"


def test_public_client_sends_no_authorization() -> None:
    """Airtable forbids the header without a secret. The client id is in the body instead."""
    assert "Authorization" not in client("").token_headers()
    assert client("").refresh_form(refresh_token="r")["client_id"] == "an-id"
    assert client("").exchange_form(code="c", code_verifier="v")["client_id"] == "an-id"


def test_forms_hold_what_the_rfc_names() -> None:
    """See RFC 6749, sections 4.1.3 and 6, and RFC 7636, section 4.5."""
    assert client().exchange_form(code="c", code_verifier="v") == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": REDIRECT_URI,
        "code_verifier": "v",
        "client_id": "an-id",
    }
    form = client().refresh_form(refresh_token="r&=+ü")
    assert form_body(form) == b"grant_type=refresh_token&refresh_token=r%26%3D%2B%C3%BC"


def test_tokens_are_read() -> None:
    assert parse(TOKENS) == TokenSet("oaa.1", "oar.1", "data.records:read", 3600, 5184000)


@pytest.mark.parametrize(
    "token_type", ["Bearer", "Bearer ", "bearer", "BEARER", "Bearer\n", None, 1]
)
def test_bearer_is_normalised(token_type: object) -> None:
    """Airtable's reference shows a trailing space, and RFC 6749 ignores case."""
    assert parse(TOKENS | {"token_type": token_type}).token_type == "Bearer"


def test_standard_server_may_leave_things_out() -> None:
    """A missing scope means the requested one. Without refresh_expires_in the end is unknown."""
    answer = {key: TOKENS[key] for key in TOKENS if key not in ("scope", "refresh_expires_in")}
    assert parse(answer) == TokenSet("oaa.1", "oar.1", "as:requested", 3600, None)


HOUR: list[Any] = [3600, 3600.0, 3600.9, "3600", " 3600 ", "3600.0"]
NO_LIFE: list[Any] = [0, -1, 0.5, True, None, "", "soon", [], {}, 10**12, 10**400]
NOT_FINITE = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [*((each, 3600) for each in HOUR), *((each, 300) for each in NO_LIFE + NOT_FINITE)],
)
def test_invalid_life_of_an_access_token_counts_as_short(value: object, seconds: int) -> None:
    """The refresh token is spent, so the new tokens must be used in spite of the bad field."""
    assert parse(TOKENS | {"expires_in": value}) == TokenSet(
        "oaa.1", "oar.1", "data.records:read", seconds, 5184000
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((each, 3600) for each in HOUR),
        *((each, None) for each in NO_LIFE[:-2] + NOT_FINITE),
        *((each, 365 * 86400) for each in (10**12, 400 * 86400)),
    ],
)
def test_life_of_a_refresh_token_is_optional(value: object, seconds: int | None) -> None:
    """Airtable sends sixty days. More than a year counts as one year."""
    assert parse(TOKENS | {"refresh_expires_in": value}).refresh_expires_in == seconds


@pytest.mark.parametrize(
    ("value", "scope"),
    [
        ("a:read  b:read", "a:read b:read"),
        (" a:read\tb:read\n", "a:read b:read"),
        ('a:read \u0000 b"d ü', "a:read"),
        ("", ""),
        (None, "as:requested"),
        (1, "as:requested"),
        (["a:read"], "as:requested"),
    ],
)
def test_scope_is_read_as_far_as_it_can_be(value: object, scope: str) -> None:
    """A malformed scope must not discard the tokens."""
    assert parse(TOKENS | {"scope": value}).scope == scope


@pytest.mark.parametrize("status", [201, 203])
def test_tokens_are_read_with_any_status_of_success(status: int) -> None:
    """A proxy in between may change the status."""
    assert parse(TOKENS, status).access_token == "oaa.1"


@pytest.mark.parametrize("value", [None, "", 1, ["r"]])
def test_refresh_without_a_new_refresh_token_keeps_the_old_one(value: object) -> None:
    """RFC 6749, section 6. A code exchange without one fails: the connection could not last."""
    body = json.dumps(TOKENS | {"refresh_token": value}).encode()
    kept = parse_token_response(
        200,
        body,
        grant_type="refresh_token",
        requested_scope="s",
        sent_refresh_token="oar.0",
    )
    assert kept.refresh_token == "oar.0"
    with pytest.raises(UpstreamError):
        parse(body, grant_type="authorization_code")


@pytest.mark.parametrize("value", ["two words", "non-ascii-ü", " padded "])
def test_refresh_token_is_any_text(value: str) -> None:
    """It is sent as a form field, exactly as it was received."""
    assert parse(TOKENS | {"refresh_token": value}).refresh_token == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>maintenance</html>",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        json.dumps(TOKENS).encode().replace(b"3600", b"1" + b"0" * 5000),
        json.dumps(TOKENS).encode().replace(b'"oaa.1"', rb'"\ud800"'),
        *(
            json.dumps({key: TOKENS[key] for key in TOKENS if key != missing}).encode()
            for missing in ("access_token",)
        ),
        *(
            json.dumps(TOKENS | wrong).encode()
            for wrong in (
                {"access_token": ""},
                {"access_token": "two words"},
                {"access_token": "line\nbreak"},
                {"access_token": "non-ascii-ü"},
                {"access_token": 17},
                {"token_type": "mac"},
            )
        ),
    ],
)
def test_200_that_is_no_token_answer_is_an_upstream_error(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        parse(body)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "invalid_grant"}, InvalidGrant),
        (401, {"error": "invalid_grant"}, InvalidGrant),
        (400, {"error": "invalid_request"}, TokenRequestRefused),
        (401, {"error": "invalid_client"}, ClientRefused),
        (400, {"error": "invalid_client"}, ClientRefused),
        (400, {"error": "unauthorized_client"}, ClientRefused),
        (400, {"error": "unsupported_grant_type"}, ClientRefused),
        (400, {"error": "invalid_scope"}, ClientRefused),
        (409, {"error": "invalid_request"}, RefreshConflict),
        (409, b"", RefreshConflict),
        (400, {"error": "something_new"}, UpstreamError),
        (400, {"error": {"type": "NOT_FOUND"}}, UpstreamError),
        (400, b"<html>", UpstreamError),
        (401, b"", UpstreamError),
        (403, {"error": "invalid_grant"}, UpstreamError),
        (404, {"error": "invalid_grant"}, UpstreamError),
        (429, {"error": "invalid_grant"}, UpstreamError),
        (500, {"error": "invalid_grant"}, UpstreamError),
        (503, b"", UpstreamError),
        (307, b"", UpstreamError),
        (204, b"", UpstreamError),
    ],
)
def test_error_answers(status: int, body: Any, error: type[AirtableOAuthError]) -> None:
    """Only errors that RFC 6749 defines have a meaning. Others are upstream errors."""
    with pytest.raises(error) as caught:
        parse(body, status)
    assert type(caught.value) is error


def test_409_is_a_conflict_for_refreshes_only() -> None:
    """Airtable documents 409 for refresh requests only."""
    with pytest.raises(UpstreamError):
        parse({"error": "invalid_request"}, 409, "authorization_code")


def test_errors_quote_nothing() -> None:
    """Neither the error's text nor its cause quotes the answer."""
    for status in (200, 400):
        with pytest.raises(UpstreamError) as caught:
            parse({"error": 1, "access_token": "CANARY two words"}, status)
        assert caught.value.__cause__ is None
        assert "CANARY" not in str(caught.value)


def test_callback_with_a_code() -> None:
    """See RFC 6749, section 4.1.2."""
    assert authorization_code(Callback("st", code="c")) == "c"


@pytest.mark.parametrize(
    ("error", "action"),
    [
        ("access_denied", Action.RESTART_LOGIN),
        ("invalid_request", Action.RESTART_LOGIN),
        ("server_error", Action.RESTART_LOGIN),
        ("temporarily_unavailable", Action.RESTART_LOGIN),
        ("invalid_scope", Action.FIX_CONFIG),
        ("unsupported_response_type", Action.FIX_CONFIG),
    ],
)
def test_callback_with_an_error_that_airtable_documents(error: str, action: Action) -> None:
    """See RFC 6749, section 4.1.2.1. The error code is passed on."""
    with pytest.raises(AuthorizationError) as caught:
        authorization_code(Callback("st", error=error))
    assert (caught.value.error, caught.value.action) == (error, action)


def test_callback_with_an_undocumented_error() -> None:
    """It is not quoted."""
    with pytest.raises(AuthorizationError) as caught:
        authorization_code(Callback("st", error="CANARY"))
    assert caught.value.error == "invalid_request"
    assert "CANARY" not in caught.value.description


@pytest.mark.parametrize(
    "callback", [Callback("st", code="c", error="access_denied"), Callback("st")]
)
def test_callback_with_both_or_neither(callback: Callback) -> None:
    """No authorization server sends that."""
    with pytest.raises(AuthorizationError) as caught:
        authorization_code(callback)
    assert caught.value.error == "invalid_request"
