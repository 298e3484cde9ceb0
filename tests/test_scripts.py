"""The scripts that a contributor starts with."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# An interpreter that only makes an environment: a copy of itself.
INTERPRETER = """#!/bin/sh
case "$*" in
  *version_info*) exit {too_old:d} ;;
  *sys.version*) echo {version} ;;
  --version) echo "Python {version}" ;;
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""


def test_set_up_uses_the_python_that_is_named(checkout: Path) -> None:
    """Also if another Python is in place."""
    interpreter(checkout / "python-a", "3.13.1")
    interpreter(checkout / "python-b", "3.12.7")

    assert "with Python 3.13.1" in set_up(checkout, python="./python-a").stdout
    assert set_up(checkout, python="./python-a").stdout == ""
    assert "with Python 3.12.7" in set_up(checkout, python="./python-b").stdout


def test_set_up_leaves_an_environment_alone_that_is_up_to_date(checkout: Path) -> None:
    """Whichever Python it was made with, unless a Python is named."""
    interpreter(checkout / "python-a", "3.13.1")
    set_up(checkout, python="./python-a")

    assert set_up(checkout).stdout == ""


def test_set_up_makes_a_new_environment_when_a_dependency_changed(checkout: Path) -> None:
    """The lock file is what counts."""
    interpreter(checkout / "python-a", "3.13.1")
    set_up(checkout, python="./python-a")

    (checkout / "requirements/dev.txt").write_text("another==1.0")

    assert "Setting up" in set_up(checkout, python="./python-a").stdout


@pytest.mark.parametrize("name", ["./too-old", "./missing"])
def test_set_up_refuses_a_python_that_does_not_do(checkout: Path, name: str) -> None:
    """It says so, and keeps the environment that is there."""
    interpreter(checkout / "python-a", "3.13.1")
    interpreter(checkout / "too-old", "3.10.1", too_old=True)
    set_up(checkout, python="./python-a")

    refused = set_up(checkout, python=name)

    assert refused.returncode == 1
    assert name in refused.stderr
    assert (checkout / ".venv/bin/python").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `scripts/setup` reads, in a directory of its own."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/setup", tmp_path / "scripts")
    (tmp_path / "requirements").mkdir()
    for name in ("requirements/dev.txt", "pyproject.toml"):
        (tmp_path / name).write_text("")
    return tmp_path


def interpreter(path: Path, version: str, *, too_old: bool = False) -> None:
    path.write_text(INTERPRETER.format(version=version, too_old=too_old))
    path.chmod(0o755)


def set_up(checkout: Path, *, python: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/setup", "dev"],
        cwd=checkout,
        env={**os.environ, "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
