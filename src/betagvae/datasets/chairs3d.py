"""chairs3d."""

from pathlib import Path

from betagvae.datasets import drawn_chairs
from betagvae.datasets.drawn import StandIn, make_stand_in
from betagvae.datasets.settings import DataSettings

STAND_IN = StandIn("chairs3d", 1, drawn_chairs.FACTORS, stride=21323, draw=drawn_chairs.draw)


def make(output: Path, settings: DataSettings) -> None:
    """Write the array and its JSON."""
    make_stand_in(output, settings, STAND_IN)
