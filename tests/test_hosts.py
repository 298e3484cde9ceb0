"""An app that embeds the library. Its users own the connections."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.base import BaseHTTPMiddleware

from airtable_oauth import AirtableOAuth, AirtableOAuthError, Connection, TokenSet
from airtable_oauth.background import Background
from airtable_oauth.errors import UpstreamError
from airtable_oauth.simulator import Fault, Simulator
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.events import Event, Hooks
from airtable_oauth.vault.model import Marker
from airtable_oauth.vault.repository import ConnectionRepository
from tests.helpers import CSRF, SCOPES, FakeClock, consent, make_settings, make_simulator
from tests.world import FaultyStore

PREFIX = "/integrations/airtable"


class Stranger(Exception):
    """An exception of the host, which has its own handler."""


async def current_user(x_user: Annotated[str | None, Header()] = None) -> str:
    if x_user is None:
        raise HTTPException(401, "Who are you?", {"WWW-Authenticate": "Bearer"})
    if x_user == "stranger":
        raise Stranger
    return x_user


async def current_owner(user: Annotated[str, Depends(current_user)]) -> str:
    return f"user:{user}"


async def workspace(request: Request) -> dict[str, str | None]:
    return {"workspace": request.query_params.get("workspace")}


@dataclass
class Host:
    """A SaaS product and its users' browsers."""

    simulator: Simulator
    store: MemoryStore
    clock: FakeClock
    emitted: list[tuple[str, Connection]] = field(default_factory=list)

    def integration(self, **options: Any) -> AirtableOAuth:
        """An integration that records what its hooks receive."""
        settings = make_settings(**options.pop("settings", {}))
        made = AirtableOAuth(
            settings,
            owner=options.pop("owner", current_owner),
            store=options.pop("store", self.store),
            transport=httpx.ASGITransport(self.simulator.app),
            monotonic=self.clock,
            **options,
        )

        @made.on_connected
        async def connected(connection: Connection) -> None:
            self.emitted.append(("connected", connection))

        @made.on_reconnect_required
        async def ended(connection: Connection) -> None:
            self.emitted.append(("reconnect_required", connection))

        @made.on_disconnected
        async def disconnected(connection: Connection) -> None:
            self.emitted.append(("disconnected", connection))

        return made

    def app(self, airtable: AirtableOAuth, prefix: str = PREFIX) -> FastAPI:
        """The host's app with an integration."""
        app = FastAPI(lifespan=airtable.lifespan)
        app.include_router(airtable.router, prefix=prefix)

        @app.exception_handler(Stranger)
        async def handle(_request: Request, _error: Stranger) -> Response:
            return JSONResponse({"host": "says no"}, 418)

        @app.get("/bases")
        async def bases(
            client: Annotated[httpx.AsyncClient, Depends(airtable.current_client)],
        ) -> list[str]:
            answer = await client.get("/v0/meta/bases")
            return [base["name"] for base in answer.json()["bases"]]

        @app.get("/who")
        async def who(
            connection: Annotated[Connection, Depends(airtable.current_connection)],
        ) -> str:
            return connection.user.email if connection.user and connection.user.email else ""

        return app

    def user(self, app: FastAPI, name: str | None, prefix: str = PREFIX) -> "Person":
        """A browser of the user `name`."""
        headers = {} if name is None else {"X-User": name}
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:3000", headers=headers
        )
        return Person(client, self.simulator, prefix)


@dataclass
class Person:
    """A user of the host, in a browser."""

    client: httpx.AsyncClient
    simulator: Simulator
    prefix: str

    async def begin(self, **parameters: str) -> httpx.Response:
        return await self.client.get(f"{self.prefix}/authorization-url", params=parameters)

    async def consent(self, *, user: int = 0, **parameters: str) -> dict[str, str]:
        """Consent at Airtable as this user and return the parameters of the redirect."""
        begun = await self.begin(**parameters)
        assert begun.status_code == 200, begun.text
        url = begun.json()["authorizationUrl"]
        person = self.simulator.authorization_server.users[user]
        return await consent(self.simulator, url, user=person.id)

    async def finish(self, callback: dict[str, str]) -> httpx.Response:
        return await self.client.post(f"{self.prefix}/session", json=callback, headers=CSRF)

    async def connect(self, *, user: int = 0, **parameters: str) -> dict[str, Any]:
        answer = await self.finish(await self.consent(user=user, **parameters))
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def get(self, path: str, connection: str | None = None) -> httpx.Response:
        headers = {} if connection is None else {"X-Airtable-Connection": connection}
        return await self.client.get(self.prefix + path, headers=headers)

    async def disconnect(self, connection: str | None = None) -> httpx.Response:
        headers = CSRF if connection is None else CSRF | {"X-Airtable-Connection": connection}
        return await self.client.delete(f"{self.prefix}/session", headers=headers)


