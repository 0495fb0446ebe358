"""What the configuration can say about a data set."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """One data set's part of the configuration."""

    source: str
    """``original``: read the published files; ``drawn``: draw the images here."""
    seed: int
    """Where a drawn stand-in starts in its factor grid."""
    threads: int
    """Processor cores to use."""
    download_dir: Path
    """Where downloaded archives are kept."""
    test_fraction: float
    """Part of the images (chairs: of the models) kept for testing where the set has no split."""
    path: Path | None = None
    """The user's own copy of the archive; None: download it."""
    partition_path: Path | None = None
    """The user's own copy of CelebA's list_eval_partition.txt."""
    urls: tuple[str, ...] = ()
    """Sources of the archive that are tried before the known ones."""
    partition_urls: tuple[str, ...] = ()
    """Sources of the partition file that are tried before the known ones."""
    images: int | None = None
    """Number of stand-in images to draw; None: as many as the set itself has
    (chairs: every combination of factors, about half of that)."""
    crop: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom in source pixels, cut out before the resize; None: no crop."""
