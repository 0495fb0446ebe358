"""Comparisons: two numbers of the same round and their ratio, for every round."""

from collections.abc import Sequence
from typing import Any

from betagvae.bench.measuring import Measured

Row = dict[str, Any]

LABELS = ("dataset", "method", "mode", "reference")
COLUMNS = (*LABELS, "round", "value", "reference_value", "ratio")
"""Keys of every comparison's rows."""


def side_by_side(measured: Sequence[Measured]) -> list[Row]:
    """Compare trainings side by side with one training on all cores; images/s of all together."""
    rows = []
    for m in measured:
        alone, beside = m.modes[0], m.modes[-1]
        for cell in m.cells:
            labels = {"dataset": m.dataset, "method": cell.method}
            labels |= {"mode": str(beside), "reference": str(alone)}
            rows += _rounds(labels, m.rates[cell.method, beside], m.rates[cell.method, alone])
    return rows


def methods(measured: Sequence[Measured]) -> list[Row]:
    """Compare every method with the first one of the configuration; images/s."""
    rows = []
    for m in measured:
        first = m.cells[0].method
        for method, mode in m.rates:
            labels = {"dataset": m.dataset, "method": method}
            labels |= {"mode": str(mode), "reference": first}
            rows += _rounds(labels, m.rates[method, mode], m.rates[first, mode])
    return rows


def evaluation(measured: Sequence[Measured]) -> list[Row]:
    """Compare evaluation with training, both of the first method; images/s."""
    rows = []
    for m in measured:
        first = m.cells[0].method
        for mode, rates in m.evaluations.items():
            labels = {"dataset": m.dataset, "method": first}
            labels |= {"mode": str(mode), "reference": "training"}
            rows += _rounds(labels, rates, m.rates[first, mode])
    return rows


def ceiling(measured: Sequence[Measured]) -> list[Row]:
    """Compare training with a large matrix product; floating-point operations/s."""
    rows = []
    for m in measured:
        for (method, mode), rates in m.rates.items():
            labels = {"dataset": m.dataset, "method": method}
            labels |= {"mode": str(mode), "reference": "matrix product"}
            reached = [rate * m.operations[method].step for rate in rates]
            rows += _rounds(labels, reached, m.ceilings[mode])
    return rows


def floor(measured: Sequence[Measured]) -> list[Row]:
    """Compare training with the floor of a GPU's memory and arithmetic; steps/s, none on a CPU."""
    rows = []
    for m in measured:
        for cell in m.cells:
            for mode in m.modes:
                floors = [of_round.steps_per_second for of_round in m.floors(cell.method, mode)]
                images = m.rates[cell.method, mode] if floors else []
                labels = {"dataset": m.dataset, "method": cell.method}
                labels |= {"mode": str(mode), "reference": "floor"}
                rows += _rounds(
                    labels, [rate / cell.settings.batch_size for rate in images], floors
                )
    return rows


COMPARISONS = {
    "side_by_side": side_by_side,
    "methods": methods,
    "evaluation": evaluation,
    "ceiling": ceiling,
    "floor": floor,
}
"""Name of each comparison's CSV file to its rows."""


def _rounds(labels: Row, values: Sequence[float], references: Sequence[float]) -> list[Row]:
    return [
        {
            **labels,
            "round": number,
            "value": value,
            "reference_value": reference,
            "ratio": value / reference,
        }
        for number, (value, reference) in enumerate(zip(values, references, strict=True))
    ]
