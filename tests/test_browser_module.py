"""The browser module: its unit tests, its types, and the npm package that it makes."""

import json
import os
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.samples import NODE, NODE_PACKAGES, ROOT, needs_node_packages

FRONTEND = ROOT / "frontend"
MODULES = ("airtable-oauth", "airtable-oauth-tokens")
PATH = f"{NODE.parent}:{os.environ['PATH']}"

APP = """
import type { AirtableRecord, ListOptions, Session } from "airtable-oauth";
import { AirtableOAuthError, createAirtableOAuth } from "airtable-oauth";
import { createAirtableOAuthWithTokens } from "airtable-oauth/tokens";

const airtable = createAirtableOAuth({ apiUrl: "https://api.example.com", timeout: 15_000 });
const inTab = createAirtableOAuthWithTokens({ apiUrl: "https://api.example.com" });

export async function names(signal: AbortSignal): Promise<string[]> {
  const session: Session | null = await airtable.session({ signal });
  if (session === null || session.status === "reconnect_required") return [];
  const found: AirtableRecord[] = [];
  const options: ListOptions = { sort: [{ field: "Name", direction: "desc" }], pageSize: 50 };
  for await (const record of airtable.records.all("app1", "Orders", { ...options, signal })) {
    found.push(record);
  }
  return found.map(({ fields }) => String(fields["Name"]));
}

export async function renew(): Promise<number | null> {
  try {
    await inTab.renew();
    // @ts-expect-error: only pages that hold the tokens can renew them
    await airtable.renew();
  } catch (failure) {
    if (!(failure instanceof AirtableOAuthError)) throw failure;
    return failure.action === "retry" ? failure.retryAfter : null;
  }
  return null;
}
"""
"""An app in TypeScript that uses the package. One line must not compile."""


def run(words: Sequence[str | Path], directory: Path = ROOT) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        words,
        cwd=directory,
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tsc(*options: str, directory: Path = ROOT) -> str:
    return run([NODE, (NODE_PACKAGES / ".bin/tsc").resolve(), *options], directory)


@pytest.mark.integration
def test_unit_tests_in_node_pass() -> None:
    """They use a real HTTP server in place of the service."""
    files = sorted(ROOT.glob("tests/node/*.test.js"))
    assert len(files) >= 5
    run([NODE, "--test", "--test-timeout=20000", *files])


def test_version_is_that_of_the_project() -> None:
    """It is in the header of each module, which apps copy, and in `package.json`."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in MODULES:
        header = (FRONTEND / f"{name}.js").read_text().partition("*/")[0]
        assert f" airtable-oauth {version}: " in header, name
    assert json.loads((FRONTEND / "package.json").read_text())["version"] == version
    assert (FRONTEND / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.integration
@needs_node_packages
def test_types_of_the_front_end_are_right() -> None:
    """TypeScript checks the JSDoc in strict mode."""
    tsc("--project", "tests/node")


@pytest.mark.integration
@needs_node_packages
def test_written_types_are_those_of_the_modules(tmp_path: Path) -> None:
    """`scripts/types` writes them."""
    run([ROOT / "scripts/types", tmp_path])
    for name in MODULES:
        written = (FRONTEND / f"{name}.d.ts").read_text()
        assert written == (tmp_path / f"{name}.d.ts").read_text(), "run scripts/types"


@pytest.mark.integration
@needs_node_packages
def test_package_works_in_a_typescript_project(tmp_path: Path) -> None:
    """It has the two modules and their types, and nothing of the example pages."""
    npm = [NODE, NODE.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"]
    run([*npm, "pack", "--silent", "--pack-destination", tmp_path], FRONTEND)
    (archive,) = tmp_path.glob("*.tgz")
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    run([*npm, "install", "--offline", "--no-audit", "--no-fund", archive], tmp_path)
    installed = tmp_path / "node_modules/airtable-oauth"
    assert {path.name for path in installed.iterdir()} == {
        *(f"{name}.{ending}" for name in MODULES for ending in ("js", "d.ts")),
        *("package.json", "README.md", "LICENSE"),
    }
    (tmp_path / "app.ts").write_text(APP)
    options = ["app.ts", "--ignoreConfig", "--strict", "--target", "es2022", "--types", ""]
    libraries = ["--lib", "es2022,dom,dom.iterable"]
    for module, resolution in {"nodenext": "nodenext", "esnext": "bundler"}.items():
        modules = ["--module", module, "--moduleResolution", resolution]
        tsc(*options, *libraries, *modules, directory=tmp_path)
    run([NODE, "app.js"], tmp_path)
