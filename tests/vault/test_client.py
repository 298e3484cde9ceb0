"""The HTTP client of a connection, and the vault's other operations."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from airtable_oauth import AirtableOAuth
from airtable_oauth.airtable_api.transport import base_of
from airtable_oauth.errors import ForeignOrigin, InvalidPath, NotConnected, ReconnectRequired
from airtable_oauth.oauth.http import new_transport
from airtable_oauth.simulator import Fault, Simulator
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.owners import Noted, Owners
from tests.helpers import SCOPES, FakeClock, make_settings, make_simulator
from tests.oauth.test_http import read_request, serve
from tests.world import FaultyStore, World


@pytest.fixture
async def airtable(
    simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> AsyncIterator[AirtableOAuth]:
    made = AirtableOAuth(
        make_settings(),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
    )
    async with made.lifespan():
        yield made


class Split(httpx.AsyncBaseTransport):
    """Sends token requests to one transport and Web API requests to another."""

    def __init__(
        self, tokens: httpx.AsyncBaseTransport, web_api: httpx.AsyncBaseTransport, url: str
    ) -> None:
        self._tokens, self._web_api, self._url = tokens, web_api, url

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if str(request.url).startswith(self._url):
            return await self._web_api.handle_async_request(request)
        return await self._tokens.handle_async_request(request)

    async def aclose(self) -> None:
        await self._web_api.aclose()


async def connect(
    airtable: AirtableOAuth, simulator: Simulator, owner: str = "ann", user: int = 0
) -> str:
    world = World()
    world.simulator = simulator
    return (await airtable.adopt(owner, world.grant(user))).id


async def test_client_calls_as_the_connection(
    airtable: AirtableOAuth, simulator: Simulator
) -> None:
    """It accepts paths relative to the Web API, and otherwise behaves like any httpx client."""
    connection = await connect(airtable, simulator)
    async with airtable.client(connection) as client:
        assert (await client.get("/v0/meta/whoami")).json()["scopes"] == list(SCOPES)
        answer = await client.get("https://api.airtable.com/v0/meta/bases")
        assert len(answer.json()["bases"]) == 3
    async with airtable.client(connection) as client:  # nothing shared was closed
        assert (await client.get("/v0/meta/whoami")).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v0/x",
        "http://api.airtable.com/v0/x",
        "https://api.airtable.com:8443/v0/x",
        "https://api.airtable.com.evil.example/v0/x",
        "https://api.airtable.com@evil.example/v0/x",
    ],
)
async def test_client_refuses_every_other_origin(
    airtable: AirtableOAuth, simulator: Simulator, url: str
) -> None:
    """The access token must not reach another origin, even if user input ends up in the URL."""
    connection = await connect(airtable, simulator)
    before = len(simulator.requests)
    async with airtable.client(connection) as client:
        with pytest.raises(ForeignOrigin):
            await client.get(url)
    assert len(simulator.requests) == before


@pytest.mark.parametrize(
    "path",
    [
        "/v0/app1/../app2/T",
        f"/v0/app1/{quote('..', safe='')}/app2/T",
        "/v0/./app1/T",
        "/v0/app1/..",
    ],
)
async def test_text_of_a_user_cannot_lead_the_client_to_another_base(
    airtable: AirtableOAuth, simulator: Simulator, path: str
) -> None:
    """Httpx resolves `..`, which quoting leaves as it is, before it sends a request."""
    connection = await connect(airtable, simulator)
    before = len(simulator.requests)
    async with airtable.client(connection) as client:
        with pytest.raises(InvalidPath):
            await client.get(path)
        assert len(simulator.requests) == before
        assert (await client.get("/v0/meta/whoami?next=../x#/../y")).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "..",
        "../oauth2",
        "../../oauth2",
        "%2e%2e/oauth2",
        "%2E%2E%2Foauth2",
        "%252e%252e/oauth2",
        "appX/..%2F..%2F..%2Foauth2",
        "a" * 9000,
    ],
)
async def test_text_of_a_user_cannot_lead_the_client_out_of_the_web_api(text: str) -> None:
    """HTTP clients resolve `..`, encoded or not, so the request would reach `/oauth2`."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")

    async with serve(answer) as url:
        airtable = AirtableOAuth(make_settings(airtable_api_url=url))
        async with airtable.lifespan():
            connection = (await airtable.adopt("ann", World().grant())).id
            seen.clear()
            async with airtable.client(connection) as client:
                with pytest.raises(InvalidPath) as caught:
                    await client.get(f"/v0/{text}")
    assert caught.value.status == 400
    assert seen == []


async def test_client_does_not_take_its_token_elsewhere_by_a_redirect(
    airtable: AirtableOAuth, simulator: Simulator
) -> None:
    """This holds even if the caller asks to follow redirects."""
    connection = await connect(airtable, simulator)
    simulator.faults.add(
        Fault("/v0/x", status=302, headers=[("Location", "https://evil.example/v0/y")])
    )
    async with airtable.client(connection) as client:
        with pytest.raises(ForeignOrigin):
            await client.get("/v0/x", follow_redirects=True)


async def test_client_survives_the_rotation(
    airtable: AirtableOAuth, simulator: Simulator, clock: FakeClock
) -> None:
    """The client refreshes before the token expires, and again when Airtable answers 401."""
    connection = await connect(airtable, simulator)
    async with airtable.client(connection) as client:
        clock.advance(3600)
        simulator.clock.advance(3600)
        calls = [client.get("/v0/meta/whoami") for _ in range(50)]
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
        assert len(simulator.token_requests()) == 1
        simulator.vault.access_tokens.clear()
        assert (await client.get("/v0/meta/whoami")).status_code == 200
    assert len(simulator.token_requests()) == 2


