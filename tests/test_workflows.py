"""GitHub's workflows and forms. `scripts/check` audits the workflows with zizmor."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / ".github/ISSUE_TEMPLATE/config.yml"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(set((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) - {CONFIG})


def test_every_supported_python_is_tested() -> None:
    """They are the classifiers' versions, which include the oldest allowed one and the image's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    image = re.search(r"^ARG BASE=python:(3\.\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    tested = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]

    assert tested == named
    assert image is not None
    assert image[1] in tested
    assert project["requires-python"] == f">={tested[0]}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_a_time_limit_and_the_scripts_that_it_runs(workflow: Path) -> None:
    """By default GitHub stops a hanging job only after six hours."""
    for name, job in read(workflow)["jobs"].items():
        assert job["timeout-minutes"] <= 60, name
        scripts = re.findall(r"\./(scripts/\w+)", str(job["steps"]))
        assert scripts, name
        assert all((ROOT / script).is_file() for script in scripts)


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_every_form_can_be_shown_and_requires_an_answer(form: Path) -> None:
    """GitHub ignores a form with a field that lacks an id, a label or a known type."""
    content = read(form)
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert content["name"]
    assert content["description"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["id"] and field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
