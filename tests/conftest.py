"""Fixtures for all tests."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from hypothesis import settings

from airtable_oauth.app import create_app
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores.memory import MemoryStore
from tests.certificates import self_signed_certificate
from tests.helpers import FakeClock, make_settings, make_simulator
from tests.stores.backends import ICU_LOCALE, postgres_server, redis_server

pytest_plugins = ["airtable_oauth.testing"]

# The examples are the same in every run. `scripts/test --thorough` selects the second profile.
settings.register_profile(
    "everyday", max_examples=100, deadline=None, derandomize=True, database=None
)
settings.register_profile("thorough", settings.get_profile("everyday"), max_examples=500)
settings.load_profile("everyday")


def pytest_configure(config: pytest.Config) -> None:
    """Make TLS clients, here and in the processes under test, trust a single certificate.

    Otherwise each HTTP client loads the system's certificates, which takes longer than most tests.
    """
    directory = TemporaryDirectory()
    config.add_cleanup(directory.cleanup)
    os.environ["SSL_CERT_FILE"] = str(self_signed_certificate(Path(directory.name)))


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio."""
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when a test advances it."""
    return FakeClock()


@pytest.fixture
def simulator() -> Simulator:
    """A separate simulator."""
    return make_simulator()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    """The in-memory store, on the fake clock."""
    return MemoryStore(limits={"airtable:login": 100}, clock=clock)


@pytest.fixture
async def browser(
    simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a cookie jar for a service that uses the simulator as Airtable."""
    app = create_app(
        make_settings(),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as client:
        yield client


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn coverage off in processes, because it would slow them down."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis for the whole run."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL for the whole run, which sorts text by bytes."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def icu_postgres_url() -> Iterator[str]:
    """A PostgreSQL for the whole run, which sorts text by language rules."""
    with postgres_server(ICU_LOCALE) as url:
        yield url
