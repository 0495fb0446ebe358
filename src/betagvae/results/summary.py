"""Numbers by which runs are judged: one tidy table of all, and one of the methods over seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from betagvae.errors import UserError
from betagvae.records.files import write_csv
from betagvae.results import typeset
from betagvae.results.identity import Identified
from betagvae.results.quantities import Quantity
from betagvae.results.runs import (
    Interval,
    data_label,
    datasets,
    interval,
    seeds_of,
    stand_in_warning,
)

Methods = Mapping[str, tuple[float, float]]
"""Name to (β, γ)."""


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
    seeds: tuple[int, ...]
    """A method each, as ``over_seeds``."""
    quantity: Quantity
    over_seeds: tuple[Interval, ...]


def tidy_rows(
    runs: Sequence[Judged], methods: Methods, quantities: Mapping[str, Quantity]
) -> list[TidyRow]:
    """Return a row for each number of each run, in the order of the runs and quantities."""
    names = {weights: name for name, weights in methods.items()}
    return [
        TidyRow(
            data=data_label(run.dataset, run.source, run.stand_in),
            dataset=run.dataset,
            stand_in=run.stand_in,
            method=names.get((run.beta, run.gamma), ""),
            beta=run.beta,
            gamma=run.gamma,
            seed=run.seed,
            images=run.images,
            score=name,
            value=run.values[name],
            direction=quantity.better,
            low=quantity.low,
            high=quantity.high,
        )
        for run in runs
        for name, quantity in quantities.items()
        if name in run.values
    ]


def summary_rows(
    runs: Sequence[Judged],
    methods: Methods,
    quantities: Mapping[str, Quantity],
    level: float,
    what: str,
) -> list[list[SummaryRow]]:
    """Return a block for each data set, with a row for each number.

    Parameters
    ----------
    runs, methods, quantities, level
        As for `write_tables`.
    what
        What the numbers are called in messages.

    Raises
    ------
    UserError
        When a data set lacks a method, or its runs were judged on unequally many images.
    """
    blocks = []
    for dataset in datasets(runs):
        counts = sorted({run.images for run in runs if run.dataset == dataset})
        if len(counts) > 1:
            raise UserError(
                f"some runs of {dataset} were judged on {counts[0]:,} images, others on "
                f"{counts[-1]:,}: judge them again with one configuration"
            )
        groups = [seeds_of(runs, dataset, *weights, what) for weights in methods.values()]
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
        seeds=tuple(len(group) for group in groups),
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
    runs: Sequence[Judged],
    methods: Methods,
    quantities: Mapping[str, Quantity],
    level: float,
    outputs: Sequence[Path],
    *,
    caption: str,
    notes: str,
) -> None:
    """Write every number of every run as CSV, and the methods over seeds as Markdown and LaTeX."""
    csv, markdown, latex = outputs
    blocks = summary_rows(runs, methods, quantities, level, outputs[0].stem)
    legend = (
        f"Values: {typeset.interval_note(level)} Bold: the best mean. "
        "Images: how many the numbers are from. "
    )
    tidy = tidy_rows(runs, methods, quantities)
    if not all(row.method for row in tidy):
        legend += "The other pairs of Table 1 are in the CSV file. "
    table = typeset.Table(
        caption=caption,
        warning=stand_in_warning(runs),
        notes=legend + notes,
        columns=_columns(methods),
        blocks=[[_cells(row) for row in block] for block in blocks],
    )
    write_csv(csv, [asdict(row) for row in tidy])
    typeset.write(table, markdown, latex)


def _columns(methods: Methods) -> list[typeset.Column]:
    words = [typeset.Column(name, numeric=False) for name in ("Data", "Score", "Range", "Better")]
    headings = [f"{name} (β = {beta:g}, γ = {gamma:g})" for name, (beta, gamma) in methods.items()]
    return [*words, *map(typeset.Column, ["Images", "Seeds", *headings])]


def _cells(row: SummaryRow) -> list[typeset.Cell]:
    seeds = "–".join(str(count) for count in sorted({min(row.seeds), max(row.seeds)}))
    words = (row.data, row.quantity.label, row.quantity.range, row.quantity.better)
    plain = [*words, f"{row.images:,}", seeds]
    values = zip(row.over_seeds, best(row), strict=True)
    return [
        *map(typeset.Cell, plain),
        *(typeset.Cell(typeset.plus_minus(part), bold) for part, bold in values),
    ]
