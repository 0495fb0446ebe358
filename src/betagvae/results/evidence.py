"""One reader for the files of numbers beside a model: metrics, scores and image quality."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betagvae.data.arrays import SPLIT_ORDER
from betagvae.errors import UserError
from betagvae.records.files import read_json
from betagvae.results.identity import Identified, identity
from betagvae.results.runs import load_results

ALL = ""
"""Stands for the split where a file does not tell splits apart."""


@dataclass(frozen=True)
class Evidence(Identified):
    """One file of numbers about one training."""

    kind: str
    """`metrics`, `scores` or `quality`."""
    basis: str
    """What the numbers rest on: metrics on the likelihood, quality on the feature network."""
    values: Mapping[str, Mapping[str, float]]
    """Split (test first) to quantity to value."""

    def values_of(self, split: str) -> Mapping[str, float]:
        """Return the values of a split; `held_out` is the first, the only one where all is one."""
        if split in ("held_out", ALL):
            return next(iter(self.values.values()))
        return self.values.get(split, {})


def load_evidence(paths: Iterable[Path]) -> list[Evidence]:
    """Read files of all kinds, sorted by kind, then as in `betagvae.results.runs.load_results`.

    Raises
    ------
    UserError
        When a file is damaged or of no known kind, two files of a kind describe one training, or
        two of a kind and data set cannot be compared.
    """
    by_kind: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        by_kind.setdefault(_kind(path), []).append(path)
    read = [load_results(by_kind[kind], _READERS[kind]) for kind in sorted(by_kind)]
    for one, other in itertools.chain.from_iterable(map(itertools.pairwise, read)):
        _check_alike(one, other)
    return list(itertools.chain.from_iterable(read))


def _kind(path: Path) -> str:
    content = read_json(path)
    for kind, key in _KEYS.items():
        if key in content:
            return kind
    raise UserError(f"{path} has none of {', '.join(_KEYS.values())}: give {', '.join(_KEYS)}")


def _check_alike(one: Evidence, other: Evidence) -> None:
    """Refuse what `load_results` lets pass: other lengths of training, other feature networks."""
    alike = (one.steps, one.basis) == (other.steps, other.basis)
    if one.dataset == other.dataset and not alike:
        raise UserError(
            f"{one.path} and {other.path} differ in steps or in what measures them and cannot be "
            "compared: make both with one configuration"
        )


def _metrics(path: Path, content: dict[str, Any]) -> Evidence:
    splits = content["splits"]
    values = {name: _numbers(splits[name]) for name in SPLIT_ORDER if name in splits}
    return _evidence(path, content, "metrics", content["likelihood"], values)


def _scores(path: Path, content: dict[str, Any]) -> Evidence:
    return _evidence(path, content, "scores", "", {ALL: _numbers(content["scores"])})


def _quality(path: Path, content: dict[str, Any]) -> Evidence:
    return _evidence(path, content, "quality", content["features"], {ALL: _numbers(content)})


def _evidence(
    path: Path,
    content: dict[str, Any],
    kind: str,
    basis: str,
    values: Mapping[str, Mapping[str, float]],
) -> Evidence:
    return Evidence(path, **identity(content), kind=kind, basis=basis, values=values)


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in content.items() if isinstance(value, int | float)}


_KEYS = {"metrics": "splits", "scores": "scores", "quality": "features"}
"""Kind of file to the key that tells it."""

_READERS: dict[str, Callable[[Path, dict[str, Any]], Evidence]] = {
    "metrics": _metrics,
    "scores": _scores,
    "quality": _quality,
}
