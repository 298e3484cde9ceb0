"""What is deployed: locked, as nobody, and without secrets."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def instructions() -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def services() -> Any:
    return yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", ["service", "dev"])
def test_every_dependency_is_locked_with_hashes(name: str) -> None:
    """And no line names a registry or a way around it."""
    text = (ROOT / f"requirements/{name}.txt").read_text()
    pins = re.split(r"\n(?=[a-z])", text[re.search(r"^[a-z]", text, re.MULTILINE).start() :])  # type: ignore[union-attr] # there are some
    assert len(pins) > 30
    for pin in pins:
        assert re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==\S+", pin), pin
        assert "--hash=sha256:" in pin, pin
    assert not re.search(r"https?://|--(extra-)?index-url|--trusted-host|--find-links", text)


def test_image_installs_what_is_locked() -> None:
    """Hashes are required, and nothing is resolved anew."""
    installs = [line for line in instructions() if "pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes -r requirements/service.txt" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_image_runs_as_nobody_in_particular() -> None:
    """A number, which an orchestrator can check; the last stage sets it after its last copy."""
    last_stage = instructions()[
        max(n for n, line in enumerate(instructions()) if line.startswith("FROM")) :
    ]
    users = [line.split()[1] for line in last_stage if line.startswith("USER")]
    assert users
    assert all(re.fullmatch(r"[1-9]\d+:[1-9]\d+", user) for user in users)
    assert any(line.startswith("HEALTHCHECK") for line in last_stage)


def test_image_is_built_from_listed_files_only() -> None:
    """An `.env` beside the Dockerfile reaches no layer."""
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules[0] == "*"
    admitted = {rule[1:] for rule in rules if rule.startswith("!")}
    assert admitted == {
        *("requirements/service.txt", "pyproject.toml", "README.md", "LICENSE"),
        *("frontend", "src"),
    }
    assert not [line for line in instructions() if re.match("(ARG|ENV).*(SECRET|KEY|TOKEN)", line)]


def test_composed_services_are_locked_down(services: Any) -> None:
    """Read-only, without capabilities, without new privileges."""
    assert set(services) == {"service", "redis", "nginx"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_composed_secrets_are_files(services: Any) -> None:
    """Not variables, which `inspect` and a crash report show."""
    names = {"airtable_oauth_client_secret", "airtable_oauth_encryption_keys"}
    assert set(services["service"]["secrets"]) == names
    assert not names & {name.lower() for name in services["service"]["environment"]}
