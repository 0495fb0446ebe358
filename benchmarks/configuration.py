"""The paper's configuration, as the workflow reads it."""

from pathlib import Path
from typing import Any

import yaml

from betagvae.trainer import TrainingSettings

_FILE = Path(__file__).parents[1] / "config" / "config.yaml"


def configuration() -> dict[str, Any]:
    """Return ``config/config.yaml``."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def training_settings(dataset: str, method: str, **changes: object) -> TrainingSettings:
    """Return the settings of a method on a data set, with changes; seed 0 unless it is changed."""
    configured = configuration()
    return TrainingSettings(
        **{
            "seed": 0,
            **configured["training"],
            **configured["datasets"][dataset]["training"],
            **configured["methods"][method],
            **changes,
        }
    )
