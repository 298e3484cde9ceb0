"""Requests generated from the OpenAPI document, sent to the real process."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from airtable_oauth.app import create_app
from tests.helpers import CSRF, begin, decide, make_settings
from tests.processes import Stack, stack

pytestmark = pytest.mark.integration

load_all_checks()
NOT_OURS = CHECKS.get_by_names(
    [
        "positive_data_acceptance",  # a well-formed state is still refused if it is unknown
        "missing_required_header",  # X-CSRF is documented in words, with similar headers
    ]
)
OPENAPI = create_app(make_settings(node_compat=True)).openapi()
DOCUMENT = json.dumps(OPENAPI, ensure_ascii=False)
SCHEMA = schemathesis.openapi.from_dict(OPENAPI)
SCHEMA.config.checks.negative_data_rejection.expected_statuses.append("413")
OPERATIONS: list[Any] = [operation.ok() for operation in SCHEMA.get_all_operations()]  # type: ignore[union-attr] # an error raises


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("generated"), NODE_COMPAT="true") as made:
        yield made


@pytest.fixture
def cookie(service: Stack) -> str:
    """The session cookie of a logged-in user."""

    async def log_in() -> str:
        async with httpx.AsyncClient(base_url=service.api) as browser:
            async with httpx.AsyncClient() as person:
                parameters = await decide(person, await begin(browser))
            answer = await browser.post("/session", json=parameters, headers=CSRF)
        return answer.headers["set-cookie"].partition(";")[0]

    return asyncio.run(log_in())


def texts(sent: Any) -> Iterator[str]:
    """All strings in `sent` that the document lacks and that are too long to match by chance."""
    if isinstance(sent, str):
        yield from (sent,) if len(sent) >= 16 and sent not in DOCUMENT else ()
    elif isinstance(sent, dict):
        yield from texts(list(sent.values()))
    elif isinstance(sent, list | tuple):
        for part in sent:
            yield from texts(part)


def test_every_operation_is_generated() -> None:
    """If operations were missing, the other tests of this module would check too little."""
    assert len(OPERATIONS) >= 8


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        (operation, mode)
        for operation in OPERATIONS
        for mode in schemathesis.GenerationMode
        if mode.is_positive or operation.body or operation.query
    ],
    ids=lambda value: getattr(value, "label", str(value)),
)
def test_every_answer_is_documented(service: Stack, cookie: str, operation: Any, mode: Any) -> None:
    """Status and body follow the document, none is a 500, and none repeats the input."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=settings().max_examples // 4,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        headers = CSRF | {"Cookie": cookie}
        answer = case.call(base_url=service.api, headers=headers)
        assume(answer.status_code != 414)  # the server sends it before any route is called
        case.validate_response(answer, headers=headers, excluded_checks=NOT_OURS)
        assert answer.status_code != 500
        received = f"{answer.text} {answer.headers}"
        assert not [text for text in texts((case.query, case.body)) if text in received]

    check()
