"""The part of the Web API that is simulated."""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from airtable_oauth.simulator import Integration, Simulator, some_users
from tests.helpers import AIRTABLE, CONTROL, REDIRECT_URI, SCOPES, decide, make_simulator
from tests.simulator.test_oauth import AUTHORIZATION, connect, exchange_form, send


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
    """The answer has id and scopes, and the email address with `user.email:read`."""
    assert await get(api, "/v0/meta/whoami") == {
        "id": "usrEhBi2lISp8sNGt",
        "scopes": list(SCOPES),
        "email": "mina@example.com",
    }


async def test_three_bases(api: httpx.AsyncClient) -> None:
    """The list has every base that was granted."""
    bases = (await get(api, "/v0/meta/bases"))["bases"]
    assert [base["name"] for base in bases] == [
        "Product launch",
        "Content calendar",
        "Inventory and orders",
    ]
    assert all(base["id"].startswith("app") and len(base["id"]) == 17 for base in bases)


async def test_tables_have_fields_of_many_types(api: httpx.AsyncClient) -> None:
    """The first field of each table is its primary field."""
    types = set()
    for base in (await get(api, "/v0/meta/bases"))["bases"]:
        for table in (await get(api, f"/v0/meta/bases/{base['id']}/tables"))["tables"]:
            assert table["primaryFieldId"] == table["fields"][0]["id"]
            types |= {field["type"] for field in table["fields"]}
    assert len(types) >= 14


async def test_records_come_in_pages(api: httpx.AsyncClient) -> None:
    """A page has at most a hundred records. Its offset leads to the next page."""
    table = await table_of(api, "Inventory and orders", "Orders")
    first = await get(api, table)
    second = await get(api, table, offset=first["offset"])
    assert (len(first["records"]), len(second["records"])) == (100, 40)
    assert "offset" not in second
    ids = {record["id"] for record in first["records"] + second["records"]}
    assert len(ids) == 140


async def test_record_leaves_out_empty_cells(api: httpx.AsyncClient) -> None:
    """A record also leaves out checkboxes that are not checked."""
    table = await table_of(api, "Product launch", "Tasks")
    records = (await get(api, table))["records"]
    assert all(
        "Blocked" not in record["fields"] or record["fields"]["Blocked"] for record in records
    )
    assert any("Notes" not in record["fields"] for record in records)
    assert await get(api, f"{table}/{records[0]['id']}") == records[0]


async def test_listing_sorts_limits_and_selects(api: httpx.AsyncClient) -> None:
    """`fields` and `sort` accept names."""
    table = await table_of(api, "Inventory and orders", "Products")
    parameters = {
        "sort[0][field]": "Price",
        "sort[0][direction]": "desc",
        "maxRecords": 2,
        "fields[]": "Price",
    }
    records = (await get(api, table, **parameters))["records"]
    assert [record["fields"] for record in records] == [{"Price": 119.0}, {"Price": 79.0}]


async def test_listing_sorts_by_several_fields_named_by_their_ids(api: httpx.AsyncClient) -> None:
    """The first field counts most. The cells keep the names of their fields."""
    path = await table_of(api, "Inventory and orders", "Products")
    base = path.split("/")[2]
    products = (await get(api, f"/v0/meta/bases/{base}/tables"))["tables"][0]
    ids = {field["name"]: field["id"] for field in products["fields"]}
    parameters = {
        "sort[0][field]": ids["Rating"],
        "sort[0][direction]": "desc",
        "sort[1][field]": ids["Price"],
        "fields[]": ids["SKU"],
    }
    records = (await get(api, path, **parameters))["records"]
    assert [record["fields"]["SKU"] for record in records] == [
        "TRY-003",
        "LMP-014",
        "NTB-021",
        "LMP-015",
        "SHF-007",
        "SLV-140",
    ]


