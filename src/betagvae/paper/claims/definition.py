"""The claims file: what is claimed, and the test that decides it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from betagvae.data.registry import dataset
from betagvae.errors import UserError
from betagvae.experiment import printed_name

Method = str | tuple[float, float]
"""A method by its name, or a pair (β, γ)."""


@dataclass(frozen=True)
class Margin:
    """The smallest difference that counts; one of the fields is above zero, or none."""

    absolute: float = 0.0
    """In the unit of the quantity."""
    of_paper: float = 0.0
    """Fraction of the paper's own difference."""
    of_compared: float = 0.0
    """Fraction of the value of the method compared with."""
    of_gap: float = 0.0
    """Fraction of the gap between two methods, `between`: second value − first value."""
    between: tuple[Method, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One entry of the claims file; every field is explained in config/README.md."""

    id: str
    text: str
    where: str
    datasets: tuple[str, ...]
    evidence: str
    quantity: str
    method: Method
    relation: str
    compared_with: tuple[Method, ...]
    margin: Margin
    split: str = ""
    beta: float = 0.0
    made_on: str = ""
    """The data set that the paper claims it of, where `datasets` are others."""

    @property
    def named(self) -> tuple[str, ...]:
        """All data sets that it names."""
        return (*self.datasets, *filter(None, [self.made_on]))

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods whose runs the test needs."""
        return self.methods_of(*self.compared_with)

    def methods_of(self, *rivals: Method) -> tuple[Method, ...]:
        """Return the methods whose runs a comparison with `rivals` needs."""
        return tuple(dict.fromkeys((self.method, *rivals, *self.margin.between)))


@dataclass(frozen=True)
class Claims:
    """All claims and what they share."""

    power: float
    """Power at which the seeds needed are counted."""
    least_steps: int
    """Trainings with fewer optimiser steps are not judged."""
    claims: tuple[Claim, ...]


def load_claims(path: Path) -> Claims:
    """Read a claims file, which the workflow checks against its schema beforehand.

    Raises
    ------
    UserError
        When it cannot be read, lacks a key or has an unknown one, uses an `id` twice, or names a
        data set that does not exist.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        claims = tuple(_claim(entry) for entry in content["claims"])
        loaded = Claims(content["power"], content["least_steps"], claims)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"cannot use {path} ({error}): see config/README.md") from error
    ids = [claim.id for claim in claims]
    if len(set(ids)) < len(ids):
        raise UserError(f"{path} uses an id twice: give each claim its own")
    for name in dict.fromkeys(name for claim in claims for name in claim.named):
        dataset(name)
    return loaded


def _claim(entry: dict[str, Any]) -> Claim:
    converted = {
        "datasets": tuple(entry["datasets"]),
        "method": _method(entry["method"]),
        "compared_with": tuple(map(_method, entry["compared_with"])),
        "margin": _margin(entry["margin"]),
    }
    return Claim(**{**entry, **converted})


def _method(value: str | list[float]) -> Method:
    if isinstance(value, str):
        return printed_name(value)
    return float(value[0]), float(value[1])


def _margin(value: float | dict[str, Any]) -> Margin:
    if not isinstance(value, dict):
        return Margin(absolute=value)
    between = tuple(map(_method, value.get("between", ())))
    return Margin(**{**value, "between": between})
