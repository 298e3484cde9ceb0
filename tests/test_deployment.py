"""What is deployed: dependencies are locked, users unprivileged, secrets kept out."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from airtable_oauth.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
COMPOSE = shutil.which("docker-compose", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="needs docker-compose")
SECRETS = {"CLIENT_SECRET", "ENCRYPTION_KEYS", "WEBHOOK_SECRET"}


def instructions() -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def services() -> Any:
    return yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", ["service", "dev"])
def test_every_dependency_is_locked_with_hashes(name: str) -> None:
    """No line names a registry or allows another source."""
    text = (ROOT / f"requirements/{name}.txt").read_text()
    pins = re.split(r"\n(?=[a-z])", text[re.search(r"^[a-z]", text, re.MULTILINE).start() :])  # type: ignore[union-attr] # there is a pin
    assert len(pins) > 30
    for pin in pins:
        assert re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==\S+", pin), pin
        assert "--hash=sha256:" in pin, pin
    assert not re.search(r"https?://|--(extra-)?index-url|--trusted-host|--find-links", text)


def test_image_installs_what_is_locked() -> None:
    """The installation requires hashes and resolves nothing."""
    installs = [line for line in instructions() if "pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes -r requirements/service.txt" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_image_runs_as_an_unprivileged_user() -> None:
    """It is a numeric user, which an orchestrator can verify."""
    last_stage = instructions()[
        max(n for n, line in enumerate(instructions()) if line.startswith("FROM")) :
    ]
    users = [line.split()[1] for line in last_stage if line.startswith("USER")]
    assert users
    assert all(re.fullmatch(r"[1-9]\d+:[1-9]\d+", user) for user in users)
    assert any(line.startswith("HEALTHCHECK") for line in last_stage)


def test_image_reads_no_environment_file_that_its_user_could_write() -> None:
    """The service reads `.env` in its working directory, where only root can write."""
    last_stage = instructions()[
        max(n for n, line in enumerate(instructions()) if line.startswith("FROM")) :
    ]
    assert [line for line in last_stage if line.startswith("WORKDIR")] == ["WORKDIR /app"]
    assert [line for line in last_stage if line.startswith("COPY")] == [
        "COPY --from=build /app /app"
    ]


def test_image_is_built_from_listed_files_only() -> None:
    """An `.env` beside the Dockerfile must not reach a layer."""
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules[0] == "*"
    admitted = {rule[1:] for rule in rules if rule.startswith("!")}
    assert admitted == {
        *("requirements/service.txt", "pyproject.toml", "README.md", "LICENSE"),
        *("frontend", "src"),
    }
    assert not [line for line in instructions() if re.match("(ARG|ENV).*(SECRET|KEY|TOKEN)", line)]


def test_composed_services_are_locked_down(services: Any) -> None:
    """They are read-only, without capabilities and without new privileges."""
    assert set(services) == {"service", "redis", "nginx"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@needs_compose
def test_every_setting_of_the_environment_file_reaches_the_service(tmp_path: Path) -> None:
    """Secrets arrive as files, because `docker inspect` and crash reports show variables."""
    names = {name.upper() for name in Settings.model_fields}
    fixed = {"FORWARDED_ALLOW_IPS"}

    composed = compose(tmp_path, "".join(f"{PREFIX}{name}=value-of-{name}\n" for name in names))

    variables = composed["services"]["service"]["environment"]
    for name in names - SECRETS - fixed:
        assert variables[PREFIX + name] == f"value-of-{name}"
    assert {secret["source"] for secret in composed["services"]["service"]["secrets"]} == {
        (PREFIX + name).lower() for name in SECRETS
    }
    for name in SECRETS:
        assert variables[PREFIX + name] == ""
        assert composed["secrets"][(PREFIX + name).lower()]["environment"] == PREFIX + name


@needs_compose
def test_example_environment_works_with_the_simulator(tmp_path: Path) -> None:
    """The unchanged example is complete, and the simulator has the same redirect URI."""
    composed = compose(
        tmp_path, (ROOT / ".env.example").read_text(), "compose.yaml", "compose.demo.yaml"
    )

    variables = composed["services"]["service"]["environment"]
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX) and value
    }
    settings = Settings(_env_file=None, **given)
    assert settings.own_origin == "http://localhost:8080"
    simulator = composed["services"]["simulator"]
    assert f"--redirect-uri={settings.redirect_uri}" in simulator["command"]
    assert "airtable.localhost" in simulator["networks"]["default"]["aliases"]
    airtable = "http://airtable.localhost:8081"
    assert settings.airtable_url == settings.airtable_api_url == airtable
    assert settings.airtable_content_url == airtable
    assert f"--control-host={airtable.removeprefix('http://')}" in simulator["command"]


@needs_compose
@pytest.mark.parametrize(("line", "trusted"), [("", "127.0.0.1"), ("10.0.0.0/8", "10.0.0.0/8")])
def test_nginx_trusts_a_proxy_that_is_named(tmp_path: Path, line: str, trusted: str) -> None:
    """By default nginx trusts only its own container."""
    composed = compose(tmp_path, f"TRUSTED_PROXY={line}\n")

    assert f"set_real_ip_from {trusted};" in composed["configs"]["real_ip"]["content"]
    (config,) = composed["services"]["nginx"]["configs"]
    assert config == {"source": "real_ip", "target": "/etc/nginx/real_ip.conf"}


def compose(directory: Path, environment: str, *files: str) -> Any:
    """The configuration that docker-compose builds from these files and this `.env`."""
    shutil.copytree(ROOT / "deploy", directory / "deploy")
    (directory / ".env").write_text(environment)
    chosen = [part for file in files or ("compose.yaml",) for part in ("--file", f"deploy/{file}")]
    output = subprocess.run(
        [str(COMPOSE), "--env-file", ".env", *chosen, "config", "--format", "json"],
        cwd=directory,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return json.loads(output)
