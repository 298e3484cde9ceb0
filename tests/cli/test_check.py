import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from pydantic_settings import SettingsConfigDict

from airtable_oauth.cli.check import examine, examine_environment
from airtable_oauth.cli.findings import Finding, Level
from airtable_oauth.cli.main import main
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.settings import PREFIX, Settings
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores.memory import MemoryStore
from tests.certificates import https_server, self_signed_certificate
from tests.cli.helpers import KEY, VALID
from tests.helpers import make_settings

PRODUCTION = {
    "redirect_uri": "https://app.example.com/auth-callback",
    "allowed_origins": "https://app.example.com",
    "public_url": "https://api.example.com",
}


async def findings(
    environment: dict[str, str] | None = None,
    *,
    store: MemoryStore | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    **settings: Any,
) -> list[Finding]:
    stream = examine(
        make_settings(**settings),
        environment or {},
        online=transport is not None,
        store=store or MemoryStore(),
        transport=transport,
    )
    return [finding async for finding in stream]


async def problems(*arguments: Any, **options: Any) -> list[str]:
    found = await findings(*arguments, **options)
    return [str(finding) for finding in found if finding.level is not Level.OK]


async def test_sound_settings_have_no_fault() -> None:
    """This holds for settings of this machine and of production. Each line reports a success."""
    assert await problems() == []
    assert await problems(**PRODUCTION) == []
    assert len(await findings()) >= 8


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        ({"allowed_origins": "http://localhost:9"}, "fault", "lacks http://localhost:4200"),
        (
            {"public_url": "http://127.0.0.1:3000"},
            "fault",
            "http://localhost:4200 and http://127.0.0.1:3000 are two sites",
        ),
        (PRODUCTION | {"public_url": "https://api.example.org"}, "fault", "are two sites"),
        (
            PRODUCTION
            | {
                "redirect_uri": "https://a.co.uk/cb",
                "allowed_origins": "https://a.co.uk",
                "public_url": "https://b.co.uk",
            },
            "fault",
            "are two sites",
        ),
        (PRODUCTION | {"public_url": "http://localhost:3000"}, "fault", "is http while the pages"),
        ({"scopes": "data.record:read"}, "fault", "Did you mean data.records:read?"),
        ({"scopes": "zzz"}, "fault", "Airtable does not have the scope zzz."),
        ({"client_secret": ""}, "warning", "AIRTABLE_OAUTH_CLIENT_SECRET: is empty"),
        ({"node_compat": True}, "warning", "AIRTABLE_OAUTH_NODE_COMPAT: is on"),
        ({"scopes": "a:read,b:read"}, "fault", "SCOPES: scopes are separated by spaces"),
        (
            {"redirect_uri": "http://localhost:3000/auth-callback"},
            "warning",
            "REDIRECT_URI: is below http://localhost:3000, where `airtable-oauth serve` has no",
        ),
        ({"webhook_secret": "whsec_x"}, "warning", "WEBHOOK_SECRET: is set but AIRTABLE_OAUTH_"),
    ],
)
async def test_fault_is_named_with_its_remedy(
    settings: dict[str, Any], level: str, words: str
) -> None:
    """The line has the right level."""
    found = await problems(**settings)
    assert [line for line in found if line.startswith(level) and words in line]


@pytest.mark.parametrize("host", ["api.example.co.uk", "example.co.uk", "x.y.example.co.uk"])
async def test_hosts_below_one_domain_are_one_site(host: str) -> None:
    """This also holds for a domain of three labels, below `co.uk`."""
    settings = {
        "redirect_uri": "https://app.example.co.uk/cb",
        "allowed_origins": "https://app.example.co.uk",
        "public_url": f"https://{host}",
    }
    assert await problems(**settings) == []


HOSTING = (
    *("vercel.app", "onrender.com", "github.io", "herokuapp.com", "fly.dev", "netlify.app"),
    *("up.railway.app", "pages.dev"),
)