@pytest.mark.parametrize(
    "formula",
    [
        'OR(RECORD_ID()="{0}",RECORD_ID()="{1}")',
        "or( record_id() = '{1}' , RECORD_ID( )='{0}' )",
        'OR(RECORD_ID()="{0}",RECORD_ID()="recUnknown",RECORD_ID()="{1}")',
    ],
)
async def test_formula_selects_records_by_id(api: httpx.AsyncClient, formula: str) -> None:
    """Ids that the table does not have are left out. The order is the table's."""
    table = await table_of(api, "Inventory and orders", "Orders")
    ids = [record["id"] for record in (await get(api, table))["records"]]
    wanted = [ids[3], ids[40]]
    found = await get(api, table, filterByFormula=formula.format(*wanted))
    assert [record["id"] for record in found["records"]] == wanted
    assert "offset" not in found
    one = await get(api, table, filterByFormula=f"RECORD_ID()='{ids[5]}'")
    assert [record["id"] for record in one["records"]] == [ids[5]]


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"pageSize": "101"}, "INVALID_REQUEST_UNKNOWN"),
        ({"pageSize": "x"}, "INVALID_REQUEST_UNKNOWN"),
        ({"pageSize": "9" * 5000}, "INVALID_REQUEST_UNKNOWN"),
        ({"offset": "itrUnknown/100"}, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"),
        ({"sort[0][field]": "Nothing"}, "UNKNOWN_FIELD_NAME"),
        ({"sort[0][field]": "Order", "sort[0][direction]": "up"}, "INVALID_REQUEST_UNKNOWN"),
        ({"fields[]": "Nothing"}, "UNKNOWN_FIELD_NAME"),
        ({"filterByFormula": "1"}, "INVALID_FILTER_BY_FORMULA"),
        ({"filterByFormula": "OR()"}, "INVALID_FILTER_BY_FORMULA"),
        ({"filterByFormula": 'RECORD_ID()="a" OR 1'}, "INVALID_FILTER_BY_FORMULA"),
    ],
)
async def test_faulty_listing(
    api: httpx.AsyncClient, parameters: dict[str, str], kind: str
) -> None:
    """The answer is 422 with Airtable's error type."""
    table = await table_of(api, "Inventory and orders", "Orders")
    assert_error(await api.get(table, params=parameters), 422, kind)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic eDp5"])
async def test_no_token_is_401(api: httpx.AsyncClient, header: str) -> None:
    """This holds on every path."""
    for path in ("/v0/meta/whoami", "/v0/meta/bases", "/v0/appX/tblX"):
        answer = await api.get(path, headers={"Authorization": header})
        assert_error(answer, 401, "AUTHENTICATION_REQUIRED")


async def test_what_was_not_granted_is_403(api: httpx.AsyncClient) -> None:
    """An unknown base, table or record gets the same answer."""
    table = await table_of(api, "Product launch", "Tasks")
    for path in ("/v0/appUnknown/tblX", table[:-1], f"{table}/recUnknown"):
        assert_error(await api.get(path), 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")


async def test_scope_that_was_not_granted_is_403() -> None:
    """Only the scopes that the consent page listed are granted."""
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
    """CORS allows every origin, with the headers that a single-page app needs."""
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
    """Airtable does this too. The service must not pass the cookie on."""
    assert (await api.get("/v0/meta/whoami")).headers["set-cookie"].startswith("brw=")


async def test_control_api(api: httpx.AsyncClient, simulator: Simulator) -> None:
    """The control API lists requests and advances the clock."""
    assert {"/oauth2/v1/authorize", "/oauth2/v1/token"} <= {
        seen.path for seen in simulator.requests
    }
    assert len((await api.get(f"{CONTROL}/requests")).json()) == len(simulator.requests)
    await api.delete(f"{CONTROL}/requests")
    assert not simulator.requests
    await api.post(f"{CONTROL}/clock", json={"advance": 3600})
    assert (await api.get("/v0/meta/whoami")).status_code == 401
    assert [(seen.path, seen.status) for seen in simulator.requests] == [("/v0/meta/whoami", 401)]


# Writing


@pytest.fixture
async def writer() -> AsyncIterator[httpx.AsyncClient]:
    scopes = (*SCOPES, "data.records:write")
    simulator = make_simulator(scopes=scopes)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE
    ) as client:
        tokens = await connect(client, scope=" ".join(scopes))
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield client