@pytest.fixture
def host(store: MemoryStore, clock: FakeClock) -> Host:
    return Host(make_simulator(users=3), store, clock)


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


async def test_store_that_fails_while_reconnecting_loses_no_tokens(
    store: MemoryStore, clock: FakeClock
) -> None:
    """The code is spent by then, so the connection is read again until the store answers."""
    faulty = FaultyStore(store, under="airtable:connection")
    host = Host(make_simulator(users=3), store, clock)
    ann = host.user(host.app(host.integration(store=faulty, unencrypted=True)), "ann")
    made = await ann.connect()
    callback = await ann.consent(connection=made["id"])
    faulty.lost = {"get"}
    assert (await ann.finish(callback)).status_code == 201
    assert faulty.lost == set()


async def test_connection_belongs_to_the_hosts_user(host: Host) -> None:
    """The library sets no cookie. Other users cannot use the connection, even by its id."""
    app = host.app(host.integration())
    ann, bob = host.user(app, "ann"), host.user(app, "bob")
    answer = await ann.finish(await ann.consent(return_to="/crm"))
    body = answer.json()
    assert answer.status_code == 201
    assert "set-cookie" not in answer.headers
    assert body["return_to"] == "/crm"
    assert body["id"].startswith("con_")
    assert body["status"] == "connected"
    assert (await ann.get("/session")).json()["id"] == body["id"]
    assert (await ann.get("/airtable/v0/meta/bases")).status_code == 200
    for named in (None, body["id"]):
        assert error_of(await bob.get("/session", named)) == (401, "not_connected")
        assert error_of(await bob.get("/airtable/v0/meta/bases", named)) == (401, "not_connected")
        assert error_of(await bob.disconnect(named)) == (401, "not_connected")
    assert (await bob.get("/connections")).json() == {"connections": []}
    assert (await ann.get("/session")).status_code == 200


@pytest.mark.parametrize(
    "path", ["/authorization-url", "/session", "/connections", "/airtable/v0/meta/whoami"]
)
async def test_host_answers_strangers_itself(host: Host, path: str) -> None:
    """It uses its own status, headers, body and handlers."""
    app = host.app(host.integration())
    answer = await host.user(app, None).get(path)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Who are you?"})
    assert answer.headers["www-authenticate"] == "Bearer"
    answer = await host.user(app, "stranger").get(path)
    assert (answer.status_code, answer.json()) == (418, {"host": "says no"})


