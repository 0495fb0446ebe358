"""Tables 1 and 2 of the paper: ours over seeds beside the paper's, as CSV, Markdown and LaTeX."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from betagvae import paper
from betagvae.errors import UserError
from betagvae.files import write_csv, write_text
from betagvae.runs import (
    DATASET_NAMES,
    LIKELIHOOD_UNITS,
    Run,
    data_label,
    datasets,
    interval,
    load_runs,
    seeds_of,
    split_label,
)

NONE = "–"


@dataclass(frozen=True)
class Row:
    """One method on one split of one data set; errors and KL as in `betagvae.objective`."""

    data: str
    """Name to print, with the mark of a stand-in."""
    dataset: str
    stand_in: bool
    split: str
    images: int
    likelihood: str
    method: str
    """Empty in Table 1, where the weights tell the rows apart."""
    beta: float
    gamma: float
    seeds: int
    level: float
    """Confidence level of the intervals."""
    reconstruction_error_mean: float
    reconstruction_error_low: float | None
    reconstruction_error_high: float | None
    kl_mean: float
    kl_low: float | None
    kl_high: float | None
    paper_reconstruction_error: float | None
    paper_kl: float | None


def table1(
    metrics_paths: Sequence[Path], pairs: Sequence[tuple[float, float]], level: float
) -> list[Row]:
    """Return Table 1: pairs (β, γ) on CelebA, or on what stands in for it; test split first."""
    runs = load_runs(metrics_paths)
    return _dataset_rows(runs, paper.DATASET, [("", *pair) for pair in pairs], level)


def table2(
    metrics_paths: Sequence[Path], methods: Mapping[str, tuple[float, float]], level: float
) -> list[Row]:
    """Return Table 2: methods, name to (β, γ), on every data set; CelebA and test split first."""
    runs = load_runs(metrics_paths)
    named = [(name, *pair) for name, pair in methods.items()]
    return [row for name in datasets(runs) for row in _dataset_rows(runs, name, named, level)]


def _dataset_rows(
    runs: Sequence[Run], dataset: str, methods: Sequence[tuple[str, float, float]], level: float
) -> list[Row]:
    groups = [(name, seeds_of(runs, dataset, beta, gamma)) for name, beta, gamma in methods]
    splits = list(groups[0][1][0].splits)
    for run in (run for _, group in groups for run in group):
        if list(run.splits) != splits:
            raise UserError(f"{run.path} has other splits than the rest: evaluate it again")
    return [_row(name, group, split, level) for split in splits for name, group in groups]


def _row(method: str, group: Sequence[Run], split: str, level: float) -> Row:
    first, parts = group[0], [run.splits[split] for run in group]
    error = interval([part.reconstruction_error for part in parts], level)
    kl = interval([part.kl for part in parts], level)
    printed = paper.reported(first.dataset, first.beta, first.gamma)
    return Row(
        data=data_label(first.dataset, first.source, first.stand_in),
        dataset=first.dataset,
        stand_in=first.stand_in,
        split=split_label(split, first.splits),
        images=parts[0].images,
        likelihood=first.likelihood,
        method=method,
        beta=first.beta,
        gamma=first.gamma,
        seeds=len(group),
        level=level,
        reconstruction_error_mean=error.mean,
        reconstruction_error_low=error.low,
        reconstruction_error_high=error.high,
        kl_mean=kl.mean,
        kl_low=kl.low,
        kl_high=kl.high,
        paper_reconstruction_error=printed.reconstruction_error if printed else None,
        paper_kl=printed.kl if printed else None,
    )


def write_table(rows: Sequence[Row], csv: Path, markdown: Path, latex: Path, caption: str) -> None:
    """Write the rows three times: every digit as CSV, rounded as Markdown and LaTeX."""
    write_csv(csv, [asdict(row) for row in rows])
    write_text(markdown, _markdown(rows, caption))
    write_text(latex, _latex(rows, caption))


def warning(rows: Sequence[Row]) -> str:
    """Return the line that must stand above a table with stand-ins; empty without any."""
    names = dict.fromkeys(DATASET_NAMES.get(r.dataset, r.dataset) for r in rows if r.stand_in)
    if not names:
        return ""
    return (
        f"Warning: the numbers for {' and '.join(names)} are from drawn stand-in images, not from "
        "the real ones, and cannot be compared with the paper's."
    )


def notes(rows: Sequence[Row]) -> str:
    """Return what a reader needs to know: units, intervals, what bold and dashes mean."""
    units = {row.data: LIKELIHOOD_UNITS.get(row.likelihood, row.likelihood) for row in rows}
    listed = "; ".join(f"{data}: {unit}" for data, unit in units.items())
    return (
        f"Reconstruction error ({listed}) and KL divergence (nats) an image; mean over seeds ± "
        f"half of the {100 * rows[0].level:g} % interval (Student's t; {NONE} with one seed). "
        "Images: how many of the split were evaluated. Bold: lowest on the split, and lowest of "
        "the paper's values. The paper does not say which split its values are from, nor what "
        "they vary by."
    )


@dataclass(frozen=True)
class _Markup:
    """How one format says things."""

    text: Callable[[str], str]
    bold: Callable[[str], str]


def _header(rows: Sequence[Row]) -> list[str]:
    method = ["Method"] if _named(rows) else []
    numbers = ["Seeds", "Reconstruction error", "KL divergence"]
    printed = ["Paper: reconstruction error", "Paper: KL divergence"]
    return ["Data", "Split", "Images", *method, "β", "γ", *numbers, *printed]


def _named(rows: Sequence[Row]) -> bool:
    return any(row.method for row in rows)


def _cells(rows: Sequence[Row], row: Row, markup: _Markup) -> list[str]:
    """Return a row's cells, escaped, the best value of its split in bold."""
    method = [row.method] if _named(rows) else []
    weights = [f"{row.beta:g}", f"{row.gamma:g}"]
    plain = [row.data, row.split, f"{row.images:,}", *method, *weights, str(row.seeds)]
    values = [
        ("reconstruction_error_mean", _ours(row, "reconstruction_error")),
        ("kl_mean", _ours(row, "kl")),
        ("paper_reconstruction_error", _printed(row.paper_reconstruction_error)),
        ("paper_kl", _printed(row.paper_kl)),
    ]
    bold = [
        markup.bold(markup.text(text)) if is_best(rows, row, column) else markup.text(text)
        for column, text in values
    ]
    return [markup.text(cell) for cell in plain] + bold


