"""celeba."""

from pathlib import Path

from betagvae.datasets import drawn_faces
from betagvae.datasets.drawn import StandIn, make_stand_in
from betagvae.datasets.settings import DataSettings

STAND_IN = StandIn("celeba", 3, drawn_faces.FACTORS, stride=375277, draw=drawn_faces.draw)


def make(output: Path, settings: DataSettings) -> None:
    """Write the array and its JSON."""
    make_stand_in(output, settings, STAND_IN)
