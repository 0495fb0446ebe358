"""One reader for the files of numbers beside a model: metrics, scores and image quality."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betagvae.data.arrays import SPLIT_ORDER
from betagvae.experiment import Experiment
from betagvae.records.identity import Identified, read_identity
from betagvae.results.runs import Results, load

ALL = ""
"""Stands for the split where a file does not tell splits apart."""


@dataclass(frozen=True)
class Evidence(Identified):
    """One file of numbers about one training."""

    basis: str
    """What the numbers rest on: metrics on the likelihood, quality on the feature network."""
    values: Mapping[str, Mapping[str, float]]
    """Split (test first) to quantity to value."""

    def values_of(self, split: str) -> Mapping[str, float]:
        """Return the values of a split; `held_out` is the first, the only one where all is one."""
        if split in ("held_out", ALL):
            return next(iter(self.values.values()))
        return self.values.get(split, {})


def load_evidence(experiment: Experiment) -> dict[str, Results[Evidence]]:
    """Read the files of all kinds that there are; raises as `betagvae.results.runs.load`."""
    return {
        kind: load(experiment, f"{kind}.json", read, optional=True) for kind, read in KINDS.items()
    }


def _metrics(path: Path, content: dict[str, Any]) -> Evidence:
    splits = content["splits"]
    values = {name: _numbers(splits[name]) for name in SPLIT_ORDER if name in splits}
    found = read_identity(content)
    return Evidence(path, **found, basis=found["settings"].likelihood, values=values)


def _scores(path: Path, content: dict[str, Any]) -> Evidence:
    values = {ALL: _numbers(content["scores"])}
    return Evidence(path, **read_identity(content), basis="", values=values)


def _quality(path: Path, content: dict[str, Any]) -> Evidence:
    values = {ALL: _numbers(content)}
    return Evidence(path, **read_identity(content), basis=content["features"], values=values)


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in content.items() if isinstance(value, int | float)}


KINDS = {"metrics": _metrics, "scores": _scores, "quality": _quality}
"""Kind of file, which is named after it, to its reader."""
