"""Tables 1 and 2 of the paper: ours over seeds beside the paper's, as CSV, Markdown and LaTeX."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from betagvae.errors import UserError
from betagvae.paper import reported as paper
from betagvae.records.files import write_csv
from betagvae.results import typeset
from betagvae.results.runs import (
    LIKELIHOOD_UNITS,
    QUANTITIES,
    Interval,
    Run,
    data_label,
    datasets,
    interval,
    load_runs,
    seeds_of,
    split_label,
    stand_in_warning,
)


@dataclass(frozen=True)
class Row:
    """One method on one split of one data set; errors and KL as in `betagvae.model.objective`."""

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
    typeset.write(_layout(rows, caption), markdown, latex)


def notes(rows: Sequence[Row]) -> str:
    """Return what a reader needs to know: units, intervals, what bold and dashes mean."""
    units = {row.data: LIKELIHOOD_UNITS.get(row.likelihood, row.likelihood) for row in rows}
    listed = "; ".join(f"{data}: {unit}" for data, unit in units.items())
    return (
        f"Reconstruction error ({listed}) and KL divergence (nats) an image; "
        f"{typeset.interval_note(rows[0].level)} Images: how many of the split were evaluated. "
        "Bold: lowest on the split, and lowest of the paper's values. The paper does not say which "
        "split its values are from, nor what they vary by."
    )


def _layout(rows: Sequence[Row], caption: str) -> typeset.Table:
    """Return the rows with a rule above every data set and split."""
    places = itertools.groupby(rows, key=lambda row: (row.dataset, row.split))
    return typeset.Table(
        caption=caption,
        warning=stand_in_warning(rows),
        notes=notes(rows),
        columns=_columns(rows),
        blocks=[[_cells(rows, row) for row in group] for _, group in places],
    )


def _columns(rows: Sequence[Row]) -> list[typeset.Column]:
    method = [typeset.Column("Method", numeric=False)] if _named(rows) else []
    numbers = ["β", "γ", "Seeds", *QUANTITIES.values()]
    printed = ["Paper: reconstruction error", "Paper: KL divergence"]
    return [
        typeset.Column("Data", numeric=False),
        typeset.Column("Split", numeric=False),
        typeset.Column("Images"),
        *method,
        *map(typeset.Column, numbers + printed),
    ]


def _named(rows: Sequence[Row]) -> bool:
    return any(row.method for row in rows)


def _cells(rows: Sequence[Row], row: Row) -> list[typeset.Cell]:
    """Return a row's cells, the best value of its split in bold."""
    method = [row.method] if _named(rows) else []
    weights = [f"{row.beta:g}", f"{row.gamma:g}"]
    plain = [row.data, row.split, f"{row.images:,}", *method, *weights, str(row.seeds)]
    values = [
        ("reconstruction_error_mean", _ours(row, "reconstruction_error")),
        ("kl_mean", _ours(row, "kl")),
        ("paper_reconstruction_error", _printed(row.paper_reconstruction_error)),
        ("paper_kl", _printed(row.paper_kl)),
    ]
    return [
        *map(typeset.Cell, plain),
        *(typeset.Cell(text, bold=is_best(rows, row, column)) for column, text in values),
    ]


def is_best(rows: Sequence[Row], row: Row, column: str) -> bool:
    """Return whether a row's value is the lowest of its data set and split."""
    value = getattr(row, column)
    place = (row.dataset, row.split)
    rivals = [getattr(other, column) for other in rows if (other.dataset, other.split) == place]
    return value is not None and value == min(rival for rival in rivals if rival is not None)


def _ours(row: Row, name: str) -> str:
    values = (getattr(row, f"{name}_{part}") for part in ("mean", "low", "high"))
    return typeset.plus_minus(Interval(*values))


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
