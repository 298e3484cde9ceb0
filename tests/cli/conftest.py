import os
from pathlib import Path

import pytest

from airtable_oauth.settings import PREFIX
from tests.cli.helpers import KEY, VALID


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a directory without an `.env`, and without the service's environment variables."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def persistent(tmp_path: Path) -> dict[str, str]:
    """Settings with a store that outlives a process, and with an unreachable Airtable."""
    return VALID | {
        f"{PREFIX}STORE_URL": f"sqlite:///{tmp_path}/store.db",
        f"{PREFIX}ENCRYPTION_KEYS": KEY,
        f"{PREFIX}AIRTABLE_URL": "http://127.0.0.1:1",
        f"{PREFIX}AIRTABLE_API_URL": "http://127.0.0.1:1",
    }