@pytest.mark.parametrize("domain", HOSTING)
async def test_customers_of_a_hosting_company_are_two_sites(domain: str) -> None:
    """Browsers store no cookie between them. The subdomains of one customer are one site."""
    settings = {
        "redirect_uri": f"https://app.{domain}/cb",
        "allowed_origins": f"https://app.{domain}",
    }
    (problem,) = await problems(**settings, public_url=f"https://api.{domain}")
    assert "are two sites to a browser" in problem
    assert await problems(**settings, public_url=f"https://api.app.{domain}") == []


@pytest.mark.parametrize("added", [False, True])
async def test_advice_for_a_loopback_address_leads_to_working_settings(added: bool) -> None:  # noqa: FBT001
    """Adding the origin would only lead to the next fault: two sites."""
    settings = {"redirect_uri": "http://127.0.0.1:4200/auth-callback", "allowed_origins": ""}
    if added:
        settings["allowed_origins"] = "http://127.0.0.1:4200"
    (problem,) = await problems(**settings)
    assert "http://127.0.0.1:4200 and http://localhost:3000 are two sites" in problem
    assert "Use localhost here, in AIRTABLE_OAUTH_REDIRECT_URI" in problem
    advised = {name: text.replace("127.0.0.1", "localhost") for name, text in settings.items()}
    if added:
        assert await problems(**advised) == []


async def test_service_and_pages_on_one_origin_are_sound() -> None:
    """`deploy/nginx.conf` has the service below a path, and the pages beside it."""
    one_origin = {
        "redirect_uri": "https://app.example.com/auth-callback",
        "allowed_origins": "",
        "public_url": "https://app.example.com/api",
    }
    assert await problems(**one_origin) == []
    one_origin["redirect_uri"] = "HTTPS://App.Example.com:443/auth-callback"
    assert await problems(**one_origin) == []


async def test_one_origin_is_not_compared_with_itself() -> None:
    """Other origins of pages are still compared with the service's."""
    found = await findings(
        redirect_uri="http://localhost:4200/auth-callback",
        allowed_origins="http://localhost:5173",
        public_url="http://localhost:4200/api",
    )
    assert [each.text for each in found if "browsers send the cookies" in each.text] == [
        "pages and service share the origin http://localhost:4200: browsers send the cookies",
        "http://localhost:5173 and http://localhost:4200/api are one site: browsers send the "
        "cookies",
    ]


class Acme(Settings):
    """Settings of an app with its own prefix for variables."""

    model_config = SettingsConfigDict(env_prefix="ACME_", env_file=None)


async def test_malformed_settings_do_not_stop_the_other_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One run reports malformed and wrong settings, each under the variable that is read."""
    environment = {
        "ACME_CLIENT_ID": "an-id",
        "ACME_SCOPES": "data.record:read",
        "ACME_REDIRECT_URI": "http://localhost:4200/cb",
        "ACME_PUBLIC_URL": "http://api.example.com",
        "ACME_ALOWED_ORIGINS": "http://localhost:4200",
        "ACME_STORE_URL": "redis://127.0.0.1:1",
        "ACME_NODE_COMPAT": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = [each async for each in examine_environment(environment, settings=Acme)]
    assert [str(each) for each in found if each.level is not Level.OK] == [
        "fault    ACME_PUBLIC_URL: must use https, except for localhost and loopback addresses",
        "fault    ACME_ENCRYPTION_KEYS: is missing, and this store needs it: create one with "
        "`airtable-oauth keys new`",
        "warning  ACME_ALOWED_ORIGINS: not a known setting; did you mean ACME_ALLOWED_ORIGINS?",
        "fault    ACME_SCOPES: Airtable does not have the scope data.record:read. Did you mean "
        "data.records:read?",
        "warning  ACME_CLIENT_SECRET: is empty, which is right only if the integration has no "
        "secret. If it has one, set it here. If it has none, generating one in Airtable is safer",
        "warning  ACME_NODE_COMPAT: is on: any browser that has the URL of Airtable's redirect can "
        "finish a login that begins at /get-authorization-url",
        "warning  some checks did not run, because they need settings that are malformed or "
        "missing. Correct those, then run this again",
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ACME_CLIENT_ID", ""),
        ("ACME_AIRTABLE_URL", "airtable.com"),
        ("ACME_UPSTREAM_TIMEOUT", "ten"),
    ],
)
async def test_skipped_online_check_is_reported(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other check needs these settings, so without `--online` nothing is skipped."""
    for name, default in VALID.items():
        monkeypatch.setenv(name.replace(PREFIX, "ACME_"), default)
    monkeypatch.setenv(variable, value)
    for online in (True, False):
        report = [str(each) async for each in examine_environment({}, settings=Acme, online=online)]
        assert report[0].startswith(f"fault    {variable}: ")
        assert not [line for line in report if "Airtable accepts" in line]
        assert any("some checks did not run" in line for line in report) is online


