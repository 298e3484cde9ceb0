"""The examples run as they are printed, away from this repository."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airtable_oauth import AirtableOAuth
from airtable_oauth.testing import AirtableSimulator
from tests.helpers import settings_of

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def run(directory: Path, *arguments: str, **environment: str) -> str:
    """What `python …` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("unmeasured")
def test_app_passes_its_own_tests(tmp_path: Path) -> None:
    """They use the pytest plugin, as the tests of any other app do."""
    shutil.copytree(EXAMPLES / "fastapi_app", tmp_path / "fastapi_app")
    output = run(tmp_path, "-m", "pytest", "-q", "-W", "error", "fastapi_app", PYTHONPATH=".")
    assert "4 passed" in output


def test_app_is_short() -> None:
    """As long as a page of FastAPI's tutorial."""
    assert len((EXAMPLES / "fastapi_app/app.py").read_text().splitlines()) < 80


def connected(simulator: AirtableSimulator, tmp_path: Path) -> tuple[dict[str, str], str]:
    """The variables of an app with a store on disk, and a connection in it."""
    environment = simulator.environment | {
        "AIRTABLE_OAUTH_STORE_URL": f"sqlite:///{tmp_path}/store.db",
        "AIRTABLE_OAUTH_ENCRYPTION_KEYS": KEY,
    }

    async def adopt() -> str:
        airtable = AirtableOAuth(settings_of(environment))
        async with airtable.lifespan():
            return (await airtable.adopt("ann", simulator.tokens())).id

    return environment, asyncio.run(adopt())


def test_worker_runs_in_a_process_of_its_own(
    airtable_simulator: AirtableSimulator, tmp_path: Path
) -> None:
    """It finds the connections of the app in the store that both use."""
    environment, _ = connected(airtable_simulator, tmp_path)
    output = run(EXAMPLES, "-m", "fastapi_app.worker", **environment)
    assert output == "ann: 3 bases\n"


def test_script_reads_a_table_with_pyairtable(
    airtable_simulator: AirtableSimulator, tmp_path: Path
) -> None:
    """Every record of both pages."""
    environment, connection_id = connected(airtable_simulator, tmp_path)
    base = next(base for base in airtable_simulator.bases if base.name == "Inventory and orders")
    output = run(EXAMPLES, "script/read_table.py", connection_id, base.id, "Orders", **environment)
    lines = output.splitlines()
    assert len(lines) == 140
    assert "'Order': '#1139'" in lines[-1]