async def test_faulty_request_gets_our_error_body(host: Host) -> None:
    """This also holds after the host has identified the user."""
    ann = host.user(host.app(host.integration()), "ann")
    assert error_of(await ann.begin(return_to="//evil.example")) == (422, "invalid_request")
    answer = await ann.client.post(
        f"{PREFIX}/session", content="[" * 9999, headers=CSRF | {"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.json()["error"] == "invalid_request"
    answer = await ann.client.get(f"{PREFIX}/session", headers={"Origin": "https://evil.example"})
    assert error_of(answer) == (403, "cross_site_request")


@pytest.mark.parametrize("bad", [None, "", 7])
async def test_owner_must_be_a_name(host: Host, bad: Any) -> None:
    """`None` would make all users one owner, so the developer gets an error."""
    ann = host.user(host.app(host.integration(owner=lambda: bad)), "ann")
    with pytest.raises(TypeError, match="owner dependency"):
        await ann.get("/connections")


async def test_login_is_finished_by_the_user_who_began_it(host: Host) -> None:
    """Another user who signs in to the host in the same browser cannot finish it."""
    app = host.app(host.integration())
    ann = host.user(app, "ann")
    callback = await ann.consent()
    bob = host.user(app, "bob")
    bob.client.cookies = ann.client.cookies
    assert error_of(await bob.finish(callback)) == (400, "login_not_found")
    assert (await ann.finish(callback)).status_code == 201
    assert (await bob.get("/connections")).json() == {"connections": []}
    assert host.simulator.token_requests()[-1].form["code"] == callback["code"]
    assert len(host.simulator.token_requests()) == 1


async def test_owner_of_several_connections_must_name_one(host: Host) -> None:
    """A header names the connection. Without it the request is refused."""
    ann = host.user(host.app(host.integration()), "ann")
    ids = [(await ann.connect(user=user))["id"] for user in (0, 1)]
    listed = (await ann.get("/connections")).json()["connections"]
    assert [each["id"] for each in listed] == ids
    assert error_of(await ann.get("/session")) == (400, "connection_not_named")
    assert error_of(await ann.get("/airtable/v0/meta/whoami")) == (400, "connection_not_named")
    emails = [(await ann.get("/airtable/v0/meta/whoami", each)).json()["email"] for each in ids]
    assert emails == ["mina@example.com", "user1@example.com"]
    assert (await ann.disconnect(ids[0])).json()["disconnected"]
    assert (await ann.get("/session")).json()["id"] == ids[1]


async def test_callback_that_runs_twice_makes_one_connection(host: Host) -> None:
    """After a disconnect, the back button does not connect again."""
    ann = host.user(host.app(host.integration()), "ann")
    callback = await ann.consent()
    first, second = await asyncio.gather(ann.finish(callback), ann.finish(callback))
    assert first.json() == second.json()
    await ann.disconnect()
    assert error_of(await ann.finish(callback)) == (401, "not_connected")
    assert (await ann.get("/connections")).json() == {"connections": []}


async def test_reconnect_keeps_the_id(host: Host) -> None:
    """This holds even after a revocation. The reconnect stores new data from the host."""
    airtable = host.integration(login_data=workspace)
    ann = host.user(host.app(airtable), "ann")
    made = await ann.connect(workspace="w1")
    host.simulator.vault.revoke_all()
    assert error_of(await ann.get("/airtable/v0/meta/bases")) == (401, "reconnect_required")
    assert (await ann.get("/session")).json()["reason"] == "revoked"
    again = await ann.connect(connection=made["id"], workspace="w2")
    assert again["id"] == made["id"]
    assert again["status"] == "connected"
    assert (await ann.get("/airtable/v0/meta/bases")).status_code == 200
    (connection,) = await airtable.connections("user:ann")
    assert connection.data == {"workspace": "w2"}
    assert [event for event, _ in host.emitted] == ["connected", "reconnect_required", "connected"]


async def test_user_who_connects_twice_has_one_connection(host: Host) -> None:
    """A second login gives the connection new tokens, so requests need not name one."""
    airtable = host.integration(login_data=workspace)
    ann = host.user(host.app(airtable), "ann")
    first = await ann.connect(workspace="w1")
    before = await airtable.access_token(first["id"])
    assert (await ann.connect(workspace="w2"))["id"] == first["id"]
    assert (await ann.client.get("/bases")).status_code == 200
    (connection,) = await airtable.connections("user:ann")
    assert connection.data == {"workspace": "w2"}
    assert await airtable.access_token(first["id"]) != before
    assert [(event, each.reconnected) for event, each in host.emitted] == [
        ("connected", False),
        ("connected", True),
    ]


async def test_user_who_connects_again_after_a_revocation_keeps_the_connection(host: Host) -> None:
    """One button connects and reconnects, so the page need not name the connection."""
    airtable = host.integration()
    ann = host.user(host.app(airtable), "ann")
    first = await ann.connect()
    host.simulator.vault.revoke_all()
    assert error_of(await ann.get("/airtable/v0/meta/bases")) == (401, "reconnect_required")
    assert (await ann.connect())["id"] == first["id"]
    assert (await ann.client.get("/bases")).status_code == 200


@pytest.mark.parametrize("reconnects", [False, True])
async def test_second_login_without_data_keeps_the_data(host: Host, *, reconnects: bool) -> None:
    """This holds whether or not the login names the connection."""

    async def data(request: Request) -> dict[str, str] | None:
        name = request.query_params.get("workspace")
        return None if name is None else {"workspace": name}

    airtable = host.integration(login_data=data)
    ann = host.user(host.app(airtable), "ann")
    made = await ann.connect(workspace="w1")
    await ann.connect(**{"connection": made["id"]} if reconnects else {})
    (connection,) = await airtable.connections("user:ann")
    assert connection.data == {"workspace": "w1"}


async def test_host_may_ask_for_separate_connections(host: Host) -> None:
    """Every login then makes a connection, even for the same Airtable user."""
    ann = host.user(host.app(host.integration(separate_connections=True)), "ann")
    ids = [(await ann.connect())["id"] for _ in range(2)]
    assert len(set(ids)) == 2
    listed = (await ann.get("/connections")).json()["connections"]
    assert [each["id"] for each in listed] == ids
    assert [connection.reconnected for _, connection in host.emitted] == [False, False]


async def test_second_login_is_refused_where_airtable_does_not_say_who_it_is(host: Host) -> None:
    """It could be another Airtable user. The existing connection does not change."""
    airtable = host.integration()
    ann = host.user(host.app(airtable), "ann")
    first = await ann.connect()
    before = await airtable.access_token(first["id"])
    callback = await ann.consent(user=1)
    host.simulator.faults.add(Fault(status=503, path="/v0/meta/whoami"))
    answer = await ann.finish(callback)
    assert error_of(answer) == (502, "airtable_error")
    assert answer.json()["action"] == "restart_login"
    (connection,) = await airtable.connections("user:ann")
    assert await airtable.access_token(connection.id) == before


async def test_second_login_identifies_an_unknown_user_of_the_first(host: Host) -> None:
    """The result is one connection for one Airtable user, or two connections for two."""
    ann = host.user(host.app(host.integration()), "ann")
    callback = await ann.consent(user=0)
    host.simulator.faults.add(Fault(status=503, path="/v0/meta/whoami"))
    first = (await ann.finish(callback)).json()
    assert first["user"] is None
    assert (await ann.connect(user=1))["id"] != first["id"]
    assert (await ann.connect(user=0))["id"] == first["id"]


async def test_login_after_a_disconnect_is_a_new_connection(host: Host) -> None:
    """The new connection has a new id, because the old one was deleted."""
    ann = host.user(host.app(host.integration()), "ann")
    first = await ann.connect()
    await ann.disconnect()
    assert (await ann.connect())["id"] != first["id"]
    assert (await ann.client.get("/bases")).status_code == 200
    assert [connection.reconnected for _, connection in host.emitted] == [False, False, False]


async def test_same_airtable_user_is_another_connection_of_another_owner(host: Host) -> None:
    """One owner's tokens never reach another."""
    app = host.app(host.integration())
    ann, bob = host.user(app, "ann"), host.user(app, "bob")
    assert (await ann.connect())["id"] != (await bob.connect())["id"]
    assert (await ann.get("/session")).json()["id"] != (await bob.get("/session")).json()["id"]


async def test_reconnect_is_for_the_owner(host: Host) -> None:
    """A user must not be able to put tokens into another user's connection."""
    app = host.app(host.integration())
    ann, bob = host.user(app, "ann"), host.user(app, "bob")
    made = await ann.connect()
    assert error_of(await bob.begin(connection=made["id"])) == (401, "not_connected")
    assert error_of(await ann.begin(connection="con_unknown")) == (401, "not_connected")


async def test_reconnect_as_another_airtable_user_is_refused(host: Host) -> None:
    """The connection and its tokens do not change, and the right user may try again."""
    airtable = host.integration()
    ann = host.user(host.app(airtable), "ann")
    made = await ann.connect(user=0)
    before = await airtable.access_token(made["id"])
    answer = await ann.finish(await ann.consent(user=1, connection=made["id"]))
    assert error_of(answer) == (403, "other_airtable_user")
    assert answer.json()["action"] == "restart_login"
    assert await airtable.access_token(made["id"]) == before
    assert (await ann.get("/airtable/v0/meta/whoami")).json()["email"] == "mina@example.com"
    assert (await ann.connect(user=0, connection=made["id"]))["id"] == made["id"]


async def test_reconnect_is_refused_where_airtable_does_not_say_who_it_is(host: Host) -> None:
    """Accepting the tokens could show one person's bases to another."""
    ann = host.user(host.app(host.integration()), "ann")
    made = await ann.connect()
    callback = await ann.consent(user=1, connection=made["id"])
    host.simulator.faults.add(Fault(status=503, path="/v0/meta/whoami"))
    answer = await ann.finish(callback)
    assert error_of(answer) == (502, "airtable_error")
    assert answer.json()["action"] == "restart_login"
    assert (await ann.get("/airtable/v0/meta/whoami")).json()["email"] == "mina@example.com"


async def test_host_may_allow_another_airtable_user(host: Host) -> None:
    """From then on the connection belongs to that Airtable user."""
    airtable = host.integration(allow_other_user=True)
    ann = host.user(host.app(airtable), "ann")
    made = await ann.connect(user=0)
    again = await ann.connect(user=1, connection=made["id"])
    assert (again["id"], again["user"]["email"]) == (made["id"], "user1@example.com")


async def test_reconnect_of_what_was_disconnected_meanwhile_fails(host: Host) -> None:
    """A disconnected connection cannot be revived."""
    ann = host.user(host.app(host.integration()), "ann")
    made = await ann.connect()
    callback = await ann.consent(connection=made["id"])
    await ann.disconnect()
    assert error_of(await ann.finish(callback)) == (401, "not_connected")


async def test_hooks_run_once_with_the_login_data(host: Host) -> None:
    """Each hook runs before the answer is sent, and none receives a token."""
    ann = host.user(host.app(host.integration(login_data=workspace)), "ann")
    made = await ann.connect(workspace="w1")
    await ann.disconnect()
    assert [event for event, _ in host.emitted] == ["connected", "disconnected"]
    for _, connection in host.emitted:
        assert connection.id == made["id"]
        assert connection.owner == "user:ann"
        assert connection.data == {"workspace": "w1"}
        assert connection.scopes == SCOPES
        assert connection.user is not None
        tokens = {*host.simulator.vault.access_tokens, *host.simulator.vault.refresh_tokens}
        assert not [token for token in tokens if token in repr(connection)]


async def test_hook_gets_the_status_that_its_event_reports(host: Host) -> None:
    """A host may copy the status into its own table."""
    ann = host.user(host.app(host.integration()), "ann")
    await ann.connect()
    host.simulator.vault.revoke_all()
    await ann.get("/airtable/v0/meta/bases")
    await ann.disconnect()
    assert [
        (event, connection.status, connection.reason) for event, connection in host.emitted
    ] == [
        ("connected", "connected", None),
        ("reconnect_required", "reconnect_required", "revoked"),
        ("disconnected", "disconnected", None),
    ]


async def test_connected_event_does_not_report_a_refresh_that_has_begun_since(host: Host) -> None:
    """No event follows that refresh, so the host's copy would say `refreshing` for ever."""
    store = FaultyStore(host.store, under="airtable:connection")
    records = ConnectionRepository(host.store, "airtable")

    async def begin_a_refresh(_seconds: float) -> None:
        found = await records.load(made["id"])
        assert found is not None
        marked = replace(found.record, marker=Marker(1, retry_at=host.clock() + 30))
        await records.put(marked, host.clock())

    ann = host.user(
        host.app(host.integration(store=store, unencrypted=True, sleep=begin_a_refresh)), "ann"
    )
    made = await ann.connect()
    callback = await ann.consent(connection=made["id"])
    store.lost.add("replace")
    assert (await ann.finish(callback)).json()["status"] == "refreshing"
    assert not store.lost
    assert [connection.status for _, connection in host.emitted] == ["connected", "connected"]


async def test_hook_that_fails_costs_nothing(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The login succeeds, the next hook runs, and the log does not have the exception's message."""
    airtable = host.integration()
    later: list[str] = []

    @airtable.on_connected
    async def fail(_connection: Connection) -> None:
        raise RuntimeError("CANARY")

    @airtable.on_connected
    async def note(connection: Connection) -> None:
        later.append(connection.id)

    ann = host.user(host.app(airtable), "ann")
    made = await ann.connect()
    assert later == [made["id"]]
    assert (await ann.get("/session")).json()["status"] == "connected"
    assert "RuntimeError" in caplog.text
    assert "in fail" in caplog.text
    assert "CANARY" not in caplog.text


async def test_hook_that_never_returns_is_ended(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise each event would leave a task that never ends."""
    airtable, background = host.integration(), Background()
    hooks = Hooks(background, longest_seconds=0.01)
    airtable.on_connected(partial(hooks.emit, Event.CONNECTED))

    async def hang(_connection: Connection) -> None:
        await asyncio.Event().wait()

    hooks.add(Event.CONNECTED, hang)
    await host.user(host.app(airtable), "ann").connect()
    assert "TimeoutError" in caplog.text
    assert not background._tasks  # noqa: SLF001


async def test_too_much_data_is_the_developers_fault(host: Host) -> None:
    """Data is never truncated silently."""

    async def novel() -> str:
        return "x" * 5000

    ann = host.user(host.app(host.integration(login_data=novel)), "ann")
    with pytest.raises(ValueError, match="4096"):
        await ann.begin()


async def test_two_integrations_two_owners_two_accounts_each(host: Host) -> None:
    """Each user sees only the connections of the same integration and owner."""
    names = ("sales", "support")
    integrations = {name: host.integration(settings={"name": name}) for name in names}
    app = FastAPI()
    for name, airtable in integrations.items():
        app.include_router(airtable.router, prefix=f"/{name}")
    made: dict[tuple[str, str, int], str] = {}
    for name in names:
        for owner in ("ann", "bob"):
            for account in (0, 1):
                person = host.user(app, owner, f"/{name}")
                made[name, owner, account] = (await person.connect(user=account))["id"]
    assert len(set(made.values())) == 8
    emails = {0: "mina@example.com", 1: "user1@example.com"}
    for name in names:
        for owner in ("ann", "bob"):
            person = host.user(app, owner, f"/{name}")
            listed = (await person.get("/connections")).json()["connections"]
            assert [each["id"] for each in listed] == [made[name, owner, 0], made[name, owner, 1]]
            for (of_name, of_owner, account), connection_id in made.items():
                answer = await person.get("/airtable/v0/meta/whoami", connection_id)
                if (of_name, of_owner) == (name, owner):
                    assert answer.json()["email"] == emails[account]
                else:
                    assert error_of(answer) == (401, "not_connected")
    schema = app.openapi()  # warns if two routes have the same operation id
    assert "/sales/airtable/{path}" in schema["paths"]
    assert "/support/airtable/{path}" in schema["paths"]


async def test_current_client_is_the_callers(host: Host) -> None:
    """It works in the host's own routes, where the host's error handling answers."""
    app = host.app(host.integration())
    ann, bob = host.user(app, "ann"), host.user(app, "bob")
    await ann.connect()
    assert (await ann.client.get("/bases")).json() == [
        "Product launch",
        "Content calendar",
        "Inventory and orders",
    ]
    assert (await ann.client.get("/who")).json() == "mina@example.com"
    for path in ("/bases", "/who"):
        answer = await bob.client.get(path)
        assert answer.status_code == 401
        assert answer.json() == {"detail": "Airtable isn't connected. Connect it first."}
    host.simulator.vault.revoke_all()
    answer = await ann.client.get("/bases")
    assert answer.status_code == 401
    assert "Reconnect to continue" in answer.json()["detail"]
    answer = await ann.client.get("/who")
    assert answer.json() == "mina@example.com"


async def test_current_client_of_a_session(host: Host) -> None:
    """Without an owner dependency, the session cookie identifies the connection."""
    airtable = host.integration(owner=None)
    app = host.app(airtable)
    person, other = host.user(app, None), host.user(app, None)
    assert "id" not in await person.connect()
    assert len((await person.client.get("/bases")).json()) == 3
    assert (await other.client.get("/bases")).status_code == 401
    assert (await person.get("/connections")).status_code == 404


async def test_route_that_acts_in_two_sessions(host: Host) -> None:
    """A route of the host may use two integrations. The browser has a session of each."""
    sales, support = (host.integration(owner=None, settings={"name": n}) for n in ("sales", "help"))
    app = FastAPI()
    app.include_router(sales.router, prefix="/sales")
    app.include_router(support.router, prefix="/help")

    @app.get("/both")
    async def both(
        one: Annotated[Connection, Depends(sales.current_connection)],
        other: Annotated[Connection, Depends(support.current_connection)],
    ) -> list[str | None]:
        return [each.user.email if each.user else None for each in (one, other)]

    person = host.user(app, None, "/sales")
    await person.connect(user=0)
    assert (await person.client.get("/both")).status_code == 401
    await replace(person, prefix="/help").connect(user=1)
    assert (await person.client.get("/both")).json() == ["mina@example.com", "user1@example.com"]


async def test_integration_works_beside_the_hosts_middleware_lifespan_and_logging(
    host: Host,
) -> None:
    """It also works in a mounted app, and changes nothing global."""
    events: list[str] = []
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("airtable_oauth").handlers[:])
    airtable = host.integration()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        events.append("up")
        async with airtable.lifespan():
            yield
        events.append("down")

    async def dispatch(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["X-Host"] = "yes"
        return response

    inner = host.app(airtable)
    app = FastAPI()
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    app.mount("/tenant", inner)
    ann = host.user(app, "ann", f"/tenant{PREFIX}")
    await ann.connect()
    answer = await ann.get("/airtable/v0/meta/bases")
    assert (answer.status_code, answer.headers["x-host"]) == (200, "yes")
    trick = await ann.get("/airtable/v0/%2e%2e/x")
    assert error_of(trick) == (400, "invalid_request")
    assert error_of(await ann.get("/airtable/x")) == (400, "invalid_request")
    async with lifespan():
        events.append("running")
    assert events == ["up", "running", "down"]
    assert before == (
        root.level,
        list(root.handlers),
        logging.getLogger("airtable_oauth").handlers[:],
    )


async def test_adopted_tokens_are_a_connection(host: Host) -> None:
    """Users of a host that migrates to this library need not log in again."""
    airtable = host.integration()
    server = host.simulator.authorization_server
    grant = server.new_grant("test-client", SCOPES)
    answer: Any = server.vault.issue_tokens(grant, SCOPES)
    connection = await airtable.adopt("user:ann", TokenSet(**answer), {"from": "the old system"})
    assert connection.user is not None
    assert connection.user.email == "mina@example.com"
    assert connection.data == {"from": "the old system"}
    ann = host.user(host.app(airtable), "ann")
    assert (await ann.get("/airtable/v0/meta/bases")).status_code == 200
    assert [event for event, _ in host.emitted] == ["connected"]


async def test_adopted_tokens_renew_the_connection_of_their_user(host: Host) -> None:
    """If the owner has a connection, tokens of an unknown user are refused, as in a login."""
    airtable = host.integration()
    server = host.simulator.authorization_server

    def tokens() -> TokenSet:
        grant = server.new_grant("test-client", SCOPES)
        answer: Any = server.vault.issue_tokens(grant, SCOPES)
        return TokenSet(**answer)

    first = await airtable.adopt("user:ann", tokens(), {"plan": 7})
    second = await airtable.adopt("user:ann", tokens())
    assert (second.id, second.reconnected, second.data) == (first.id, True, {"plan": 7})
    host.simulator.faults.add(Fault(status=503, path="/v0/meta/whoami"))
    with pytest.raises(UpstreamError):
        await airtable.adopt("user:ann", tokens())
    assert [each.id for each in await airtable.connections("user:ann")] == [first.id]


async def test_login_data_needs_an_owner(host: Host) -> None:
    """Without an owner, there is no user of the host to whom the data could belong."""
    with pytest.raises(TypeError):
        AirtableOAuth(make_settings(), login_data=workspace)


async def test_state_of_another_integration_is_unknown(host: Host) -> None:
    """Two integrations in one app share a store and a browser, but no logins."""
    app = FastAPI()
    for name in ("sales", "support"):
        app.include_router(host.integration(settings={"name": name}).router, prefix=f"/{name}")
    ann = host.user(app, "ann", "/sales")
    callback = await ann.consent()
    elsewhere = await ann.client.post("/support/session", json=callback, headers=CSRF)
    assert error_of(elsewhere) == (400, "login_not_found")
    assert (await ann.finish(callback)).status_code == 201


@pytest.mark.parametrize(
    "path", ["/token-exchange", "/token-refresh", "/get-authorization-url", "/request-oauth-token"]
)
async def test_no_route_hands_out_tokens(host: Host, path: str) -> None:
    """No setting enables them: in a host app, tokens stay on the server."""
    airtable = host.integration(settings={"node_compat": True, "expose_tokens": True})
    ann = host.user(host.app(airtable), "ann")
    for method in ("GET", "POST"):
        assert (await ann.client.request(method, PREFIX + path)).status_code == 404


async def test_hosts_answer_of_any_status_is_its_own(host: Host) -> None:
    """This covers chained exceptions and the dependencies of `include_router`, on every route."""

    async def owner() -> str:
        raise HTTPException(400, "No tenant") from KeyError("tenant")

    async def gate() -> None:
        raise HTTPException(401, "Not here", {"WWW-Authenticate": "Basic"})

    app = host.app(host.integration(owner=owner))
    answer = await host.user(app, None).get("/session")
    assert (answer.status_code, answer.json()) == (400, {"detail": "No tenant"})
    app = FastAPI()
    app.include_router(host.integration(owner=None).router, dependencies=[Depends(gate)])
    for path in ("/session", "/health/live"):
        answer = await host.user(app, None, "").get(path)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not here"})
        assert answer.headers["www-authenticate"] == "Basic"


async def test_reconnect_first_identifies_an_unknown_user(host: Host) -> None:
    """The user of the first login was unknown, so Airtable is asked again."""
    ann = host.user(host.app(host.integration()), "ann")
    callback = await ann.consent(user=0)
    host.simulator.faults.add(Fault(status=503, path="/v0/meta/whoami"))
    made = (await ann.finish(callback)).json()
    assert made["user"] is None
    answer = await ann.finish(await ann.consent(user=1, connection=made["id"]))
    assert error_of(answer) == (403, "other_airtable_user")
    assert (await ann.get("/session")).json()["user"]["email"] == "mina@example.com"


async def test_user_who_was_unknown_is_asked_for_at_the_next_refresh(host: Host) -> None:
    """A settings page should not stay empty for ever."""
    airtable = host.integration()
    ann = host.user(host.app(airtable), "ann")
    callback = await ann.consent()
    host.simulator.faults.add(Fault(status=503, path="/v0/meta/whoami"))
    await ann.finish(callback)
    host.clock.advance(3600)
    assert (await ann.get("/airtable/v0/meta/bases")).status_code == 200
    async with asyncio.timeout(5):  # the user is identified in the background
        while (user := (await ann.get("/session")).json()["user"]) is None:
            await asyncio.sleep(0)
    assert user["email"] == "mina@example.com"


async def test_reconnect_as_an_unidentified_user_stores_no_user(host: Host) -> None:
    """The connection must not keep the former user."""
    ann = host.user(host.app(host.integration(allow_other_user=True)), "ann")
    made = await ann.connect(user=0)
    callback = await ann.consent(user=1, connection=made["id"])
    host.simulator.faults.add(Fault(status=503, path="/v0/meta/whoami"))
    assert (await ann.finish(callback)).json()["user"] is None


async def test_slow_hook_does_not_fail_a_login(host: Host) -> None:
    """The login is complete before its hooks run. A hook that is cancelled does not stop others."""
    airtable = host.integration()
    ann = host.user(host.app(airtable), "ann")
    begun, go = asyncio.Event(), asyncio.Event()

    @airtable.on_connected
    async def cancelled(_connection: Connection) -> None:
        raise asyncio.CancelledError

    @airtable.on_connected
    async def slow(_connection: Connection) -> None:
        begun.set()
        await go.wait()

    callback = await ann.consent()
    first = asyncio.create_task(ann.finish(callback))
    await begun.wait()
    assert (await ann.finish(callback)).status_code == 201
    assert not first.done()
    go.set()
    assert (await first).status_code == 201


async def test_odd_owner_ids_are_not_mixed_up(host: Host) -> None:
    """A lone surrogate, which JSON may contain, must not be treated as a question mark."""
    ann = host.user(host.app(host.integration(owner=lambda: "al\ud800ce")), "x")
    await ann.connect()
    other = host.user(host.app(host.integration(owner=lambda: "al?ce")), "x")
    assert error_of(await other.get("/session")) == (401, "not_connected")


async def test_owner_without_connections_has_no_index(host: Host) -> None:
    """This holds for a host's owner and for a session."""
    ann = host.user(host.app(host.integration()), "ann")
    await ann.connect()
    assert [key async for key in host.store.scan("airtable:owner")] != []
    await ann.disconnect()
    person = host.user(host.app(host.integration(owner=None)), None)
    await person.connect()
    assert [key async for key in host.store.scan("airtable:owner")] == []


async def test_hosts_route_accepts_our_cookie_only_from_its_own_pages(host: Host) -> None:
    """Unsafe methods need the same CSRF check as the library's own routes."""
    airtable = host.integration(owner=None)
    app = host.app(airtable)

    @app.post("/wipe")
    async def wipe(
        client: Annotated[httpx.AsyncClient, Depends(airtable.current_client)],
    ) -> int:
        return (await client.get("/v0/meta/whoami")).status_code

    person = host.user(app, None)
    await person.connect()
    assert (await person.client.post("/wipe", headers=CSRF)).json() == 200
    for headers in ({}, CSRF | {"Origin": "http://localhost:9999"}):
        assert (await person.client.post("/wipe", headers=headers)).status_code == 403
    navigation = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
    assert (await person.client.get("/bases", headers=navigation)).status_code == 200


async def test_background_tasks_of_the_hosts_dependency_run(host: Host) -> None:
    """They run after a streamed answer, too."""
    ran: list[str] = []

    async def owner(tasks: BackgroundTasks) -> str:
        tasks.add_task(ran.append, "yes")
        return "ann"

    ann = host.user(host.app(host.integration(owner=owner)), None)
    await ann.connect()
    ran.clear()
    await ann.get("/airtable/v0/meta/whoami")
    assert ran == ["yes"]


async def test_host_may_tell_its_pages_what_to_do(host: Host) -> None:
    """One handler for the library's errors can answer with code and action, as its routes do."""
    app = host.app(host.integration())

    @app.exception_handler(AirtableOAuthError)
    async def answer(_request: Request, error: AirtableOAuthError) -> Response:
        body = {"error": error.error, "action": error.action, "detail": error.detail}
        return JSONResponse(body, error.status_code, error.headers)

    ann = host.user(app, "ann")
    assert error_of(await ann.client.get("/bases")) == (401, "not_connected")
    await ann.connect()
    host.simulator.vault.revoke_all()
    ended = await ann.client.get("/bases")
    assert error_of(ended) == (401, "reconnect_required")
    assert ended.json()["action"] == "reconnect"