class Extended(Acme):
    """Settings with the app's own variable, for which no placeholder is possible."""

    tenant: int


async def test_malformed_setting_of_a_subclass_ends_the_report() -> None:
    """The report names the missing variable, then ends."""
    found = [str(each) async for each in examine_environment({}, settings=Extended)]
    assert "fault    ACME_TENANT: is missing" in found
    assert found[-1].startswith("warning  some checks did not run")


async def test_several_workers_need_a_shared_store() -> None:
    """`check` reads uvicorn's variable for the number of workers."""
    assert "memory:// belongs to one process" in (await problems({"WEB_CONCURRENCY": "4"}))[0]
    shared = {"store_url": "redis://127.0.0.1:1", "encryption_keys": KEY}
    assert await problems({"WEB_CONCURRENCY": "4"}, **shared) == []


async def test_variable_that_is_misspelt() -> None:
    """The warning has a guess. Variables that Kubernetes sets for a service are ignored."""
    environment = {
        "AIRTABLE_OAUTH_ALOWED_ORIGINS": "CANARY",
        "AIRTABLE_OAUTH_PORT_3000_TCP_ADDR": "10.0.0.1",
        "AIRTABLE_OAUTH_SERVICE_HOST": "10.0.0.1",
    }
    assert await problems(environment) == [
        "warning  AIRTABLE_OAUTH_ALOWED_ORIGINS: not a known setting; did you mean "
        "AIRTABLE_OAUTH_ALLOWED_ORIGINS?"
    ]


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("SCOPE", "SCOPES"),
        ("REDIRECT_URL", "REDIRECT_URI"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ORIGINS", "ALLOWED_ORIGINS"),
        ("TYPO", None),
        ("WORKERS", None),
        ("HOST", None),
        ("KEY", None),
    ],
)
async def test_guess_resembles_what_follows_the_prefix(name: str, guess: str | None) -> None:
    """All names share the prefix, so it does not make two of them similar."""
    hint = f"; did you mean {PREFIX}{guess}?" if guess else ""
    assert await problems({PREFIX + name: "x"}) == [
        f"warning  {PREFIX}{name}: not a known setting{hint}"
    ]


class OtherStore(MemoryStore):
    """A store whose clock is wrong, or that is down."""

    def __init__(self, now: float | None) -> None:
        super().__init__()
        self._store_now = now

    async def now(self) -> float:
        if self._store_now is None:
            raise StoreUnavailable
        return self._store_now


async def test_store_that_is_down_or_has_another_time() -> None:
    """A store that is down is a fault, and a clock that differs is a warning."""
    gone = (await problems(store=OtherStore(None)))[0]
    assert gone == "fault    AIRTABLE_OAUTH_STORE_URL: the store does not work (store_unavailable)"
    assert "differ by" in (await problems(store=OtherStore(1000.0)))[0]


