"""The files of a training."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFiles:
    """The folder that the results of one training go to, and the files in it."""

    folder: Path

    @property
    def model(self) -> Path:
        """Weights, safetensors."""
        return self.folder / "model.safetensors"

    @property
    def history(self) -> Path:
        """Every term over time, CSV."""
        return self.folder / "history.csv"

    @property
    def record(self) -> Path:
        """How the training came about, JSON."""
        return self.folder / "training.json"

    @property
    def resume(self) -> Path:
        """What a cut training goes on from; see `betagvae.training.resume`."""
        return self.folder / "model.resume.pt"
