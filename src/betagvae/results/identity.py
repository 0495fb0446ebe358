"""What every result file says of the training that it is about."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Identified:
    """A result of one training, as a file describes it."""

    path: Path
    dataset: str
    source: str
    stand_in: bool
    likelihood: str
    beta: float
    gamma: float
    seed: int
    steps: int


IDENTITY = tuple(field.name for field in fields(Identified) if field.name != "path")
"""The keys of a result file that tell which training it is about."""


def identity(content: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a result file that tells which training it is about."""
    return {name: content[name] for name in IDENTITY}