def is_best(rows: Sequence[Row], row: Row, column: str) -> bool:
    """Return whether a row's value is the lowest of its data set and split."""
    value = getattr(row, column)
    place = (row.dataset, row.split)
    rivals = [getattr(other, column) for other in rows if (other.dataset, other.split) == place]
    return value is not None and value == min(rival for rival in rivals if rival is not None)


def _ours(row: Row, name: str) -> str:
    mean, high = getattr(row, f"{name}_mean"), getattr(row, f"{name}_high")
    return f"{mean:.3f} ± {NONE if high is None else format(high - mean, '.3f')}"


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _markdown_text(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def _markdown(rows: Sequence[Row], caption: str) -> str:
    markup = _Markup(_markdown_text, lambda text: f"**{text}**")
    header = _header(rows)
    left = 4 if _named(rows) else 2
    marks = [
        "---" if index < left and name != "Images" else "---:" for index, name in enumerate(header)
    ]
    lines = [header, marks, *(_cells(rows, row, markup) for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    warned = f"**{warning(rows)}**" if warning(rows) else ""
    parts = [warned, _markdown_text(caption), table, _markdown_text(notes(rows))]
    return "\n\n".join(part for part in parts if part) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "±": r"$\pm$",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _latex(rows: Sequence[Row], caption: str) -> str:
    """Return a table environment; it needs the packages booktabs and graphicx."""
    markup = _Markup(_latex_text, lambda text: f"\\textbf{{{text}}}")
    header = _header(rows)
    numbers = len(header) - header.index("β")
    columns = "llr" + "l" * _named(rows) + "r" * numbers
    warned = [f"\\textbf{{{_latex_text(warning(rows))}}}\\par\\medskip"] if warning(rows) else []
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        "\\begin{table}",
        "\\centering",
        *warned,
        f"\\caption{{{_latex_text(caption)}}}",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        " & ".join(map(_latex_text, header)) + " \\\\",
        *_latex_body(rows, markup),
        "\\bottomrule",
        "\\end{tabular}}",
        f"\\par\\medskip\\footnotesize {_latex_text(notes(rows))}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_body(rows: Sequence[Row], markup: _Markup) -> list[str]:
    """Return the rows, with a rule above every data set and split."""
    lines, place = [], None
    for row in rows:
        if (row.dataset, row.split) != place:
            place = (row.dataset, row.split)
            lines.append("\\midrule")
        lines.append(" & ".join(_cells(rows, row, markup)) + " \\\\")
    return lines
