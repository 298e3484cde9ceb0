"""Everything that the documents point to exists."""

import ast
import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

import airtable_oauth
from airtable_oauth.simulator.faults import JUNK, Fault
from tests.matrix import table

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md"),
    *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
]


def test_every_proof_of_the_security_page_exists() -> None:
    """A proof is `file.py::test`, or `::test` after another proof of the same file."""
    file = Path()
    proofs = 0
    text = (ROOT / "docs/security.md").read_text()
    for name in re.findall(r"`([\w/]*(?:\.py)?(?:::\w+)?)`", text):
        path, _, test = name.partition("::")
        if path.endswith(".py"):
            file = ROOT / "tests" / path
            assert file.is_file(), name
        if test:
            assert re.search(rf"^(async )?def {test}\(", file.read_text(), re.MULTILINE), name
        proofs += bool(test)
    assert proofs > 30


def test_fault_matrix_is_in_the_docs() -> None:
    """The document has exactly what `scripts/matrix` prints."""
    assert table() in (ROOT / "docs/internals.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    """This checks links within the repository."""
    text = (ROOT / document).read_text()
    for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        if not target.startswith("http"):
            linked = (ROOT / document).parent / target if target else ROOT / document
            assert linked.exists(), target
            assert not heading or heading in _anchors_of(linked), f"{target}#{heading}"


def _anchors_of(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    """This covers paths that begin with one of this repository's directories."""
    directories = "deploy|docs|examples|frontend|scripts|tests"
    pattern = rf"(?<![\w./-])(?:\./|CHECKOUT/)?((?:{directories})/[\w./-]*)"
    paths = re.findall(pattern, (ROOT / document).read_text())
    for path in paths:
        assert (ROOT / path.rstrip(".")).exists(), path
    assert len(paths) > 10


def test_simulator_page_names_every_field_of_a_fault_and_every_invalid_answer() -> None:
    text = (ROOT / "docs/simulator.md").read_text()
    fields = {field.name for field in dataclasses.fields(Fault)} - {"fired"}
    for name in (*fields, *JUNK):
        assert re.search(rf"`{name}(: true)?`", text), name


def test_every_function_of_the_tour_is_in_the_file_that_it_links_to() -> None:
    """A step is `[Logins.begin](../src/…/login.py)`: a name, or a class and a member."""
    text = (ROOT / "docs/architecture.md").read_text()
    steps = re.findall(r"\[(\w+(?:\.(?!py\b)\w+)?)\]\(\.\./(src/[^)]+\.py)\)", text)
    for name, path in steps:
        assert name in _names_of(ROOT / path), f"{name} in {path}"
    assert len(steps) > 40


def _names_of(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (*functions, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{each.name}" for each in node.body if isinstance(each, functions)
            }
    return names


def test_reference_has_every_public_name(tmp_path: Path) -> None:
    """`scripts/reference` builds it from the docstrings."""
    script = (ROOT / "scripts/reference").read_text().replace("scripts/setup dev", "true")
    script = script.replace("dist/reference", str(tmp_path))
    made = subprocess.run(
        ["sh", "-c", script, str(ROOT / "scripts/reference")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "airtable_oauth.html").read_text()
    members = "AirtableOAuth.router", "AirtableOAuth.current_client", "Settings.webhook_url"
    for name in (*airtable_oauth.__all__, *members):
        assert f'id="{name}"' in page, name
    for module in ("errors", "settings", "stores", "stores/memory", "testing", "simulator"):
        assert (tmp_path / f"airtable_oauth/{module}.html").is_file()
    assert 'id="faults"' in (tmp_path / "airtable_oauth/settings.html").read_text()
    assert len(list(tmp_path.rglob("*.html"))) == 8
