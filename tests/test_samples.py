"""The samples of README.md and docs/ run and pass type checkers."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from anyio import to_thread
from click.testing import CliRunner
from fastapi import FastAPI

from airtable_oauth import AirtableOAuth, AirtableOAuthError, errors
from airtable_oauth.cli import main as cli
from airtable_oauth.settings import decode_webhook_secret
from airtable_oauth.testing import AirtableSimulator, Fault
from airtable_oauth.vault.webhook import sign
from tests.helpers import CSRF, free_port
from tests.processes import command, listens, process, wait_until
from tests.samples import (
    DOCUMENTS,
    NODE,
    NODE_PACKAGES,
    ROOT,
    Sample,
    needs_node_packages,
    sample,
    samples,
    write_browser_samples,
)

EMBEDDING = "docs/embedding.md"
WEBHOOK_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NOT_RUN = {
    "# conftest.py": "test_tests_of_an_app_pass runs it",
    "# test_myapp.py": "test_tests_of_an_app_pass runs it",
    "# myapp/webhooks.py": "the fixture `receiver` runs it",
    '  "type": "connection.reconnect_required"': "test_webhook.py checks an event",
}
"""Samples that no test runs: the start of one of their lines, and the reason."""
COMMAND = re.compile(r"airtable-oauth((?: [a-z][\w.:/-]*| --?[\w-]+| \d\S*| [A-Z]+)+)")
USERS = '''
"""What the samples leave to the reader: users."""

from typing import Annotated

from fastapi import Header, HTTPException


def current_user_id(x_user: Annotated[str | None, Header()] = None) -> str:
    if x_user is None:
        raise HTTPException(401, "Sign in first")
    return x_user


async def may_use(user: str, workspace: int) -> bool:
    return (user, workspace) == ("ann", 12)
'''
"""`myapp/users.py`."""


def write_python_samples(directory: Path) -> None:
    """Write every Python sample to the path that it names, and add the reader's own `users.py`."""
    files = {each.path: each.text for each in samples("python")}
    assert len(files) == len(samples("python")), "two samples name the same file"
    for path, text in {"myapp/__init__.py": "", "myapp/users.py": USERS, **files}.items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(text)


def checked(words: Sequence[str], directory: Path) -> str:
    """The output of a type checker, or nothing if it succeeds."""
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.integration
def test_mypy_accepts_every_python_sample(tmp_path: Path) -> None:
    """A reader would run `mypy --strict` without plugins."""
    write_python_samples(tmp_path)
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    cache = f"--cache-dir={ROOT / '.mypy_cache/samples'}"
    words = [sys.executable, "-m", "mypy", "--strict", "--config-file=mypy.ini", cache, "."]
    assert checked(words, tmp_path) == ""


@pytest.mark.integration
def test_pyright_accepts_every_python_sample(tmp_path: Path) -> None:
    """VS Code shows readers these errors."""
    write_python_samples(tmp_path)
    words = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "."]
    assert checked(words, tmp_path) == ""


@pytest.mark.integration
@needs_node_packages
@pytest.mark.parametrize("language", ["ts", "js"])
def test_tsc_accepts_every_sample(tmp_path: Path, language: str) -> None:
    """This uses Angular's types and the module's. JavaScript is checked as well as it can be."""
    write_browser_samples(tmp_path)
    tsconfig = {
        "compilerOptions": {
            "allowJs": True,
            "checkJs": language == "js",
            "experimentalDecorators": True,
            "lib": ["es2022", "dom", "dom.iterable"],
            "module": "esnext",
            "moduleResolution": "bundler",
            "noEmit": True,
            "skipLibCheck": True,
            "strict": language == "ts",
            "target": "es2022",
        },
        "include": [f"*.{language}"],
        "exclude": ["airtable-oauth*"],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(tsconfig))
    tsc = (NODE_PACKAGES / ".bin/tsc").resolve()
    assert checked([str(NODE), str(tsc), "--project", "."], tmp_path) == ""


