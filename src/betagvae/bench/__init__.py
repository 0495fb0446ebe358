"""How fast this machine trains, how far that is from its limit, and what the paper would take."""

from betagvae.bench.running import bench

__all__ = ["bench"]
