"""Numbers by which runs are judged: one tidy table of all, and one of the methods over seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from betagvae.errors import UserError
from betagvae.evaluation.quantities import Quantity
from betagvae.experiment import Row, described
from betagvae.records.files import write_csv
from betagvae.records.identity import Identified
from betagvae.results import typeset
from betagvae.results.intervals import Interval, interval
from betagvae.results.labels import data_label, stand_in_warning
from betagvae.results.runs import Results


@dataclass(frozen=True)
class Judged(Identified):
    """One training and its numbers."""

    images: int
    """How many images the numbers are from."""
    values: dict[str, float]


@dataclass(frozen=True)
class TidyRow:
    """One number of one training."""

    data: str
    """Name to print, with the mark of a stand-in."""
    dataset: str
    stand_in: bool
    method: str
    """Empty where the weights are those of no method, only of Table 1."""
    beta: float
    gamma: float
    seed: int
    images: int
    score: str
    value: float
    direction: str
    """Which is better, ``higher``, ``lower`` or ``near 1``; empty where none is."""
    low: float
    high: float | None
    """Range of the score; None: no upper bound."""


@dataclass(frozen=True)
class SummaryRow:
    """One number of every method on one data set."""

    data: str
    images: int
    seeds: int
    quantity: Quantity
    over_seeds: tuple[Interval, ...]


def tidy_rows(results: Results[Judged], quantities: Mapping[str, Quantity]) -> list[TidyRow]:
    """Return a row for each number of each training, in the order of trainings and quantities."""
    return [
        TidyRow(
            data=data_label(one.dataset, one.source, one.stand_in),
            dataset=one.dataset,
            stand_in=one.stand_in,
            method=results.experiment.method_of(training),
            beta=one.settings.beta,
            gamma=one.settings.gamma,
            seed=one.settings.seed,
            images=one.images,
            score=name,
            value=one.values[name],
            direction=quantity.better,
            low=quantity.low,
            high=quantity.high,
        )
        for training, one in results.with_trainings()
        for name, quantity in quantities.items()
        if name in one.values
    ]


def summary_rows(
    results: Results[Judged], quantities: Mapping[str, Quantity], level: float
) -> list[list[SummaryRow]]:
    """Return a block for each data set, with a row for each number.

    Parameters
    ----------
    results, quantities, level
        As for `write_tables`.

    Raises
    ------
    UserError
        When a data set lacks a method, or its trainings were judged on unequally many images.
    """
    blocks = []
    for dataset in results.datasets:
        counts = sorted({one.images for one in results.all(dataset)})
        if len(counts) > 1:
            raise UserError(
                f"some trainings of {dataset} were judged on {counts[0]:,} images, others on "
                f"{counts[-1]:,}: judge them again with one configuration"
            )
        groups = [results.of(dataset, row) for row in results.experiment.methods.values()]
        blocks.append(
            [
                _summary_row(groups, name, quantity, level)
                for name, quantity in quantities.items()
                if name in groups[0][0].values
            ]
        )
    return blocks


def _summary_row(
    groups: Sequence[Sequence[Judged]], name: str, quantity: Quantity, level: float
) -> SummaryRow:
    first = groups[0][0]
    return SummaryRow(
        data=data_label(first.dataset, first.source, first.stand_in),
        images=first.images,
        seeds=len(groups[0]),
        quantity=quantity,
        over_seeds=tuple(interval([run.values[name] for run in group], level) for group in groups),
    )


_COSTS: dict[str, Callable[[float], float]] = {
    "higher": lambda value: -value,
    "lower": lambda value: value,
    "near 1": lambda value: abs(value - 1),
}


def best(row: SummaryRow) -> list[bool]:
    """Return which methods have the best mean; none where all tie or no direction is better."""
    means = [part.mean for part in row.over_seeds]
    if not row.quantity.better or len(set(means)) == 1:
        return [False] * len(means)
    costs = [_COSTS[row.quantity.better](mean) for mean in means]
    return [cost == min(costs) for cost in costs]


def write_tables(
    results: Results[Judged],
    quantities: Mapping[str, Quantity],
    level: float,
    outputs: Sequence[Path],
    *,
    caption: str,
    notes: str,
) -> None:
    """Write all numbers of all trainings as CSV, the methods over seeds as Markdown and LaTeX."""
    csv, markdown, latex = outputs
    blocks = summary_rows(results, quantities, level)
    legend = (
        f"Values: {typeset.interval_note(level)} Bold: the best mean. "
        "Images: how many the numbers are from. "
    )
    tidy = tidy_rows(results, quantities)
    if not all(row.method for row in tidy):
        legend += "The other pairs of Table 1 are in the CSV file. "
    table = typeset.Table(
        caption=caption,
        warning=stand_in_warning(results.by_folder.values()),
        notes=legend + notes,
        columns=_columns(results.experiment.methods),
        blocks=[[_cells(row) for row in block] for block in blocks],
    )
    write_csv(csv, [asdict(row) for row in tidy])
    typeset.write(table, markdown, latex)


def _columns(methods: Mapping[str, Row]) -> list[typeset.Column]:
    words = [typeset.Column(name, numeric=False) for name in ("Data", "Score", "Range", "Better")]
    headings = [f"{name} ({described(row)})" for name, row in methods.items()]
    return [*words, *map(typeset.Column, ["Images", "Seeds", *headings])]


def _cells(row: SummaryRow) -> list[typeset.Cell]:
    words = (row.data, row.quantity.label, row.quantity.range, row.quantity.better)
    plain = [*words, f"{row.images:,}", str(row.seeds)]
    values = zip(row.over_seeds, best(row), strict=True)
    return [
        *map(typeset.Cell, plain),
        *(typeset.Cell(typeset.plus_minus(part), bold) for part, bold in values),
    ]
