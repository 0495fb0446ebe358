"""3D Chairs: 86,366 renders, 1,393 chairs from 62 sides, on white.

Aubry, Maturana, Efros, Russell & Sivic (2014), https://www.di.ens.fr/willow/research/seeing3Dchairs.
The renders are read straight from the published tar; drawn chairs stand in where it cannot be had.
"""

import logging
import math
import re
import tarfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from torchvision.io import ImageReadMode, decode_png

from betagvae.datasets import drawn_chairs
from betagvae.datasets.drawn import StandIn, make_stand_in
from betagvae.datasets.fetch import Published, obtain
from betagvae.datasets.originals import (
    Crop,
    Original,
    SkipError,
    check_crop,
    shrink,
    to_tensor,
    write_original,
)
from betagvae.datasets.settings import DataSettings
from betagvae.errors import UserError

logger = logging.getLogger(__name__)

MODELS, VIEWS = 1_393, 62

ARCHIVE = Published(
    name="rendered_chairs.tar",
    urls=("https://www.di.ens.fr/willow/research/seeing3Dchairs/data/rendered_chairs.tar",),
    digest="7941bff4d19665ed2dd8c82e88293e1b",
    certain=False,  # one source names it
)
ORIGINAL = Original(
    dataset="chairs3d",
    channels=1,
    colours="grey",
    images=MODELS * VIEWS,
    item="render (rendered_chairs/<model>/renders/*.png)",
)
STAND_IN = StandIn(
    dataset="chairs3d",
    channels=1,
    factors=drawn_chairs.FACTORS,
    stride=5_989,
    images=math.prod(drawn_chairs.FACTORS.values()),
    draw=drawn_chairs.draw,
)

_RENDER = re.compile(
    r"rendered_chairs/(?P<model>[0-9a-f]{32})/renders/image_\d{3}_p\d{3}_t\d{3}_r\d{3}\.png"
)


class Render(NamedTuple):
    """Where a render lies in the tar."""

    model: str
    """32 hexadecimal digits."""
    name: str
    """Path in the archive."""
    offset: int
    size: int


def make(output: Path, settings: DataSettings) -> None:
    """Write the array and its JSON."""
    if settings.source == "drawn":
        make_stand_in(output, settings, STAND_IN)
    else:
        _make_original(output, settings)


def _make_original(output: Path, settings: DataSettings) -> None:
    check_crop(settings.crop, "datasets.chairs3d.data.crop")
    archive = obtain(
        ARCHIVE,
        own=settings.path,
        extra_urls=settings.urls,
        folder=settings.download_dir,
        key="datasets.chairs3d.data.path",
    )
    renders, strays = list_renders(archive.path)
    training, testing = split_models(renders, settings.test_fraction)
    write_original(
        output,
        ORIGINAL,
        archive.path,
        partial(_read, crop=settings.crop),
        {"train": training, "test": testing},
        source_files={ARCHIVE.name: archive.record},
        skipped=strays,
        settings=settings,
    )


def list_renders(path: Path) -> tuple[list[Render], Counter[str]]:
    """Return the renders by model and file name, and the number of other files by reason."""
    renders: dict[str, Render] = {}
    skipped: Counter[str] = Counter()
    try:
        # "r:" is an uncompressed tar, in which a render can be read from where it lies.
        with tarfile.open(path, "r:") as content:
            for member in content:
                found = _RENDER.fullmatch(member.name.removeprefix("./"))
                if member.isdir():
                    continue
                if not (found and member.isreg()):
                    skipped["not a render by its name"] += 1
                    continue
                skipped["twice in the archive"] += found[0] in renders
                renders[found[0]] = Render(
                    found["model"], found[0], member.offset_data, member.size
                )
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(
            f"{path} is not a whole, uncompressed tar ({error}): download {ARCHIVE.name} again"
        ) from error
    return [renders[name] for name in sorted(renders)], skipped


def split_models(renders: list[Render], test_fraction: float) -> tuple[list[Render], list[Render]]:
    """Keep the last models for testing, so that no chair is in both splits.

    The models are named by hashes: the last ones in the alphabet are as random as any.
    """
    models = sorted({render.model for render in renders})
    tested = set(models[len(models) - round(len(models) * test_fraction) :])
    return (
        [render for render in renders if render.model not in tested],
        [render for render in renders if render.model in tested],
    )


def _read(content: BinaryIO, render: Render, crop: Crop | None) -> torch.Tensor:
    """Read a render from where it lies in the archive."""
    content.seek(render.offset)
    data = content.read(render.size)
    if len(data) < render.size:
        raise SkipError("cut off by the end of the archive")
    return read_image(data, crop)


def read_image(data: bytes, crop: Crop | None) -> torch.Tensor:
    """Decode one render: PNG bytes → uint8 1×64×64, grey on white.

    Raises
    ------
    SkipError
        When it is no PNG, broken, or smaller than the crop.
    """
    try:
        image = decode_png(to_tensor(data), mode=ImageReadMode.GRAY_ALPHA)  # 2×H×W
    except (RuntimeError, ValueError) as error:
        raise SkipError("broken PNG") from error
    if image.dtype != torch.uint8:
        raise SkipError("not 8 bits a channel")
    return shrink(_on_white(image), crop)


def _on_white(image: torch.Tensor) -> torch.Tensor:
    """Lay grey with an alpha channel on white: uint8 2×H×W → 1×H×W."""
    grey, alpha = image[:1], image[1:]
    if (alpha == 255).all():
        return grey
    return (255 - (255 - grey.float()) * alpha / 255).round().to(torch.uint8)