async def products(writer: httpx.AsyncClient) -> str:
    return await table_of(writer, "Inventory and orders", "Products")


async def test_record_is_created_changed_and_deleted(writer: httpx.AsyncClient) -> None:
    """Each request changes one record."""
    table = await products(writer)
    made = (await writer.post(table, json={"fields": {"Product": "Vase", "Price": 12}})).json()
    assert made["fields"] == {"Product": "Vase", "Price": 12}
    path = f"{table}/{made['id']}"
    changed = await writer.patch(path, json={"fields": {"In stock": 3, "Price": None}})
    assert changed.json()["fields"] == {"Product": "Vase", "In stock": 3}
    replaced = await writer.put(path, json={"fields": {"Product": "Bowl", "Discontinued": False}})
    assert replaced.json()["fields"] == {"Product": "Bowl"}
    await writer.post(f"{CONTROL}/clock", json={"advance": 2})  # stay below five requests a second
    assert (await writer.delete(path)).json() == {"id": made["id"], "deleted": True}
    assert (await writer.get(path)).status_code == 403


async def test_ten_records_at_a_time(writer: httpx.AsyncClient) -> None:
    """A request may change ten records, but not more."""
    table = await products(writer)
    records = [{"fields": {"Product": f"Item {number}"}} for number in range(10)]
    made = (await writer.post(table, json={"records": records})).json()["records"]
    assert len(made) == 10
    changes = [{"id": each["id"], "fields": {"In stock": 1}} for each in made]
    changed = (await writer.patch(table, json={"records": changes})).json()["records"]
    assert {each["fields"]["In stock"] for each in changed} == {1}
    query = [("records[]", each["id"]) for each in made]
    gone = (await writer.delete(table, params=query)).json()["records"]
    assert [each["deleted"] for each in gone] == [True] * 10
    answer = await writer.post(table, json={"records": [*records, *records]})
    assert_error(answer, 422, "INVALID_REQUEST_UNKNOWN")


async def test_upsert_merges_on_fields(writer: httpx.AsyncClient) -> None:
    """An upsert updates the records that match and creates the others."""
    table = await products(writer)
    before = len((await get(writer, table))["records"])
    body = {
        "performUpsert": {"fieldsToMergeOn": ["SKU"]},
        "records": [
            {"fields": {"SKU": "LMP-014", "In stock": 1}},
            {"fields": {"SKU": "NEW-1", "Product": "New"}},
        ],
    }
    ended = (await writer.patch(table, json=body)).json()["records"]
    assert ended[0]["fields"]["Product"] == "Desk lamp, brass"
    assert ended[0]["fields"]["In stock"] == 1
    assert len((await get(writer, table))["records"]) == before + 1


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("Blocked", False, None),
        ("Notes", "", None),
        ("Notes", None, None),
        ("Status", None, None),
        ("Milestone", [], None),
        ("Estimate (h)", 0, 0),
        ("Status", "Done", "Done"),
    ],
)
async def test_cell_is_emptied(
    writer: httpx.AsyncClient, field: str, value: Any, kept: Any
) -> None:
    """An answer has no empty cells. Zero is a value. A field may be named by its id."""
    table = await table_of(writer, "Product launch", "Tasks")
    base = table.split("/")[2]
    schema = (await get(writer, f"/v0/meta/bases/{base}/tables"))["tables"][0]
    ids = {each["name"]: each["id"] for each in schema["fields"]}
    task = (await get(writer, table))["records"][4]
    assert field in task["fields"]
    answer = await writer.patch(f"{table}/{task['id']}", json={"fields": {ids[field]: value}})
    assert answer.json()["fields"] == {
        name: cell for name, cell in (task["fields"] | {field: kept}).items() if cell is not None
    }