@pytest.fixture
def reader(
    tmp_path: Path, airtable_simulator: AirtableSimulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A directory with the samples, on Python's path, with a simulated Airtable's variables."""
    write_python_samples(tmp_path)
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in airtable_simulator.environment.items():
        monkeypatch.setenv(name, value)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def run(the_sample: Sample) -> ModuleType:
    """Import a sample."""
    return importlib.import_module(the_sample.path.removesuffix(".py").replace("/", "."))


@asynccontextmanager
async def ann_at(app: FastAPI, airtable: AirtableOAuth) -> AsyncIterator[httpx.AsyncClient]:
    """Ann's browser, within the lifespan of a sample's integration."""
    async with (
        airtable.lifespan(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://localhost:3000",
            headers={"X-User": "ann"},
        ) as browser,
    ):
        yield browser


async def connect(browser: httpx.AsyncClient, simulator: AirtableSimulator, prefix: str) -> str:
    """Log in as the pages do and return the connection's id."""
    begun = await browser.get(f"{prefix}/authorization-url")
    callback = simulator.grant(begun.json()["authorizationUrl"])
    answer = await browser.post(f"{prefix}/session", json=callback, headers=CSRF)
    assert answer.status_code == 201, answer.text
    connection_id: str = answer.json()["id"]
    return connection_id


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("document", ["README.md", EMBEDDING])
async def test_app_of_the_first_page_runs(
    airtable_simulator: AirtableSimulator, document: str
) -> None:
    """A user connects and sees the bases. An error of Airtable does not become a 500."""
    module = run(sample(document, "async def bases("))
    async with ann_at(module.app, module.airtable) as ann:
        assert (await ann.get("/bases")).status_code == 401
        connection_id = await connect(ann, airtable_simulator, "/integrations/airtable")
        assert len((await ann.get("/bases")).json()["bases"]) == 3
        airtable_simulator.faults.add(Fault("/v0/meta/bases", status=403, body="{}"))
        assert (await ann.get("/bases")).status_code == 403
        if document == "README.md":
            assert (await module.whoami(connection_id))["email"] == "mina@example.com"
            token = await module.token_for_pyairtable(connection_id)
            assert token in airtable_simulator.vault.access_tokens


@pytest.mark.usefixtures("reader")
async def test_worker_counts_bases(airtable_simulator: AirtableSimulator) -> None:
    """It runs outside of a request."""
    module = run(sample(EMBEDDING, "async def count_bases("))
    connection = await module.airtable.adopt("ann", airtable_simulator.tokens())
    assert await module.count_bases(connection.id) == 3


@pytest.mark.usefixtures("reader")
async def test_handler_tells_a_front_end_what_to_do() -> None:
    """The answer says whether to sign in or to connect Airtable."""
    run(sample(EMBEDDING, "@app.exception_handler(AirtableOAuthError)"))
    main = importlib.import_module("myapp.main")
    async with ann_at(main.app, main.airtable) as ann:
        answer = await ann.get("/bases")
    assert answer.status_code == 401
    assert answer.json() == {
        "error": "not_connected",
        "action": "restart_login",
        "detail": errors.NotConnected.description,
    }


def test_table_of_errors_is_right() -> None:
    """It has the status and code of each class."""
    page = (ROOT / EMBEDDING).read_text().partition("## What goes wrong")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`\w+`.*?) \| (.*?) \| (.*?) \|", page, re.MULTILINE)
    assert len(rows) > 10
    for names, status, code in rows:
        for name in re.findall(r"`(\w+)`", names):
            kind: type[AirtableOAuthError] = getattr(errors, name)
            assert str(kind.status) in status, name
            assert f"`{kind.error}`" in code.split(", ") or not code.startswith("`"), name


async def test_hooks_are_called(reader: Path, airtable_simulator: AirtableSimulator) -> None:
    """Each hook receives the connection. Here the hooks, which have no body, note its status."""
    hooks = sample(EMBEDDING, "@airtable.on_connected")
    body = "noted.append(connection.status)"
    text = f"noted: list[str] = []\n{hooks.text.replace('-> None: ...', f'-> None: {body}')}"
    (reader / hooks.path).write_text(text)
    module = run(hooks)
    async with module.airtable.lifespan():
        connection = await module.airtable.adopt("ann", airtable_simulator.tokens())
        airtable_simulator.vault.revoke_all()
        with pytest.raises(errors.ReconnectRequired):
            await module.airtable.client(connection.id).get("/v0/meta/bases")
        await module.airtable.disconnect(connection.id)
    assert module.noted == ["connected", "reconnect_required", "disconnected"]


@pytest.fixture(params=["python", "node"])
def receiver(request: pytest.FixtureRequest, reader: Path) -> Iterator[str]:
    """One of the guide's webhook receivers as a process: its URL."""
    (reader / "webhooks.mjs").write_text(sample(EMBEDDING, "// webhooks.mjs").text)
    port = str(free_port())
    words = {
        "python": [sys.executable, "-m", "uvicorn", "myapp.webhooks:app", "--port", port],
        "node": ["node", "webhooks.mjs"],
    }[request.param]
    variables = {
        "AIRTABLE_OAUTH_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "PATH": f"{NODE.parent}:{os.environ['PATH']}",
        "PORT": port,
        "PYTHONUNBUFFERED": "1",
    }
    with process(words, reader, variables=variables):
        wait_until(lambda: listens(int(port)))
        yield f"http://127.0.0.1:{port}/hooks/airtable"


