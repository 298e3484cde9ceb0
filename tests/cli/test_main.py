import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from airtable_oauth import AirtableOAuth, TokenSet
from airtable_oauth.cli.main import main
from airtable_oauth.settings import PREFIX, decode_key
from airtable_oauth.store_factory import open_store, sealed
from tests.helpers import make_settings, settings_of

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
VALID = {
    f"{PREFIX}CLIENT_ID": "an-id",
    f"{PREFIX}REDIRECT_URI": "http://localhost:4200/auth-callback",
    f"{PREFIX}SCOPES": "data.records:read",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` and no variables but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_key_is_alone_on_its_line() -> None:
    """Good to pipe into a secret store; never the same twice."""
    keys = {CliRunner().invoke(main, ["keys", "new"]).output for _ in range(10)}
    assert len(keys) == 10
    for line in keys:
        assert len(decode_key(line.removesuffix("\n"))) == 32


def test_serve_names_every_fault_on_a_line() -> None:
    """And starts nothing."""
    result = CliRunner().invoke(main, ["serve"], env={f"{PREFIX}ALLOWED_ORIGINS": "CANARY"})
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{PREFIX}CLIENT_ID: is missing",
        f"{PREFIX}REDIRECT_URI: is missing",
        f"{PREFIX}SCOPES: is missing",
        f"{PREFIX}ALLOWED_ORIGINS: must list origins, without a path: https://app.example.com",
    ]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--workers", "2"], {}), ([], {"WEB_CONCURRENCY": "2"})],
)
def test_memory_store_belongs_to_one_process(
    arguments: list[str], environment: dict[str, str]
) -> None:
    """A login begun in one worker would be unknown in the next."""
    result = CliRunner().invoke(main, ["serve", *arguments], env=VALID | environment)
    assert result.exit_code == 1
    assert f"{PREFIX}STORE_URL: memory:// belongs to one process" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["simulator"],
        ["pages"],
        ["demo", "--api-port", "3999", "--simulator-port", "3998"],
    ],
)
def test_port_that_is_taken_is_a_clear_error(command: list[str]) -> None:
    """One line, not a traceback of the event loop's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, [*command, "--port", port], env=VALID)
    assert result.exit_code == 1
    assert f":{port}: Address already in use" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_settings_come_from_a_dotenv_file(tmp_path: Path) -> None:
    """In the directory that it is started from."""
    lines = [f"{name}={value}" for name, value in VALID.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, f"{PREFIX}STORE_URL=redis://localhost"]))
    result = CliRunner().invoke(main, ["serve"])
    assert result.stderr.splitlines() == [
        f"{PREFIX}ENCRYPTION_KEYS: is missing, and this store needs it: create one with "
        "`airtable-oauth keys new`"
    ]


@pytest.mark.parametrize(
    "command",
    [
        *([], ["serve"], ["demo"], ["pages"], ["check"], ["simulator"]),
        *(["keys"], ["keys", "new"], ["keys", "rotate"]),
    ],
)
def test_help_helps(command: list[str]) -> None:
    """Every command and option says what it is for."""
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({f"{PREFIX}ALLOWED_ORIGINS": "http://localhost:4200"}, 0, "ok       redirect URI"),
        ({}, 1, f"fault    {PREFIX}ALLOWED_ORIGINS: lacks http://localhost:4200"),
        (
            {f"{PREFIX}STORE_URL": "redis://127.0.0.1:1", f"{PREFIX}ENCRYPTION_KEYS": KEY},
            1,
            f"fault    {PREFIX}STORE_URL: the store cannot be reached",
        ),
    ],
)
def test_check_reports_and_tells_by_its_status(
    environment: dict[str, str], status: int, words: str
) -> None:
    """0 without a fault, 1 with one."""
    result = CliRunner().invoke(main, ["check"], env=VALID | environment)
    assert result.exit_code == status, result.output
    assert words in result.output


def test_check_reports_malformed_settings_and_the_others_in_one_run() -> None:
    """In the same form, and without a value."""
    result = CliRunner().invoke(main, ["check"], env=VALID | {f"{PREFIX}PUBLIC_URL": "CANARY"})
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == f"fault    {PREFIX}PUBLIC_URL: must be an http or https URL with a host name"
    assert "ok       the store (memory) works: a record was written, read and deleted" in lines
    assert "CANARY" not in result.output


KEY_B = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"


async def _store_something(url: str, key: str, count: int) -> None:
    settings = make_settings(store_url=url, encryption_keys=key)
    store = sealed(open_store(settings), settings)
    for number in range(count):
        await store.put(f"airtable:connection:{key[:4]}{number}", b"v", 60)
    await store.close()


@pytest.fixture(params=["sqlite", "redis", "postgresql ICU"])
def rotated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings for `keys rotate` on an empty store, with the new key in front of the old one."""
    urls = {"redis": "redis_url", "postgresql ICU": "icu_postgres_url"}
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param in urls:
        url = request.getfixturevalue(urls[request.param])
    asyncio.run(_empty(url))
    yield VALID | {f"{PREFIX}STORE_URL": url, f"{PREFIX}ENCRYPTION_KEYS": f"{KEY_B},{KEY}"}
    asyncio.run(_empty(url))


async def _empty(url: str) -> None:
    store = open_store(make_settings(store_url=url, encryption_keys=KEY))
    for key in [key async for key in store.scan("airtable")]:
        await store.pop(key)
    await store.close()


ALL = "Every record is encrypted with the first key."


def test_keys_are_rotated(rotated: dict[str, str]) -> None:
    """All records, once; the verdict and the exit status say whether the old key can go."""
    url = rotated[f"{PREFIX}STORE_URL"]
    asyncio.run(_store_something(url, KEY, 7))
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("7 records: 7 encrypted with the first key now, 0 already")
    assert result.output.endswith(f"{ALL}\n")
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("7 records: 0 encrypted with the first key now, 7 already")
    asyncio.run(_store_something(url, KEY, 2))
    rotated[f"{PREFIX}ENCRYPTION_KEYS"] = KEY_B
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 1
    assert "NOT every record is encrypted with the first key." in result.output
    assert "2 of them cannot be opened (unknown_encryption_key)" in result.output
    assert ALL not in result.output


def test_rotation_that_sees_nothing_proves_nothing(rotated: dict[str, str]) -> None:
    """The store or the name may be another one than the service's."""
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 1
    assert "No records were found for AIRTABLE_OAUTH_NAME=airtable in this store" in result.output
    assert ALL not in result.output


def test_unknown_format_keeps_the_old_key(rotated: dict[str, str]) -> None:
    """It is counted, and named by where it is stored."""

    async def store_junk() -> None:
        settings = make_settings(store_url=rotated[f"{PREFIX}STORE_URL"], encryption_keys=KEY)
        store = open_store(settings)
        await store.put("airtable:connection:junk", b"\x02 of a later version", 60)
        await store.close()

    asyncio.run(store_junk())
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 1
    assert "1 of them cannot be opened (unknown_record_format)" in result.output
    assert "  airtable:connection:junk\n" in result.output


def test_keys_of_the_embedded_store_are_not_rotated() -> None:
    """It lives in another process."""
    result = CliRunner().invoke(main, ["keys", "rotate"], env=VALID)
    assert result.exit_code == 1
    assert "memory:// is seen by no process" in result.output


@pytest.fixture
def lasting(tmp_path: Path) -> dict[str, str]:
    """Settings with a store that outlives a process, and an Airtable that is not there."""
    return VALID | {
        f"{PREFIX}STORE_URL": f"sqlite:///{tmp_path}/store.db",
        f"{PREFIX}ENCRYPTION_KEYS": KEY,
        f"{PREFIX}AIRTABLE_URL": "http://127.0.0.1:1",
        f"{PREFIX}AIRTABLE_API_URL": "http://127.0.0.1:1",
    }


def adopted(environment: dict[str, str], owner: str, life: int = 60 * 86400) -> str:
    """A connection in the store of these settings; its id."""

    async def adopt() -> str:
        airtable = AirtableOAuth(settings_of(environment))
        async with airtable.lifespan():
            tokens = TokenSet("oaa-CANARY", "oar-CANARY", "data.records:read", 3600, life)
            return (await airtable.adopt(owner, tokens)).id

    return asyncio.run(adopt())


def test_connections_are_listed_and_disconnected(lasting: dict[str, str]) -> None:
    """All of them or an owner's, for people and for programs; tokens nowhere."""
    ann, bob = adopted(lasting, "ann"), adopted(lasting, "bob")
    run = CliRunner()
    everybody = run.invoke(main, ["connections", "list"], env=lasting)
    assert everybody.exit_code == 0, everybody.output
    assert everybody.output.splitlines()[0].split() == [
        *("ID", "STATUS", "RECONNECT", "BY", "AIRTABLE", "USER", "OWNER"),
    ]
    assert {line.split()[0] for line in everybody.output.splitlines()[1:]} == {ann, bob}
    anns = run.invoke(main, ["connections", "list", "--owner", "ann", "--json"], env=lasting)
    (connection,) = [json.loads(line) for line in anns.output.splitlines()]
    assert (connection["id"], connection["owner"]) == (ann, "ann")
    assert (connection["status"], connection["scopes"]) == ("connected", ["data.records:read"])
    gone = run.invoke(main, ["connections", "disconnect", ann], env=lasting)
    assert (gone.exit_code, gone.output) == (0, f"{ann} is disconnected.\n")
    again = run.invoke(main, ["connections", "disconnect", ann], env=lasting)
    assert again.exit_code == 1
    assert f"This store has no connection '{ann}'." in again.output
    left = run.invoke(main, ["connections", "list"], env=lasting)
    assert ann not in left.output
    assert bob in left.output
    for result in (everybody, anns, gone, again, left):
        assert "CANARY" not in result.output


def test_names_of_others_move_no_cursor(lasting: dict[str, str]) -> None:
    """An owner's id is what a host says; a terminal must not obey it."""
    adopted(lasting, "ann\x1b[2J\nbob")
    output = CliRunner().invoke(main, ["connections", "list"], env=lasting).output
    assert r"ann\x1b[2J\nbob" in output
    assert len(output.splitlines()) == 2


def test_refresh_idle_says_what_became_of_each(lasting: dict[str, str]) -> None:
    """1 as long as something is left to do, for whoever minds the cron job."""
    run = CliRunner()
    assert run.invoke(main, ["refresh-idle"], env=lasting).output == "0 renewed, 0 ended, 0 later\n"
    adopted(lasting, "ann")
    soon = adopted(lasting, "bob", life=86400)
    result = run.invoke(main, ["refresh-idle", "--within", "7"], env=lasting)
    assert result.exit_code == 1
    assert result.output == f"{soon} later\n0 renewed, 0 ended, 1 later\n"


@pytest.mark.parametrize(
    "arguments", [["refresh-idle"], ["connections", "list"], ["connections", "disconnect", "con_1"]]
)
def test_connections_of_the_embedded_store_are_its_process_own(arguments: list[str]) -> None:
    """Not a list of nothing."""
    result = CliRunner().invoke(main, arguments, env=VALID)
    assert result.exit_code == 1
    assert "memory:// is seen by no process" in result.output


def test_webhook_secret_is_one_that_the_settings_take() -> None:
    """Alone on its line, another each time."""
    secrets = {CliRunner().invoke(main, ["keys", "webhook"]).output for _ in range(2)}
    assert len(secrets) == 2
    for secret in secrets:
        made = make_settings(webhook_url="https://host.example/h", webhook_secret=secret)
        assert made.webhook_secret.get_secret_value() == secret.strip()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--app", "http://127.0.0.1:5173"], "must begin with http://localhost"),
        (["--app", "https://localhost:5173"], "must begin with http://localhost"),
        (["--app", "http://localhost.evil.example"], "must begin with http://localhost"),
        (["--app", "http://a@localhost:5173"], "must begin with http://localhost"),
        (["--app", "localhost:5173"], "must begin with http://localhost"),
        (["--app", "http://localhost:5173/app"], "an origin without a path"),
        (["--app", "http://localhost:99999"], "must be an origin"),
        (["--app", "http://localhost:3000"], "--app and --api-port name the same port"),
        (["--app", "http://localhost:1", "--simulator-port", "1"], "name the same port"),
        (["--app", "http://localhost:5173", "--port", "4200"], "--port is about the pages"),
        (["--app", "http://localhost:5173", "--tokens", "server"], "--tokens is about the pages"),
    ],
)
def test_app_that_could_not_connect_to_the_demo_is_refused(
    arguments: list[str], words: str
) -> None:
    """With the reason, before anything starts."""
    result = CliRunner().invoke(main, ["demo", *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", "").split())