@pytest.mark.parametrize(
    ("base", "table", "fields", "kind", "message"),
    [
        (
            *("Inventory and orders", "Products"),
            {"Price": "cheap"},
            "INVALID_VALUE_FOR_COLUMN",
            'Field "Price" cannot accept the provided value',
        ),
        (
            *("Inventory and orders", "Orders"),
            {"Total": 1},
            "INVALID_VALUE_FOR_COLUMN",
            'Field "Total" cannot accept a value because the field is computed',
        ),
        *(
            (
                *("Content calendar", "Articles"),
                fields,
                "INVALID_MULTIPLE_CHOICE_OPTIONS",
                f'Insufficient permissions to create new select option ""{name}""',
            )
            for fields, name in (
                ({"Stage": "Lost"}, "Lost"),
                ({"Stage": ""}, ""),
                ({"Topics": ["News", "Lost"]}, "Lost"),
                ({"Topics": [["News"]]}, "['News']"),
            )
        ),
    ],
)
async def test_refused_value_is_named(
    writer: httpx.AsyncClient, base: str, table: str, fields: Any, kind: str, message: str
) -> None:
    """The message names the field, or the option that it does not have."""
    path = await table_of(writer, base, table)
    record = (await get(writer, path))["records"][0]
    answer = await writer.patch(f"{path}/{record['id']}", json={"fields": fields})
    assert answer.status_code == 422
    assert answer.json() == {"error": {"type": kind, "message": message}}
    assert await get(writer, f"{path}/{record['id']}") == record


async def test_typecast_accepts_an_option_that_the_field_does_not_have(
    writer: httpx.AsyncClient,
) -> None:
    body = {"fields": {"Stage": "Lost"}, "typecast": True}
    answer = await writer.post(await table_of(writer, "Content calendar", "Articles"), json=body)
    assert answer.json()["fields"] == {"Stage": "Lost"}


@pytest.mark.parametrize(
    ("method", "body", "kind"),
    [
        ("POST", {"fields": {"Nonsense": 1}}, "UNKNOWN_FIELD_NAME"),
        ("POST", {"fields": {"Price": "cheap"}}, "INVALID_VALUE_FOR_COLUMN"),
        ("POST", {"fields": {"Price": True}}, "INVALID_VALUE_FOR_COLUMN"),
        ("POST", {"fields": {"Product": None}}, "INVALID_VALUE_FOR_COLUMN"),
        ("POST", [], "INVALID_REQUEST_MISSING_FIELDS"),
        ("POST", {"records": [{}]}, "INVALID_REQUEST_MISSING_FIELDS"),
        ("POST", {"records": []}, "INVALID_REQUEST_UNKNOWN"),
        ("PATCH", {"records": [{"id": "recX", "fields": {}}]}, "ROW_DOES_NOT_EXIST"),
        (
            "PATCH",
            {"performUpsert": {}, "records": [{"fields": {}}]},
            "INVALID_REQUEST_UNKNOWN",
        ),
        ("DELETE", None, "INVALID_REQUEST_UNKNOWN"),
        *(
            ("PATCH", {"performUpsert": upsert, "records": [{"fields": {}}]}, kind)
            for upsert, kind in (
                ([], "INVALID_REQUEST_UNKNOWN"),
                (None, "INVALID_REQUEST_UNKNOWN"),
                ({"fieldsToMergeOn": "SKU"}, "INVALID_REQUEST_UNKNOWN"),
                ({"fieldsToMergeOn": [[]]}, "UNKNOWN_FIELD_NAME"),
                ({"fieldsToMergeOn": ["Nonsense"]}, "UNKNOWN_FIELD_NAME"),
            )
        ),
    ],
)
async def test_change_that_makes_no_sense_is_422(
    writer: httpx.AsyncClient, method: str, body: Any, kind: str
) -> None:
    """The answer has Airtable's error type."""
    table = await products(writer)
    assert_error(await writer.request(method, table, json=body), 422, kind)


