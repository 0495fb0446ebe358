"""Tables 1 and 2 of the paper: ours over seeds beside the paper's, as CSV, Markdown and LaTeX."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from betagvae.errors import UserError
from betagvae.experiment import Experiment, others_described, row_of_pair
from betagvae.experiment import Row as Settings
from betagvae.paper import reported
from betagvae.records.files import write_csv
from betagvae.results import typeset
from betagvae.results.intervals import Interval, interval
from betagvae.results.labels import (
    LIKELIHOOD_UNITS,
    QUANTITIES,
    data_label,
    split_label,
    stand_in_warning,
)
from betagvae.results.runs import Results, Run, load_runs
from betagvae.settings.setting import number


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
    others: str
    """What else the method sets, in words; empty where nothing."""
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


def table1(experiment: Experiment, level: float) -> list[Row]:
    """Return Table 1: pairs (β, γ) on CelebA, or on what stands in for it; test split first."""
    if experiment.swept is None:
        raise UserError("Table 1 is left out: name its data set and pairs under table1")
    named = [("", row_of_pair(pair)) for pair in experiment.pairs]
    return _rows(experiment.of_table1(), named, level)


def table2(experiment: Experiment, level: float) -> list[Row]:
    """Return Table 2: the methods on every data set; CelebA and test split first."""
    return _rows(experiment.without_table1(), list(experiment.methods.items()), level)


def _rows(
    experiment: Experiment, methods: Sequence[tuple[str, Settings]], level: float
) -> list[Row]:
    runs = load_runs(experiment)
    return [row for name in runs.datasets for row in _dataset_rows(runs, name, methods, level)]


def _dataset_rows(
    runs: Results[Run], dataset: str, methods: Sequence[tuple[str, Settings]], level: float
) -> list[Row]:
    groups = [(name, row, runs.of(dataset, row)) for name, row in methods]
    splits = list(groups[0][2][0].splits)
    for run in (run for *_, group in groups for run in group):
        if list(run.splits) != splits:
            raise UserError(f"{run.path} has other splits than the rest: evaluate it again")
    return [
        _row(name, settings, group, split, level)
        for split in splits
        for name, settings, group in groups
    ]


def _row(method: str, own: Settings, group: Sequence[Run], split: str, level: float) -> Row:
    first, parts = group[0], [run.splits[split] for run in group]
    error = interval([part.reconstruction_error for part in parts], level)
    kl = interval([part.kl for part in parts], level)
    printed = reported.reported(first.dataset, first.settings)
    return Row(
        data=data_label(first.dataset, first.source, first.stand_in),
        dataset=first.dataset,
        stand_in=first.stand_in,
        split=split_label(split, first.splits),
        images=parts[0].images,
        likelihood=first.settings.likelihood,
        method=method,
        beta=first.settings.beta,
        gamma=first.settings.gamma,
        others=others_described(own),
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
    units = dict.fromkeys(f"{row.data}: {LIKELIHOOD_UNITS[row.likelihood]}" for row in rows)
    listed = "; ".join(units)
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
    others = [typeset.Column("Others", numeric=False)] if _with_others(rows) else []
    numbers = ["Seeds", *QUANTITIES.values()]
    printed = ["Paper: reconstruction error", "Paper: KL divergence"]
    return [
        typeset.Column("Data", numeric=False),
        typeset.Column("Split", numeric=False),
        typeset.Column("Images"),
        *method,
        *map(typeset.Column, ("β", "γ")),
        *others,
        *map(typeset.Column, numbers + printed),
    ]


def _named(rows: Sequence[Row]) -> bool:
    return any(row.method for row in rows)


def _with_others(rows: Sequence[Row]) -> bool:
    return any(row.others for row in rows)


def _cells(rows: Sequence[Row], row: Row) -> list[typeset.Cell]:
    """Return a row's cells, the best value of its split in bold."""
    method = [row.method] if _named(rows) else []
    weights = [number(row.beta), number(row.gamma)]
    weights += [row.others] if _with_others(rows) else []
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


def _place(row: Row, column: str) -> tuple[str, ...]:
    """Return what rows have in common whose values can be compared; the paper's have one unit."""
    place = row.dataset, row.split
    return place if column.startswith("paper_") else (*place, row.likelihood)


def is_best(rows: Sequence[Row], row: Row, column: str) -> bool:
    """Return whether a row's value is the lowest of those that it can be compared with."""
    value, place = getattr(row, column), _place(row, column)
    rivals = [getattr(other, column) for other in rows if _place(other, column) == place]
    return value is not None and value == min(rival for rival in rivals if rival is not None)


def _ours(row: Row, name: str) -> str:
    values = (getattr(row, f"{name}_{part}") for part in ("mean", "low", "high"))
    return typeset.plus_minus(Interval(*values))


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
