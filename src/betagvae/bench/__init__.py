"""How fast this machine trains, how far that is from its limit, and what the paper would take."""

from betagvae.bench.grid import Grid
from betagvae.bench.measuring import BenchSettings
from betagvae.bench.running import bench

__all__ = ["BenchSettings", "Grid", "bench"]
