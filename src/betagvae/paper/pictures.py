"""What all figures share: colours, marks, labels; no global state, same bytes every time."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from betagvae.errors import UserError
from betagvae.records.files import whole_file
from betagvae.records.identity import Identified
from betagvae.results.labels import data_label

COLOURS = (
    *("#4477aa", "#ddaa33", "#228866", "#aa3377", "#66ccee", "#ee6677"),
    *("#882255", "#bbbb33", "#332288", "#cc6622"),
)
"""One a method, told apart with any colour vision (after Tol)."""
STAND_IN = "drawn stand-in, not the paper's data"
DPI = 140

UNITS = {"squared_error": "squared error", "bernoulli": "nats"}
"""Of a reconstruction error under each likelihood, short."""

PAPER_MARK: dict[str, Any] = {
    "marker": "D",
    "color": "white",
    "markeredgecolor": "#cc3311",
    "markeredgewidth": 1.5,
    "markersize": 6,
    "linestyle": "none",
    "zorder": 5,
}
"""Of a value that the paper prints."""

_NO_DATES = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
}


def save(figure: Figure, outputs: Sequence[Path]) -> None:
    """Write a figure as each of `outputs`, PNG or PDF, without dates."""
    for path in map(Path, outputs):
        if path.suffix not in _NO_DATES:
            raise UserError(f"{path}: figures are written as {' or '.join(_NO_DATES)}")
        with whole_file(path) as part:
            figure.savefig(part, dpi=DPI, metadata=_NO_DATES[path.suffix])


def empty_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """Return an empty figure; width and height in inches."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def title(dataset: str, stand_in: bool, detail: str = "", separator: str = " ") -> str:
    """Return the data set's name and a detail; a stand-in says, behind them, that it is one."""
    name = data_label(dataset, "", False) + (f", {detail}" if detail else "")
    return f"{name}{separator}— {STAND_IN}" if stand_in else name


def tidy(axes: Axes) -> None:
    """Leave out the frame's upper and right side; small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def method_colours(methods: Iterable[str]) -> dict[str, str]:
    """Return the colour of each method, by its name."""
    return dict(zip(methods, cycle(COLOURS), strict=False))


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns of a legend fit: 0.055 inches a letter, and 0.6 a line."""
    longest = max(map(len, labels))
    return min(len(labels), max(1, int(width / (0.6 + 0.055 * longest))))


def unit(quantity: str, results: Iterable[Identified]) -> str:
    """Return the unit of a quantity; methods can differ in likelihood, and then there are two."""
    if quantity == "kl":
        return "nats"
    return " or ".join(dict.fromkeys(UNITS[one.settings.likelihood] for one in results))