@pytest.mark.integration
async def test_receiver_reads_every_event(
    receiver: str, reader: Path, airtable_simulator: AirtableSimulator
) -> None:
    """The real webhook sends the events."""
    settings = airtable_simulator.settings(webhook_url=receiver, webhook_secret=WEBHOOK_SECRET)
    airtable = AirtableOAuth(settings)
    (log,) = reader.glob("*.log")

    async def printed(line: str) -> None:
        await to_thread.run_sync(wait_until, lambda: line in log.read_text().splitlines())

    async with airtable.lifespan():
        connection = await airtable.adopt("ann", airtable_simulator.tokens())
        await printed(f"{connection.id} is connected ")
        await airtable.adopt("ann", airtable_simulator.tokens())
        await printed(f"{connection.id} is connected again")
        airtable_simulator.vault.revoke_all()
        with pytest.raises(errors.ReconnectRequired):
            await airtable.client(connection.id).get("/v0/meta/bases")
        await printed(f"{connection.id} has ended: revoked")
        await airtable.disconnect(connection.id)
        await printed(f"{connection.id} is disconnected")


@pytest.mark.integration
def test_receiver_refuses_what_is_not_signed(receiver: str) -> None:
    """It also refuses a message from ten minutes ago, and one without a signature."""
    body = b'{"type": "connection.of_a_later_version", "data": {}}'

    def status(key: bytes, seconds_ago: int = 0) -> int:
        timestamp = str(int(time.time()) - seconds_ago)
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,AAAA v1,{sign(key, 'msg_1', timestamp, body)}",
        }
        return httpx.post(receiver, content=body, headers=headers).status_code

    key = decode_webhook_secret(WEBHOOK_SECRET)
    assert status(key) == 204
    assert status(key, seconds_ago=600) == 401
    assert status(key[::-1]) == 401
    assert httpx.post(receiver, content=body).status_code == 401


@pytest.mark.usefixtures("reader")
async def test_login_carries_data(airtable_simulator: AirtableSimulator) -> None:
    """The data names a workspace that the user may use."""
    module = run(sample(EMBEDDING, "async def workspace("))
    app = FastAPI()
    app.include_router(module.airtable.router, prefix="/workspaces")
    async with ann_at(app, module.airtable) as ann:
        refused = await ann.get("/workspaces/authorization-url?workspace=13")
        begun = await ann.get("/workspaces/authorization-url?workspace=12")
        callback = airtable_simulator.grant(begun.json()["authorizationUrl"])
        await ann.post("/workspaces/session", json=callback, headers=CSRF)
        (connection,) = await module.airtable.connections("ann")
    assert refused.status_code == 403
    assert connection.data == {"workspace": 12}


@pytest.mark.usefixtures("reader")
async def test_night_shift_renews_and_reports(
    airtable_simulator: AirtableSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """It refreshes an idle connection, and lists an ended one with its owner."""
    module = run(sample(EMBEDDING, "# myapp/nightly.py"))
    airtable_simulator.vault.lifetimes.refresh_token = 86400
    async with module.airtable.lifespan():
        ended = await module.airtable.adopt("ann", airtable_simulator.tokens())
        airtable_simulator.vault.revoke_all()
        idle = await module.airtable.adopt("bob", airtable_simulator.tokens(user=1))
        await module.main()
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        [f"{ended.id} ended", f"{idle.id} renewed", "ann revoked"]
    )


@pytest.mark.usefixtures("reader")
async def test_tokens_of_before_are_handed_over(airtable_simulator: AirtableSimulator) -> None:
    """An expired access token is refreshed before it is used."""
    module = run(sample(EMBEDDING, "async def hand_over("))
    tokens = airtable_simulator.tokens()
    airtable_simulator.clock.advance(3601)
    row = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    async with module.airtable.lifespan():
        connection_id = await module.hand_over("ann", row)
        async with module.airtable.client(connection_id) as client:
            assert (await client.get("/v0/meta/bases")).status_code == 200
        (connection,) = await module.airtable.connections("ann")
        assert connection.user.email == "mina@example.com"
        with pytest.raises(errors.UpstreamError):
            await module.hand_over("ann", row)