async def test_online_asks_airtable(simulator: Simulator) -> None:
    """The check sends one made-up code."""
    transport = httpx.ASGITransport(simulator.app)
    assert await problems(transport=transport) == []
    assert len(simulator.token_requests()) == 1
    refused = await problems(transport=transport, client_secret="CANARY")
    assert "Airtable rejects it with this secret (invalid_client)" in refused[0]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, {}, "Airtable gave no usable response. (HTTP 503)"),
        (
            200,
            {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 1},
            "issues tokens for a made-up code",
        ),
    ],
)
async def test_online_reports_an_unexpected_answer(status: int, body: Any, words: str) -> None:
    """Airtable is down, or the server is not Airtable."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    assert words in (await problems(transport=transport))[0]


async def test_online_names_why_airtable_cannot_be_reached(tmp_path: Path) -> None:
    """A refused connection, an unknown host name and an untrusted certificate are told apart."""

    async def problem(url: str) -> str:
        settings = make_settings(airtable_url=url)
        found = [each async for each in examine(settings, {}, online=True)]
        (fault,) = (str(each) for each in found if each.level is Level.FAULT)
        return fault

    assert "(ConnectionRefusedError ECONNREFUSED)" in await problem("http://127.0.0.1:1")
    assert "(gaierror EAI_" in await problem("https://airtable.invalid")
    with https_server(self_signed_certificate(tmp_path)) as url:
        assert "(SSLCertVerificationError 18)" in await problem(url)


async def test_report_holds_no_secret(simulator: Simulator) -> None:
    """Users paste the report into issues."""
    found = await findings(
        {"AIRTABLE_OAUTH_X": "CANARY-1"},
        transport=httpx.ASGITransport(simulator.app),
        store=OtherStore(None),
        client_secret="CANARY-2",
        store_url="redis://:CANARY-3@127.0.0.1:1",
        encryption_keys=KEY,
    )
    report = "\n".join(str(finding) for finding in found)
    assert "fault" in report
    assert "CANARY" not in report
    assert KEY not in report


async def test_telemetry_without_a_collector() -> None:
    """The telemetry would be lost."""
    (problem,) = await problems(telemetry=True)
    assert problem == (
        "warning  AIRTABLE_OAUTH_TELEMETRY: is on, but no OTEL_EXPORTER_OTLP_… variable says where "
        "to send spans and metrics"
    )
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert await problems(environment, telemetry=True) == []


async def test_missing_exporter_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` would not start."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert await problems(environment, telemetry=True) == [
        "fault    AIRTABLE_OAUTH_TELEMETRY needs an exporter: "
        "pip install 'airtable-oauth[telemetry]'"
    ]


async def test_missing_driver_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the extra to install."""
    monkeypatch.setitem(sys.modules, "airtable_oauth.stores.redis", None)
    settings = make_settings(store_url="redis://127.0.0.1:1", encryption_keys=KEY)
    found = [finding async for finding in examine(settings, {})]
    assert str(found[-1]) == (
        "fault    AIRTABLE_OAUTH_STORE_URL needs a driver: pip install 'airtable-oauth[redis]'"
    )


async def test_unknown_setting_of_the_env_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most users have such a file. A name that resembles no setting gets no guess."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("AIRTABLE_OAUTH_STORE=redis://x\nAIRTABLE_OAUTH_XYZZY=1\n")
    found = await problems()
    assert "AIRTABLE_OAUTH_STORE: not a known setting; did you mean" in found[0]
    assert found[1].endswith("AIRTABLE_OAUTH_XYZZY: not a known setting")


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
def test_check_reports_and_sets_its_exit_status(
    environment: dict[str, str], status: int, words: str
) -> None:
    """The status is 0 without a fault, and 1 with one."""
    result = CliRunner().invoke(main, ["check"], env=VALID | environment)
    assert result.exit_code == status, result.output
    assert words in result.output


def test_check_reports_malformed_settings_and_the_others_in_one_run() -> None:
    """The lines have the same form, and do not contain the value."""
    result = CliRunner().invoke(main, ["check"], env=VALID | {f"{PREFIX}PUBLIC_URL": "CANARY"})
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == f"fault    {PREFIX}PUBLIC_URL: must be an http or https URL with a host name"
    assert "ok       the store (memory) works: a record was written, read and deleted" in lines
    assert "CANARY" not in result.output
