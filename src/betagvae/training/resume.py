"""What a training that was cut goes on from."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

from betagvae.records.files import whole_file

log = logging.getLogger(__name__)


class Resume:
    """A scratch file from which a cut run goes on.

    It is kept beside the results but is none of them, so nobody deletes it with a failed job.
    """

    def __init__(self, path: Path, identity: dict[str, Any], every_seconds: float) -> None:
        self.path = path
        self.identity = identity
        self.every_seconds = every_seconds
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, on the CPU; None without one, or when it is of another run."""
        if not self.path.exists():
            return None
        try:
            # Random streams take their state from the CPU, whatever device they are on.
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            log.warning("%s cannot be read (%s): starting over", self.path, error)
            return None
        if saved["identity"] != self.identity:
            log.warning("%s is of another configuration or machine: starting over", self.path)
            return None
        return saved

    @property
    def due(self) -> bool:
        """Whether the last saving was not only a moment ago."""
        return time.monotonic() - self._saved >= self.every_seconds

    def save(self, state: dict[str, Any]) -> None:
        """Save, in place of what was saved before."""
        with whole_file(self.path) as part:
            torch.save({"identity": self.identity, **state}, part)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove the file, once the results are written."""
        self.path.unlink(missing_ok=True)
