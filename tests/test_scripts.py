"""The scripts that contributors start with."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A stub interpreter. All it can do is create an environment, with a copy of itself.
INTERPRETER = """#!/bin/sh
case "$*" in
  *version_info*) exit {too_old:d} ;;
  *sys.version*) echo {version} ;;
  --version) echo "Python {version}" ;;
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""


def test_set_up_uses_the_python_that_is_named(checkout: Path) -> None:
    """This holds even if the environment has another Python."""
    interpreter(checkout / "python-a", "3.13.1")
    interpreter(checkout / "python-b", "3.12.7")

    assert "with Python 3.13.1" in set_up(checkout, python="./python-a").stdout
    assert set_up(checkout, python="./python-a").stdout == ""
    assert "with Python 3.12.7" in set_up(checkout, python="./python-b").stdout


def test_set_up_leaves_an_environment_alone_that_is_up_to_date(checkout: Path) -> None:
    """Without a named Python, any Python in the environment is accepted."""
    interpreter(checkout / "python-a", "3.13.1")
    set_up(checkout, python="./python-a")

    assert set_up(checkout).stdout == ""


def test_set_up_makes_a_new_environment_when_a_dependency_changed(checkout: Path) -> None:
    """The lock file decides."""
    interpreter(checkout / "python-a", "3.13.1")
    set_up(checkout, python="./python-a")

    (checkout / "requirements/dev.txt").write_text("another==1.0")

    assert "Setting up" in set_up(checkout, python="./python-a").stdout


@pytest.mark.parametrize("name", ["./too-old", "./missing"])
def test_set_up_refuses_an_unsuitable_python(checkout: Path, name: str) -> None:
    """It names the Python, and keeps the existing environment."""
    interpreter(checkout / "python-a", "3.13.1")
    interpreter(checkout / "too-old", "3.10.1", too_old=True)
    set_up(checkout, python="./python-a")

    refused = set_up(checkout, python=name)

    assert refused.returncode == 1
    assert name in refused.stderr
    assert (checkout / ".venv/bin/python").exists()


@pytest.mark.parametrize("name", ["setup", "types"])
def test_help_does_nothing_else(checkout: Path, name: str) -> None:
    """`--help` is not taken for a kind of environment, or for a folder."""
    shutil.copy(ROOT / "scripts" / name, checkout / "scripts")
    before = sorted(checkout.rglob("*"))

    shown = subprocess.run(
        [checkout / "scripts" / name, "--help"], capture_output=True, text=True, check=True
    )

    assert f"Usage: scripts/{name}" in shown.stdout
    assert sorted(checkout.rglob("*")) == before


def test_the_wheel_is_tested_in_place_of_the_checkout(recorded: Path) -> None:
    """It is built and installed before the tests. The next set-up installs the checkout again."""
    assert run_tests(recorded, "--wheel", "tests/test_app.py") == [
        "scripts/setup dev",
        "python -m build --wheel --no-isolation --outdir dist/wheel",
        "python -m pip install --quiet --force-reinstall --no-deps dist/wheel/a.whl",
        "python -m pytest tests/test_app.py",
    ]
    assert not (recorded / ".venv/.installed").exists()


def test_the_checkout_is_checked_and_tested_unless_the_wheel_is_asked_for(recorded: Path) -> None:
    """The environment does not change."""
    assert run_tests(recorded, "tests/test_app.py") == [
        "scripts/setup dev",
        "scripts/check",
        "python -m pytest tests/test_app.py",
    ]
    assert (recorded / ".venv/.installed").exists()


def test_a_thorough_run_can_be_limited_to_one_file(recorded: Path) -> None:
    """It tries more examples of the tests that are named, and runs no others."""
    assert run_tests(recorded, "--thorough", "tests/test_app.py")[2:] == [
        "python -m pytest --hypothesis-profile thorough tests/test_app.py",
    ]


def test_a_thorough_run_includes_the_long_variants_of_all_tests(recorded: Path) -> None:
    """First the tests that can run in parallel, then the heavy ones."""
    parallel = "--numprocesses 2 --dist loadfile --no-loadscope-reorder"
    assert run_tests(recorded, "--thorough")[2:] == [
        f"python -m pytest {parallel} -m not heavy  --hypothesis-profile thorough",
        "python -m pytest -m heavy  --hypothesis-profile thorough",
    ]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """`scripts/test`, in which every command only appends a line to `calls`."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/test", tmp_path / "scripts")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/.installed").touch()
    (tmp_path / "tests/node/node_modules").mkdir(parents=True)
    (tmp_path / "tests/node/node_modules/.package-lock.json").touch()
    builds = 'case "$*" in *--outdir*) mkdir -p dist/wheel; touch dist/wheel/a.whl ;; esac'
    for name in ("scripts/setup", "scripts/check", ".venv/bin/python", "scripts/need"):
        note = f'echo "{name.removeprefix(".venv/bin/")}${{*:+ $*}}" >>calls\n'
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{note if name != 'scripts/need' else ''}{builds}\n")
        script.chmod(0o755)
    return tmp_path


def run_tests(checkout: Path, *options: str) -> list[str]:
    """The commands that `scripts/test` calls."""
    subprocess.run(["scripts/test", *options], cwd=checkout, check=True)
    return (checkout / "calls").read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with the files that `scripts/setup` reads."""
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
