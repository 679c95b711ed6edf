"""Parse what tests check in the documents: links, tables, code, and commands with their output."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCED = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    line: str
    shown: str
    """The output in the document."""


def links(text: str) -> Iterator[tuple[str, str]]:
    """Return the relative links outside code as (path, anchor); either may be empty."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCED.sub("", text)):
        if ":" not in target:
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub builds them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    match = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"no section {heading}"
    return match[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row, heads and rules included."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def code(cell: str) -> list[str]:
    """Return the text in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def fenced(text: str, language: str) -> list[str]:
    """Return the code blocks in that language."""
    return [content for name, content in _FENCED.findall(text) if name == language]


def commands(text: str) -> Iterator[Command]:
    """Return the commands after a `$` prompt in `console` blocks, in order."""
    for content in fenced(text, "console"):
        for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield Command(line, shown.strip())
