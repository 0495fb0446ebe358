"""Markdown as all pages of this library write it."""

from collections.abc import Sequence


def escaped(text: str) -> str:
    """Return text whose bars and stars are printed as they are."""
    return text.replace("|", "\\|").replace("*", "\\*")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]) -> str:
    """Return a table of cells that are Markdown already; columns named in `numbers` stand right."""
    marks = ["---:" if name in numbers else "---" for name in header]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, marks, *rows])
