import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from airtable_oauth.factories import encrypted_store, open_store
from airtable_oauth.settings import PREFIX, decode_key
from tests.cli.helpers import KEY, VALID
from tests.helpers import make_settings

KEY_B = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
ALL = "Every record is encrypted with the first key."


def test_key_is_alone_on_its_line() -> None:
    """The output can be piped into a secret store, and is different each time."""
    keys = {CliRunner().invoke(main, ["keys", "new"]).output for _ in range(10)}
    assert len(keys) == 10
    for line in keys:
        assert len(decode_key(line.removesuffix("\n"))) == 32


def test_webhook_secret_is_one_that_the_settings_accept() -> None:
    """It is alone on its line, and different each time."""
    secrets = {CliRunner().invoke(main, ["keys", "webhook"]).output for _ in range(2)}
    assert len(secrets) == 2
    for secret in secrets:
        made = make_settings(webhook_url="https://host.example/h", webhook_secret=secret)
        assert made.webhook_secret.get_secret_value() == secret.strip()


async def _store_something(url: str, key: str, count: int) -> None:
    settings = make_settings(store_url=url, encryption_keys=key)
    store = encrypted_store(open_store(settings), settings)
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


def test_help_of_the_rotation_has_each_step_on_a_line() -> None:
    """An operator copies the settings from there."""
    lines = CliRunner().invoke(main, ["keys", "rotate", "--help"]).output.splitlines()
    steps = [line.split()[:2] for line in lines if line.startswith("    ")]
    assert steps == [
        ["1.", "AIRTABLE_OAUTH_ENCRYPTION_KEYS=old,new"],
        ["2.", "AIRTABLE_OAUTH_ENCRYPTION_KEYS=new,old"],
        ["3.", "airtable-oauth"],
        ["4.", "AIRTABLE_OAUTH_ENCRYPTION_KEYS=new"],
    ]


def test_keys_are_rotated(rotated: dict[str, str]) -> None:
    """Each record is re-encrypted once. The exit status says whether the old key can be removed."""
    url = rotated[f"{PREFIX}STORE_URL"]
    asyncio.run(_store_something(url, KEY, 7))
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("7 records: 7 re-encrypted with the first key, 0 already")
    assert result.output.endswith(f"{ALL}\n")
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("7 records: 0 re-encrypted with the first key, 7 already")
    asyncio.run(_store_something(url, KEY, 2))
    rotated[f"{PREFIX}ENCRYPTION_KEYS"] = KEY_B
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 1
    assert "NOT every record is encrypted with the first key." in result.output
    assert "2 records cannot be read (unknown_encryption_key)" in result.output
    assert ALL not in result.output


def test_rotation_that_finds_no_record_fails(rotated: dict[str, str]) -> None:
    """The command may use another store or another name than the service."""
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 1
    assert "No records were found for AIRTABLE_OAUTH_NAME=airtable in this store" in result.output
    assert ALL not in result.output


def test_unknown_format_keeps_the_old_key(rotated: dict[str, str]) -> None:
    """Such a record is counted, and named by its storage key."""

    async def store_junk() -> None:
        settings = make_settings(store_url=rotated[f"{PREFIX}STORE_URL"], encryption_keys=KEY)
        store = open_store(settings)
        await store.put("airtable:connection:junk", b"\x02 of a later version", 60)
        await store.close()

    asyncio.run(store_junk())
    result = CliRunner().invoke(main, ["keys", "rotate"], env=rotated)
    assert result.exit_code == 1
    assert "1 record cannot be read (unknown_record_format)" in result.output
    assert "(update this one), or it is not encrypted (remove it)." in result.output
    assert "  airtable:connection:junk\n" in result.output


def test_keys_in_memory_are_not_rotated() -> None:
    """The memory of the service is out of reach for another process."""
    result = CliRunner().invoke(main, ["keys", "rotate"], env=VALID)
    assert result.exit_code == 1
    assert "memory:// is visible only inside" in result.output
