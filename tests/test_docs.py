"""What the documents point to is there."""

import re
from pathlib import Path

import pytest

from tests.matrix import table

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]


def test_every_proof_of_the_security_page_exists() -> None:
    """`file.py::test`, or `::test` of the file named before it."""
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


def test_fault_matrix_stands_in_the_architecture() -> None:
    """As `scripts/matrix` prints it."""
    assert table() in (ROOT / "docs/architecture.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    """Within this repository."""
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("http"):
            assert (ROOT / document).parent.joinpath(target).exists(), target