@pytest.mark.usefixtures("reader")
async def test_two_integrations_keep_apart(
    airtable_simulator: AirtableSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own variables and prefix."""
    for name, value in airtable_simulator.environment.items():
        for prefix in ("SALES", "SUPPORT"):
            monkeypatch.setenv(name.replace("AIRTABLE_OAUTH", prefix, 1), value)
    module = run(sample(EMBEDDING, "sales = AirtableOAuth("))
    async with ann_at(module.app, module.sales) as ann:
        await connect(ann, airtable_simulator, "/sales/airtable")
        assert (await ann.get("/sales/airtable/session")).status_code == 200
        assert (await ann.get("/support/airtable/session")).status_code == 401


@pytest.mark.integration
@pytest.mark.usefixtures("unmeasured")
def test_tests_of_an_app_pass(reader: Path) -> None:
    """These are the guide's `conftest.py` and tests, with the guide's app."""
    (reader / "myapp/users.py").write_text('def current_user_id() -> str:\n    return "ann"\n')
    words = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:schemathesis"]
    done = subprocess.run(
        [*words, "test_myapp.py"],
        cwd=reader,
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[dict[str, str]]:
    """`airtable-oauth demo` as a process. Maps the README's origins to the real ones."""
    ports = {"4200": "--port", "3000": "--api-port", "4300": "--simulator-port"}
    free = {printed: str(free_port()) for printed in ports}
    options = [word for printed, option in ports.items() for word in (option, free[printed])]
    with command(["demo", *options], tmp_path):
        wait_until(lambda: "Open http" in (tmp_path / "demo.log").read_text())
        yield {
            f"{host}:{printed}": f"{host}:{port}"
            for printed, port in free.items()
            for host in ("localhost", "127.0.0.1")
        }


@pytest.mark.integration
def test_login_with_curl_works_as_printed(demo: dict[str, str], tmp_path: Path) -> None:
    """The demo gives each answer that the README shows."""
    assert_works_as_printed(sample("README.md", "# Begin: where to send"), demo, tmp_path)


@pytest.mark.integration
def test_example_app_works_as_printed(tmp_path: Path) -> None:
    """The test runs the simulator, the app, and Ann's login."""
    app, simulator = (str(free_port()) for _ in range(2))
    origins = {
        "localhost:3000": f"localhost:{app}",
        "127.0.0.1:4300": f"127.0.0.1:{simulator}",
        "--port 3000": f"--port {app}",
        "simulator &": f"simulator --port {simulator} &",
    }
    script = printed_at(sample("examples/README.md", "airtable-oauth simulator &"), origins)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            ["sh", "-eu", "-c", script],
            cwd=ROOT,
            env=os.environ | {"PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: listens(int(app)) and listens(int(simulator)))
        login = sample("examples/README.md", "B=http://localhost:3000/")
        assert_works_as_printed(login, origins, tmp_path)
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(timeout=30)


def printed_at(the_sample: Sample, origins: dict[str, str]) -> str:
    """A sample's text with the addresses of this test."""
    text = the_sample.text
    for printed, ours in origins.items():
        text = text.replace(printed, ours)
    return text


def assert_works_as_printed(the_sample: Sample, origins: dict[str, str], directory: Path) -> None:
    """Run a sample and compare its answers with its comments, where `…` matches anything."""
    script = printed_at(the_sample, origins)
    shell = ["sh", "-eu", "-c", script]
    done = subprocess.run(shell, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^# ([{\[].*|http.*)$", script, re.MULTILINE)
    assert len(shown) > 1
    wanted = ".*".join(re.escape(line).replace("…", ".*?") for line in shown)
    assert re.search(wanted, done.stdout, re.DOTALL), done.stdout


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_of_a_document_exist(document: str) -> None:
    """This covers each `airtable-oauth …` in code, with its options, and each script."""
    text = (ROOT / document).read_text()
    code = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    code += [each for each in re.findall(r"`([^`\n]+)`", text) if " · " not in each]
    for line in "\n".join(code).replace("\\\n", " ").splitlines():
        for words in COMMAND.findall(line):
            result = CliRunner().invoke(cli.main, [*words.split(), "--help"])
            assert result.exit_code == 0, line + result.output
        for script in re.findall(r"(?<![\w/])(?:\./)?(scripts/\w+)", line):
            assert (ROOT / script).is_file(), line


def test_every_sample_is_run_or_says_why_not() -> None:
    """A test here must name one of its lines, or `NOT_RUN` must have a reason.

    For shell samples, the test above checks every command. tests/browser/test_samples.py runs all
    of docs/frontend.md.
    """
    run_here = re.findall(r'sample\([^,()]+, "([^"]+)"\)', Path(__file__).read_text())
    left = [
        f"{each.document}: {each.title}"
        for each in samples()
        if each.language != "sh"
        and each.document != "docs/frontend.md"
        and not any(line.startswith((*run_here, *NOT_RUN)) for line in each.text.splitlines())
    ]
    assert left == []
