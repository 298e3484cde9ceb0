"""The Web API, as far as it is simulated."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from airtable_oauth.simulator import Simulator
from tests.helpers import AIRTABLE, SCOPES, make_simulator
from tests.simulator.test_oauth import connect


@pytest.fixture
async def api(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE
    ) as client:
        tokens = await connect(client)
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield client


async def get(api: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def table_of(api: httpx.AsyncClient, base: str, table: str) -> str:
    bases = {found["name"]: found["id"] for found in (await get(api, "/v0/meta/bases"))["bases"]}
    tables = (await get(api, f"/v0/meta/bases/{bases[base]}/tables"))["tables"]
    ids = {found["name"]: found["id"] for found in tables}
    return f"/v0/{bases[base]}/{ids[table]}"


def assert_error(answer: httpx.Response, status: int, kind: str) -> None:
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)


async def test_whoami(api: httpx.AsyncClient) -> None:
    """Id and scopes; the address with `user.email:read`."""
    assert await get(api, "/v0/meta/whoami") == {
        "id": "usrEhBi2lISp8sNGt",
        "scopes": list(SCOPES),
        "email": "mina@example.com",
    }


async def test_three_bases(api: httpx.AsyncClient) -> None:
    """All that were granted."""
    bases = (await get(api, "/v0/meta/bases"))["bases"]
    assert [base["name"] for base in bases] == [
        "Product launch",
        "Content calendar",
        "Inventory and orders",
    ]
    assert all(base["id"].startswith("app") and len(base["id"]) == 17 for base in bases)


async def test_tables_have_fields_of_many_types(api: httpx.AsyncClient) -> None:
    """As the reference describes them."""
    types = set()
    for base in (await get(api, "/v0/meta/bases"))["bases"]:
        for table in (await get(api, f"/v0/meta/bases/{base['id']}/tables"))["tables"]:
            assert table["primaryFieldId"] == table["fields"][0]["id"]
            types |= {field["type"] for field in table["fields"]}
    assert len(types) >= 14


async def test_records_come_in_pages(api: httpx.AsyncClient) -> None:
    """A hundred at most, with an offset that continues."""
    table = await table_of(api, "Inventory and orders", "Orders")
    first = await get(api, table)
    second = await get(api, table, offset=first["offset"])
    assert (len(first["records"]), len(second["records"])) == (100, 40)
    assert "offset" not in second
    ids = {record["id"] for record in first["records"] + second["records"]}
    assert len(ids) == 140


async def test_record_leaves_out_empty_cells(api: httpx.AsyncClient) -> None:
    """And unchecked ones."""
    table = await table_of(api, "Product launch", "Tasks")
    records = (await get(api, table))["records"]
    assert all(
        "Blocked" not in record["fields"] or record["fields"]["Blocked"] for record in records
    )
    assert any("Notes" not in record["fields"] for record in records)
    assert await get(api, f"{table}/{records[0]['id']}") == records[0]


async def test_listing_sorts_limits_and_selects(api: httpx.AsyncClient) -> None:
    """The parameters that need no formula."""
    table = await table_of(api, "Inventory and orders", "Products")
    parameters = {
        "sort[0][field]": "Price",
        "sort[0][direction]": "desc",
        "maxRecords": 2,
        "fields[]": "Price",
    }
    records = (await get(api, table, **parameters))["records"]
    assert [record["fields"] for record in records] == [{"Price": 119.0}, {"Price": 79.0}]


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"pageSize": "101"}, "INVALID_REQUEST_UNKNOWN"),
        ({"pageSize": "x"}, "INVALID_REQUEST_UNKNOWN"),
        ({"offset": "itrUnknown/100"}, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"),
        ({"sort[0][field]": "Nothing"}, "UNKNOWN_FIELD_NAME"),
        ({"filterByFormula": "1"}, "INVALID_FILTER_BY_FORMULA"),
    ],
)
async def test_faulty_listing(
    api: httpx.AsyncClient, parameters: dict[str, str], kind: str
) -> None:
    """422 with Airtable's type."""
    table = await table_of(api, "Inventory and orders", "Orders")
    assert_error(await api.get(table, params=parameters), 422, kind)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic eDp5"])
async def test_no_token_is_401(api: httpx.AsyncClient, header: str) -> None:
    """On every path."""
    for path in ("/v0/meta/whoami", "/v0/meta/bases", "/v0/appX/tblX"):
        answer = await api.get(path, headers={"Authorization": header})
        assert_error(answer, 401, "AUTHENTICATION_REQUIRED")


async def test_what_was_not_granted_is_403(api: httpx.AsyncClient) -> None:
    """A base, a table or a record that is not there looks the same."""
    table = await table_of(api, "Product launch", "Tasks")
    for path in ("/v0/appUnknown/tblX", table[:-1], f"{table}/recUnknown"):
        assert_error(await api.get(path), 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")


async def test_scope_that_was_not_granted_is_403() -> None:
    """Only what the consent page listed."""
    simulator = make_simulator(scopes=("user.email:read",))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE
    ) as client:
        tokens = await connect(client, scope="user.email:read")
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/v0/meta/whoami", headers=headers)).status_code == 200
        answer = await client.get("/v0/meta/bases", headers=headers)
    assert_error(answer, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")


async def test_browsers_may_call_the_api(api: httpx.AsyncClient) -> None:
    """CORS for every origin, with the headers that a SPA needs."""
    preflight = await api.options(
        "/v0/meta/whoami",
        headers={
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"


async def test_every_answer_sets_a_cookie(api: httpx.AsyncClient) -> None:
    """As Airtable does; nobody should send it on."""
    assert (await api.get("/v0/meta/whoami")).headers["set-cookie"].startswith("brw=")


async def test_control_api(api: httpx.AsyncClient, simulator: Simulator) -> None:
    """What was seen, and a clock to move."""
    assert {"/oauth2/v1/authorize", "/oauth2/v1/token"} <= {
        seen.path for seen in simulator.requests
    }
    assert len((await api.get("/_simulator/requests")).json()) == len(simulator.requests)
    await api.delete("/_simulator/requests")
    assert not simulator.requests
    await api.post("/_simulator/clock", json={"advance": 3600})
    assert (await api.get("/v0/meta/whoami")).status_code == 401
    assert [(seen.path, seen.status) for seen in simulator.requests] == [("/v0/meta/whoami", 401)]