async def test_streamed_body_is_sent_again_after_a_401() -> None:
    """The client reads the stream before the first attempt; both attempts have a Content-Length."""
    seen: list[tuple[bytes, bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _, body = (await read_request(reader)).partition(b"\r\n\r\n")
        if b" /v0/appX/T " not in head:
            status = b"200 OK"
        else:
            seen.append((head, body))
            status = b"401 Unauthorized" if len(seen) == 1 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n{}")

    async def parts() -> AsyncIterator[bytes]:
        for part in (b'{"records"', b": []}"):
            yield part

    world = World()
    async with serve(answer) as url:
        airtable = AirtableOAuth(
            make_settings(airtable_api_url=url),
            transport=Split(httpx.ASGITransport(world.simulator.app), new_transport(), url),
        )
        async with airtable.lifespan():
            connection = (await airtable.adopt("ann", world.grant())).id
            async with airtable.client(connection) as client:
                response = await client.post("/v0/appX/T", content=parts())
    assert response.status_code == 200
    assert [body for _, body in seen] == [b'{"records": []}'] * 2
    assert all(b"transfer-encoding" not in head.lower() for head, _ in seen)


@pytest.mark.parametrize(
    "path",
    ["/v0/appX/T/listRecords", "/v0/appX/recX/fldX/uploadAttachment", "/v0/appX/T/recX"],
)
def test_every_request_about_a_base_counts_for_it(path: str) -> None:
    """Airtable counts long listings and uploads towards the limit of five requests a second."""
    assert base_of(path) == "appX"


async def test_client_of_a_connection_that_ended_raises(
    airtable: AirtableOAuth, simulator: Simulator
) -> None:
    """A host app catches the error and asks its user to reconnect."""
    connection = await connect(airtable, simulator)
    simulator.vault.revoke_all()
    async with airtable.client(connection) as client:
        with pytest.raises(ReconnectRequired) as caught:
            await client.get("/v0/meta/whoami")
    assert caught.value.reason == "revoked"
    with pytest.raises(NotConnected):
        await airtable.client("con_unknown").get("/v0/meta/whoami")


@pytest.mark.parametrize("simulator", [make_simulator(users=2)])
async def test_owner_may_hold_several(airtable: AirtableOAuth, simulator: Simulator) -> None:
    """They are listed oldest first, and each owner sees only their own."""
    first = await connect(airtable, simulator)
    second = await connect(airtable, simulator, user=1)
    other = await connect(airtable, simulator, owner="bob")
    assert [each.id for each in await airtable.connections("ann")] == [first, second]
    assert [each.id for each in await airtable.connections("bob")] == [other]
    assert await airtable.connections("nobody") == []
    await airtable.disconnect(first)
    assert [each.id for each in await airtable.connections("ann")] == [second]
    with pytest.raises(NotConnected):
        await airtable.access_token(first)
    with pytest.raises(NotConnected):
        await airtable.disconnect(first)
    assert (await airtable.access_token(second)).startswith("oaa")


async def test_owner_gets_connections_at_the_same_moment(
    store: MemoryStore, clock: FakeClock
) -> None:
    """Ten Airtable users make ten connections. None is missing from the owner's index."""
    simulator = make_simulator(users=10)
    airtable = AirtableOAuth(
        make_settings(),
        store=FaultyStore(store),  # another task may run during each operation
        unencrypted=True,
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
    )
    logins = (connect(airtable, simulator, user=user) for user in range(10))
    made = set(await asyncio.gather(*logins))
    assert len(made) == 10
    assert {each.id for each in await airtable.connections("ann")} == made
    await airtable.aclose()


async def test_owner_is_remembered_as_long_as_a_connection_is_used(
    airtable: AirtableOAuth, simulator: Simulator, clock: FakeClock
) -> None:
    """Each refresh extends the owner's index too, for years if necessary."""
    connection = await connect(airtable, simulator)
    for _ in range(20):
        clock.advance(50 * 86400)
        simulator.clock.advance(50 * 86400)
        await airtable.access_token(connection)
        await asyncio.sleep(0.01)  # the index is extended in the background
    assert [each.id for each in await airtable.connections("ann")] == [connection]


async def test_public_view_has_no_token(airtable: AirtableOAuth, simulator: Simulator) -> None:
    """A host app may log or render this view."""
    await connect(airtable, simulator)
    (connection,) = await airtable.connections("ann")
    assert connection.status == "connected"
    assert connection.scopes == SCOPES
    token = await airtable.access_token(connection.id)
    assert token not in repr(connection)
    assert token not in repr(airtable.client(connection.id))


async def test_index_of_an_owner_is_not_trusted(
    airtable: AirtableOAuth, simulator: Simulator, store: MemoryStore
) -> None:
    """The index may be wrong; the owner in the connection's own record decides."""
    connection = await connect(airtable, simulator, "ann")
    assert await Owners(store, "airtable").claim("bob", connection, None, seen=Noted())
    assert await airtable.connections("bob") == []
    assert len(await airtable.connections("ann")) == 1


def test_different_names_have_different_keys() -> None:
    """Lone surrogates, which JSON may contain, must not collide with `?` or with each other."""
    names = ["al?ce", "al\ud800ce", "al\ud801ce", "al\ufffdce"]
    assert len({storage_key("airtable", "owner", name) for name in names}) == 4
