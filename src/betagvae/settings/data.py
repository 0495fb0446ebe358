"""How a data set's images are made: `data` of the configuration and of each data set."""

from dataclasses import dataclass
from pathlib import Path

from betagvae.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """One data set's part of the configuration."""

    source: str = setting(
        "`original`: the published files. `drawn`: images made here. For dSprites the drawn images "
        "are the published ones, pixel by pixel; for CelebA and 3D Chairs they are stand-ins, and "
        "everything made from them says so",
        choices=("original", "drawn"),
    )
    path: Path | None = setting(
        "your own copy of the archive (CelebA: img_align_celeba.zip, 3D Chairs: "
        "rendered_chairs.tar, dSprites: the .npz); `null` downloads it",
        None,
        unit="path",
    )
    partition_path: Path | None = setting(
        "your own list_eval_partition.txt of CelebA", None, unit="path"
    )
    urls: tuple[str, ...] = setting("mirrors of the archive to try before the known sources", ())
    partition_urls: tuple[str, ...] = setting("the same, of the partition file", ())
    images: int | None = setting(
        "how many stand-in images to draw; `null`: as many as the set itself has (drawn chairs: "
        "every combination of factors, about half of that)",
        None,
        unit="images",
        least=1,
    )
    crop: tuple[int, int, int, int] | None = setting(
        "left, top, right, bottom, cut out before the resize to 64×64. The paper does not say "
        "whether CelebA was cropped: `null` takes the full 178×218 image, as the public β-VAE "
        "implementations do. 3D Chairs is cut to its middle 400×400, since the chairs fill only "
        "that",
        None,
        unit="pixels",
        least=0,
    )
    test_fraction: float = setting(
        "part held out where there is no official split (3D Chairs: whole models; stand-ins: "
        "images). CelebA has its own split; dSprites is complete, so nothing is held out",
        0.1,
        least=0,
        below=1,
    )
    seed: int = setting("where a drawn stand-in starts in its factor grid", 0, least=0)
    download_dir: Path = setting(
        "where downloaded archives are kept", Path("data/downloads"), unit="path"
    )
    threads: int = setting(
        "processor cores for making arrays; the bytes are the same for any number",
        2,
        unit="threads",
        least=1,
    )
