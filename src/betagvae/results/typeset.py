"""Tables as Markdown and LaTeX, whatever they hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from betagvae.records.files import write_text
from betagvae.results.intervals import Interval
from betagvae.results.markdown import escaped
from betagvae.results.markdown import table as pipe_table

NONE = "–"
"""Stands where there is no value."""


@dataclass(frozen=True)
class Column:
    """A heading and which way the column is set: numbers to the right."""

    heading: str
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """Plain text, escaped when it is written."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Table:
    """What a table says, before any format."""

    caption: str
    warning: str
    """Stands above everything, in bold; may be empty."""
    notes: str
    columns: Sequence[Column]
    blocks: Sequence[Sequence[Sequence[Cell]]]
    """Groups of rows; LaTeX has a rule above each."""


@dataclass(frozen=True)
class _Markup:
    """How one format says things."""

    text: Callable[[str], str]
    bold: Callable[[str], str]

    def cells(self, row: Sequence[Cell]) -> list[str]:
        texts = [(self.text(cell.text), cell.bold) for cell in row]
        return [self.bold(text) if bold and text else text for text, bold in texts]


def write(table: Table, markdown_path: Path, latex_path: Path) -> None:
    """Write the table in both formats."""
    write_text(markdown_path, markdown(table))
    write_text(latex_path, latex(table))


def plus_minus(interval: Interval, digits: int = 3) -> str:
    """Return mean ± half of the interval."""
    half = NONE if interval.high is None else f"{interval.high - interval.mean:.{digits}f}"
    return f"{interval.mean:.{digits}f} ± {half}"


def interval_note(level: float) -> str:
    """Say what `plus_minus` shows, in a sentence that may follow a colon or semicolon."""
    return (
        f"mean over seeds ± half of the {100 * level:g} % interval (Student's t; {NONE} with one "
        "seed)."
    )


def markdown(table: Table) -> str:
    """Return a pipe table between its caption and its notes."""
    markup = _Markup(escaped, lambda text: f"**{text}**")
    rows = [markup.cells(row) for block in table.blocks for row in block]
    numbers = [column.heading for column in table.columns if column.numeric]
    body = pipe_table([column.heading for column in table.columns], rows, numbers)
    warned = f"**{table.warning}**" if table.warning else ""
    parts = [warned, escaped(table.caption), body, escaped(table.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "é": r"\'e",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def latex(table: Table) -> str:
    """Return a table environment; it needs the packages booktabs and graphicx."""
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    warning = f"\\textbf{{{_latex_text(table.warning)}}}\\par\\medskip"
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        "\\begin{table}",
        "\\centering",
        *([warning] if table.warning else []),
        f"\\caption{{{_latex_text(table.caption)}}}",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        " & ".join(_latex_text(column.heading) for column in table.columns) + " \\\\",
        *_latex_body(table),
        "\\bottomrule",
        "\\end{tabular}}",
        f"\\par\\medskip\\footnotesize {_latex_text(table.notes)}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_body(table: Table) -> list[str]:
    markup = _Markup(_latex_text, lambda text: f"\\textbf{{{text}}}")
    lines = []
    for block in table.blocks:
        lines.append("\\midrule")
        lines += [" & ".join(markup.cells(row)) + " \\\\" for row in block]
    return lines
