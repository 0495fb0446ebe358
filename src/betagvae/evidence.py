"""One reader for the files of numbers beside a model: metrics, scores and image quality."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betagvae.errors import UserError
from betagvae.files import read_json
from betagvae.runs import QUANTITIES, Training, comparable, identity, read_run

ALL = ""
"""Stands for the split where a file does not tell splits apart."""


@dataclass(frozen=True)
class Evidence(Training):
    """One file of numbers about one training."""

    kind: str
    """`metrics`, `scores` or `quality`."""
    values: Mapping[str, Mapping[str, float]]
    """Split (test first) to quantity to value."""

    def values_of(self, split: str) -> Mapping[str, float]:
        """Return the values of a split; `held_out` is the first, the only one where all is one."""
        if split in ("held_out", ALL):
            return next(iter(self.values.values()))
        return self.values.get(split, {})


def load_evidence(paths: Iterable[Path]) -> list[Evidence]:
    """Read files of all kinds, sorted by kind, then as in `betagvae.runs.load_runs`.

    Raises
    ------
    UserError
        When a file is damaged or of no known kind, two files of a kind describe one training, or
        two of a kind and data set cannot be compared.
    """
    read = sorted((_evidence(Path(path)) for path in paths), key=lambda one: one.kind)
    kinds = itertools.groupby(read, key=lambda one: one.kind)
    return [one for _, group in kinds for one in comparable(group)]


def _evidence(path: Path) -> Evidence:
    content = read_json(path)
    for key, reader in _READERS.items():
        if key in content:
            try:
                return reader(path, content)
            except KeyError as error:
                raise UserError(f"{path} lacks {error}: make it again") from error
    raise UserError(f"{path} has none of {', '.join(_READERS)}: give metrics, scores or quality")


def _metrics(path: Path, content: dict[str, Any]) -> Evidence:
    run = read_run(path, content)
    values = {
        split: {quantity: getattr(part, quantity) for quantity in QUANTITIES}
        for split, part in run.splits.items()
    }
    return Evidence(**identity(path, content, "likelihood"), kind="metrics", values=values)


def _scores(path: Path, content: dict[str, Any]) -> Evidence:
    values = {ALL: content["scores"]}
    return Evidence(**identity(path, content), kind="scores", values=values)


def _quality(path: Path, content: dict[str, Any]) -> Evidence:
    same = identity(path, content, "features")
    numbers = {
        name: value
        for name, value in content.items()
        if name not in same and name != "images" and isinstance(value, int | float)
    }
    return Evidence(**same, kind="quality", values={ALL: numbers})


_READERS: dict[str, Callable[[Path, dict[str, Any]], Evidence]] = {
    "splits": _metrics,
    "scores": _scores,
    "features": _quality,
}
"""The key that tells a kind of file, and its reader."""