async def test_huge_number_in_a_listing_is_handled(api: httpx.AsyncClient) -> None:
    """A bad offset is answered with Airtable's 422. A huge `maxRecords` has no effect."""
    table = await table_of(api, "Inventory and orders", "Orders")
    first = await get(api, table, maxRecords="9" * 5000)
    assert len(first["records"]) == 100
    offset = first["offset"].partition("/")[0] + "/" + "9" * 5000
    answer = await api.get(table, params={"offset": offset})
    assert_error(answer, 422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")


async def test_record_that_a_request_names_twice_is_422(writer: httpx.AsyncClient) -> None:
    """The request changes and deletes nothing."""
    table = await products(writer)
    first = (await get(writer, table))["records"][0]
    twice = [("records[]", first["id"])] * 2
    assert_error(await writer.delete(table, params=twice), 422, "INVALID_RECORDS")
    change = {"id": first["id"], "fields": {"In stock": 1}}
    answer = await writer.patch(table, json={"records": [change, change]})
    assert_error(answer, 422, "INVALID_RECORDS")
    assert (await get(writer, f"{table}/{first['id']}")) == first


async def test_faulty_record_among_others_changes_nothing(writer: httpx.AsyncClient) -> None:
    """A request is carried out completely or not at all."""
    table = await products(writer)
    before = await get(writer, table)
    faulty: list[dict[str, Any]] = [{"fields": {"Product": "Vase"}}, {"fields": {"Nonsense": 1}}]
    answer = await writer.post(table, json={"records": faulty})
    assert_error(answer, 422, "UNKNOWN_FIELD_NAME")
    changes = [each | {"id": before["records"][0]["id"]} for each in faulty]
    answer = await writer.patch(table, json={"records": changes})
    assert answer.status_code == 422
    assert await get(writer, table) == before


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"fields": {"Price": 1e999}}', b'{"fields": {"SKU": "\\ud800"}}']
)
async def test_body_that_no_answer_could_repeat_is_422(
    writer: httpx.AsyncClient, content: bytes
) -> None:
    """Here it is too deeply nested, or has an infinite number or a lone surrogate."""
    answer = await writer.post(await products(writer), content=content)
    assert_error(answer, 422, "INVALID_REQUEST_BODY")


async def test_typecast_accepts_values_of_another_type(writer: httpx.AsyncClient) -> None:
    body = {"fields": {"Price": "cheap"}, "typecast": True}
    assert (await writer.post(await products(writer), json=body)).status_code == 200


async def test_writing_needs_its_scope(api: httpx.AsyncClient) -> None:
    """Without the scope, a body that is not JSON still gets 422: it is parsed first."""
    table = await table_of(api, "Inventory and orders", "Products")
    answer = await api.post(table, json={"fields": {}})
    assert_error(answer, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
    assert_error(await api.post(table, content=b"{"), 422, "INVALID_REQUEST_BODY")


async def test_consent_page_asks_who_is_signed_in() -> None:
    """The page asks only if the simulator has several users."""
    simulator = Simulator(
        [Integration("test-client", (REDIRECT_URI,), SCOPES, "test-secret")], users=some_users(3)
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE
    ) as person:
        url = str(httpx.URL("/oauth2/v1/authorize", params=AUTHORIZATION))
        assert (await person.get(url)).text.count("<option") == 3
        wanted = some_users(3)[2]
        code = (await decide(person, url, user=wanted.id))["code"]
        tokens = (await send(person, exchange_form(code))).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await person.get("/v0/meta/whoami", headers=headers)).json()["id"] == wanted.id


