"""Random answers of Airtable and random parameters of the redirect."""

import asyncio
import json
import re
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from airtable_oauth.app import create_app
from airtable_oauth.errors import AirtableError
from airtable_oauth.oauth.protocol import TokenSet, form_body, parse_token_response
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import CSRF, begin, make_settings, query_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = {
    "access_token": st.just("oaa-token") | JSON,
    "refresh_token": st.just("oar-token") | JSON,
    "token_type": st.sampled_from(["Bearer", "Bearer ", "bearer"]) | JSON,
    "expires_in": st.integers(1, 3600) | JSON,
}
ANSWERS = st.fixed_dictionaries(
    FIELDS, optional={"scope": st.text() | JSON, "refresh_expires_in": JSON, "error": JSON}
)
BODIES = st.binary() | (ANSWERS | JSON).map(lambda answer: json.dumps(answer).encode())
STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 429, 500, 503])
GRANTS = st.sampled_from(["authorization_code", "refresh_token"])
TEXTS = st.text(max_size=60) | st.sampled_from(["", "access_denied", "server_error", "a" * 5000])
ANSWER: list[Any] = []
"""The status and body of Airtable's next answer."""
APP = create_app(
    make_settings(),
    store=MemoryStore(),
    transport=httpx.MockTransport(lambda _: httpx.Response(ANSWER[0], content=ANSWER[1])),
)


@given(status=STATUSES, body=BODIES, grant_type=GRANTS)
def test_token_answer_is_tokens_or_an_error_that_quotes_nothing(
    status: int, body: bytes, grant_type: str
) -> None:
    """No other exception is raised. Accepted tokens can be sent in a header and stored."""
    found = judged(status, body, grant_type)
    if isinstance(found, AirtableError):
        assert found.__cause__ is None
        own = {"error", "action", "description", "cause"}
        assert set(vars(found)) <= own | set(vars(HTTPException(500)))
        assert found.detail == found.description
        assert found.cause is None or re.fullmatch(r"HTTP \d{3}( [\w-]+)*", found.cause)
    else:
        assert 200 <= status < 300
        assert found.expires_in > 0
        assert found.access_token.isascii()
        assert found.access_token.isprintable()
        assert " " not in found.access_token
        assert form_body({"refresh_token": found.refresh_token})


def judged(status: int, body: bytes, grant_type: str) -> TokenSet | AirtableError:
    try:
        return parse_token_response(status, body, grant_type=grant_type, requested_scope="s")
    except AirtableError as error:
        return error


@given(
    parameters=st.dictionaries(
        st.sampled_from(["code", "error", "error_description"]), TEXTS | JSON, max_size=3
    ),
    state=st.none() | TEXTS,
    answer=st.tuples(STATUSES, BODIES),
)
def test_callback_ends_in_one_documented_body(
    parameters: dict[str, Any], state: str | None, answer: tuple[int, bytes]
) -> None:
    """This holds for any parameters and any state. None stands for the state of a real login."""

    async def run() -> httpx.Response:
        ANSWER[:] = answer
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(APP), base_url="http://localhost:3000"
        ) as browser:
            begun = query_of(await begin(browser))["state"]
            body = parameters | {"state": begun if state is None else state}
            content = json.dumps(body).encode()
            headers = CSRF | {"Content-Type": "application/json"}
            return await browser.post("/token-exchange", content=content, headers=headers)

    response = asyncio.run(run())
    assert response.status_code in {200, 400, 413, 422, 500, 502}
    if response.status_code == 200:
        assert response.json()["access_token"]
        return
    body = response.json()
    assert set(body) == {"error", "error_description", "action", "request_id"}
    if response.status_code == 500:
        assert body["action"] == "fix_config", "a bug of the service"
    for sent in parameters.values():
        if isinstance(sent, str) and len(sent) > 15:
            assert sent not in response.text
