"""What every result file says of the training that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betagvae.settings.setting import made
from betagvae.settings.training import TrainingSettings

DATA = ("dataset", "source", "stand_in")
"""What a file says of the images."""


@dataclass(frozen=True)
class Identified:
    """A result of one training, as a file describes it."""

    path: Path
    dataset: str
    source: str
    stand_in: bool
    settings: TrainingSettings


def identity(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result file says of its training: the images, and all settings."""
    return {**{name: data[name] for name in DATA}, "training": dict(settings)}


def read_identity(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Identified` that a result file holds; `KeyError` where it does not."""
    settings = made(TrainingSettings, content["training"])
    return {**{name: content[name] for name in DATA}, "settings": settings}