async def test_long_listing_is_asked_for_by_post(api: httpx.AsyncClient) -> None:
    """`listRecords` accepts the parameters of a listing as JSON."""
    table = await table_of(api, "Product launch", "Tasks")
    sort = [{"field": "Task", "direction": "desc"}]
    body = {"pageSize": 2, "fields": ["Task", "Due"], "sort": sort, "maxRecords": 3}
    page = (await api.post(f"{table}/listRecords", json=body)).json()
    query = {"pageSize": 2, "fields[]": ["Task", "Due"], "maxRecords": 3}
    query |= {"sort[0][field]": "Task", "sort[0][direction]": "desc"}
    assert page["records"] == (await get(api, table, **query))["records"]
    assert len(page["records"]) == 2
    last = await api.post(f"{table}/listRecords", json=body | {"offset": page["offset"]})
    assert len(last.json()["records"]) == 1
    refused = await api.post(f"{table}/listRecords", json={"filterByFormula": "1"})
    assert_error(refused, 422, "INVALID_FILTER_BY_FORMULA")


async def test_file_is_uploaded(writer: httpx.AsyncClient) -> None:
    """The record has the attachment, which can be downloaded. The answer uses field ids."""
    table = await products(writer)
    schema = (await get(writer, f"/v0/meta/bases/{table.split('/')[2]}/tables"))["tables"]
    fields = next(each["fields"] for each in schema if each["name"] == "Products")
    photos = next(each for each in fields if each["name"] == "Photos")
    record = (await get(writer, table, pageSize=1))["records"][0]
    file = {"contentType": "text/html", "file": b64encode(b"<b>").decode(), "filename": "ü/?.html"}
    path = f"{table.rpartition('/')[0]}/{record['id']}/{{}}/uploadAttachment"
    answer = await writer.post(path.format("Photos"), json=file)
    assert answer.status_code == 200, answer.text
    uploaded = answer.json()["fields"][photos["id"]][-1]
    shown = [uploaded[name] for name in ("filename", "size", "type")]
    assert shown == ["ü/?.html", 3, "text/html"]
    assert len(answer.json()["fields"][photos["id"]]) == len(record["fields"]["Photos"]) + 1
    downloaded = await writer.get(uploaded["url"])
    assert (downloaded.content, downloaded.status_code) == (b"<b>", 200)
    assert downloaded.headers["content-type"] == "application/octet-stream"
    await writer.post("/_simulator/clock", json={"advance": 2})  # stay below five requests a second
    changed = await get(writer, f"{table}/{record['id']}")
    assert changed["fields"]["Photos"][-1]["id"] == uploaded["id"]


@pytest.mark.parametrize(
    ("field", "change", "kind"),
    [
        ("Nonsense", {}, "UNKNOWN_FIELD_NAME"),
        ("Product", {}, "INVALID_VALUE_FOR_COLUMN"),
        ("Photos", {"file": "%"}, "INVALID_REQUEST_UNKNOWN"),
        ("Photos", {"file": "A" * 7_000_004}, "INVALID_REQUEST_UNKNOWN"),
        ("Photos", {"filename": ""}, "INVALID_REQUEST_MISSING_FIELDS"),
        ("Photos", {"contentType": None}, "INVALID_REQUEST_MISSING_FIELDS"),
    ],
)
async def test_upload_that_makes_no_sense_is_refused(
    writer: httpx.AsyncClient, field: str, change: dict[str, Any], kind: str
) -> None:
    """The field is unknown or unsuitable, or the file is malformed or too large."""
    table = await products(writer)
    record = (await get(writer, table, pageSize=1))["records"][0]["id"]
    file = {"contentType": "text/plain", "file": "", "filename": "a"} | change
    path = f"{table.rpartition('/')[0]}/{record}/{field}/uploadAttachment"
    assert_error(await writer.post(path, json=file), 422, kind)
    missing = path.replace(record, "recNone")
    await writer.post("/_simulator/clock", json={"advance": 2})
    refused = await writer.post(missing, json=file)
    assert_error(refused, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")


async def test_upload_needs_the_scope_for_writing(api: httpx.AsyncClient) -> None:
    table = await products(api)
    path = f"{table.rpartition('/')[0]}/recX/Photos/uploadAttachment"
    refused = await api.post(path, json={})
    assert_error(refused, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
