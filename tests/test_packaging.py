"""The built packages and their dependencies."""

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.helpers import free_port

ROOT = Path(__file__).parents[1]
EXTRAS = ("redis", "sqlalchemy", "asyncpg", "jinja2", "opentelemetry.sdk", "pytest")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `python -m build`, which must not print a warning."""
    directory = tmp_path_factory.mktemp("dist")
    made = subprocess.run(
        [sys.executable, "-W", "error", "-m", "build", "--no-isolation", "--outdir", directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warn" not in (made.stdout + made.stderr).lower()
    return directory


def test_wheel_holds_the_package_its_types_and_the_pages(dist: Path) -> None:
    """It has no other top-level packages."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith("METADATA")]
        described = message_from_bytes(archive.read(metadata))
    assert "airtable_oauth/py.typed" in names
    assert "airtable_oauth/_frontend/airtable-oauth.js" in names
    assert "airtable_oauth/simulator/templates/consent.html" in names
    places = {name.partition("/")[0].partition("-")[0] for name in names}
    assert places == {"airtable_oauth"}
    extras = ["redis", "simulator", "sql", "telemetry"]
    assert sorted(described.get_all("Provides-Extra", [])) == extras
    required = [name for name in described.get_all("Requires-Dist", []) if "extra ==" not in name]
    assert not [name for name in required for extra in EXTRAS if name.startswith(extra)]


def test_source_archive_holds_what_it_is_built_and_tested_from(dist: Path) -> None:
    """It has no environment, no cache and no secrets."""
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "frontend/app.js"} <= names
    assert "tests/conftest.py" in names
    assert {"docs/security.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} <= names
    assert {"scripts/test", "requirements/dev.txt", "deploy/compose.yaml", "Dockerfile"} <= names
    assert {".dockerignore", ".env.example", ".github/workflows/ci.yml"} <= names
    assert not [name for name in names if name.startswith(".venv") or "__pycache__" in name]
    assert ".env" not in names


def test_service_runs_without_any_extra() -> None:
    """Optional packages are imported on first use. The error says what to install."""
    script = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None
from click.testing import CliRunner
from airtable_oauth import AirtableOAuth, Settings, create_app
from airtable_oauth.cli.main import main
values = dict(client_id="an-id", redirect_uri="http://localhost/cb", scopes="data.records:read")
create_app(Settings(_env_file=None, **values))
print(CliRunner().invoke(main, ["simulator", "--port", "{free_port()}"]).output)
for url in ("redis://localhost", "sqlite:////tmp/x.db"):
    try:
        create_app(Settings(_env_file=None, store_url=url, encryption_keys="{KEY}", **values))
    except ModuleNotFoundError as error:
        print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    for extra in ("redis", "sql", "simulator"):
        assert f"pip install 'airtable-oauth[{extra}]'" in run.stdout


def test_every_store_opens_with_what_is_locked(tmp_path: Path) -> None:
    """The image installs only `requirements/service.txt`."""
    script = f"""
import importlib.metadata, re, sys
from click.testing import CliRunner
text = open("{ROOT}/requirements/service.txt").read()
locked = set(re.findall(r"^([a-z0-9.-]+)", text, re.MULTILINE)) | {{"airtable-oauth"}}
names = lambda each: re.sub("[-_.]+", "-", each).lower()
owners = importlib.metadata.packages_distributions()
for module, distributions in owners.items():
    if not {{names(each) for each in distributions}} & locked:
        sys.modules[module] = None
from airtable_oauth.cli.main import main
for url in ("sqlite:///{tmp_path}/store.db", "postgresql://127.0.0.1:1/x", "redis://127.0.0.1:1"):
    environment = dict(
        AIRTABLE_OAUTH_CLIENT_ID="an-id",
        AIRTABLE_OAUTH_REDIRECT_URI="http://localhost:3000/cb",
        AIRTABLE_OAUTH_SCOPES="data.records:read",
        AIRTABLE_OAUTH_STORE_URL=url,
        AIRTABLE_OAUTH_ENCRYPTION_KEYS="{KEY}",
    )
    result = CliRunner().invoke(main, ["check"], env=environment)
    print(result.output, repr(result.exception))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert "the store (sqlite) works" in run.stdout
    assert run.stdout.count("the store cannot be reached") == 2, run.stdout
    assert "Import" not in run.stdout
    assert "ModuleNotFound" not in run.stdout


KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
